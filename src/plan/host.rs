//! What is to be done to one host.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::disruption::{Disruption, Felt};
use super::drifted::Drifted;
use super::obstacle::Obstacle;
use crate::desired::DesiredHost;
use crate::model::{Become, Fingerprint, HostName, SshTarget, worded};
use crate::observed::Unanswered;

/// What is to be done to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// The host.
    pub host: HostName,
    /// Where it is logged in to.
    pub ssh: SshTarget,
    /// How the login user becomes root.
    pub r#become: Become,
    /// Keyed digest of everything that is sent to the host and run there. The places where peers were
    /// last heard are left out: they move by themselves. `None` where nothing is sent.
    pub payload: Option<Fingerprint>,
    /// Keyed digest of all that the host is to have, whatever it has now; `None` where it could not be
    /// read.
    pub target: Option<Fingerprint>,
    /// Whether it can be done.
    pub state: HostState,
    /// The worst that running traffic feels.
    pub disruption: Disruption,
    /// What it feels, and of which change.
    pub feels: Felt,
    /// What is to change, in order of doing.
    pub changes: Vec<Change>,
    /// What of it undoes drift: all else follows from the inventory. `None` where no record tells.
    pub drift: Option<BTreeSet<Drifted>>,
    /// What the operator should know, and no change can say.
    pub notes: Vec<String>,
}

/// Whether a host's plan can be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "state", content = "reason", deny_unknown_fields)]
pub enum HostState {
    /// Read, and its changes can be made.
    Ready,
    /// It could not be read; its peers keep everything that the file gives it.
    Unreadable(
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        Unanswered,
    ),
    /// It was read, but lacks something that its changes need.
    Blocked(
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Obstacle>"))]
        Obstacle,
    ),
}

impl HostPlan {
    /// A host that could not be read.
    #[must_use]
    pub fn unreadable(desired: &DesiredHost, reason: Unanswered) -> Self {
        Self {
            host: desired.name.clone(),
            ssh: desired.ssh.clone(),
            r#become: desired.r#become,
            payload: None,
            target: None,
            state: HostState::Unreadable(reason),
            disruption: Disruption::None,
            feels: Felt::default(),
            changes: Vec::new(),
            drift: None,
            notes: Vec::new(),
        }
    }

    /// Whether there is something to do that can be done.
    #[must_use]
    pub fn can_apply(&self) -> bool {
        self.state == HostState::Ready && !self.changes.is_empty()
    }
}

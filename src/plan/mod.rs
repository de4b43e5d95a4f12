//! The difference between what is wanted and what is there, as a value.
//!
//! [`diff_host`] is pure: the same inputs give the same plan, byte for byte. No secret is in a plan.

mod agent;
mod change;
mod compile;
mod diff;
mod forwarding;
mod quick;
mod running;
mod target;
mod unit;

pub use agent::{AGENT, AGENT_FOLDER, AgentSource};
pub use change::{Change, DiffLine, FieldChange, FileAction, PeerRef};
pub use compile::Payload;
pub use diff::diff_host;
pub use forwarding::HEARS_AS_A_ROUTER;
pub use running::running;
pub use target::{FIREWALL_FILE, RenderedHost, Target, TargetFile, TargetInterface, resolve};

use serde::Serialize;

use crate::model::{FleetName, HostName};

/// What is to be done to a fleet.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Version of the JSON form.
    pub version: u32,
    /// The fleet.
    pub fleet: FleetName,
    /// Every host that was looked at, in order of the file.
    pub hosts: Vec<HostPlan>,
}

/// What is to be done to one host.
#[derive(Debug, Clone, Serialize)]
pub struct HostPlan {
    /// The host.
    pub host: HostName,
    /// Whether it can be done.
    pub state: HostState,
    /// What running traffic feels.
    pub disruption: Disruption,
    /// What is to change, in order of doing.
    pub changes: Vec<Change>,
    /// What the operator should know, and no change can say.
    pub notes: Vec<String>,
}

/// Whether a host's plan can be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum HostState {
    /// Read, and its changes can be made.
    Ready,
    /// It could not be read; its peers keep everything that the file gives it.
    Unreadable(String),
    /// It was read, but lacks something that its changes need.
    Blocked(String),
}

/// What running traffic feels of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disruption {
    /// Nothing.
    None,
    /// Sessions that change must shake hands again.
    Handshake,
    /// The interface goes down and comes up.
    Interface,
}

impl HostPlan {
    /// A host that could not be read.
    #[must_use]
    pub fn unreadable(host: HostName, reason: String) -> Self {
        Self {
            host,
            state: HostState::Unreadable(reason),
            disruption: Disruption::None,
            changes: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether there is something to do that can be done.
    #[must_use]
    pub fn can_apply(&self) -> bool {
        self.state == HostState::Ready && !self.changes.is_empty()
    }
}

impl Plan {
    /// Whether there is nothing to do on any host that could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.iter().all(|host| host.changes.is_empty())
    }

    /// Hosts that could not be read, with the reasons.
    pub fn unreadable(&self) -> impl Iterator<Item = (&HostName, &str)> {
        self.hosts.iter().filter_map(|host| match &host.state {
            HostState::Unreadable(reason) => Some((&host.host, reason.as_str())),
            HostState::Ready | HostState::Blocked(_) => None,
        })
    }

    /// Hosts whose changes cannot be made, with the reasons.
    pub fn blocked(&self) -> impl Iterator<Item = (&HostName, &str)> {
        self.hosts.iter().filter_map(|host| match &host.state {
            HostState::Blocked(reason) => Some((&host.host, reason.as_str())),
            HostState::Ready | HostState::Unreadable(_) => None,
        })
    }
}

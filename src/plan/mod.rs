//! The difference between what is wanted and what is there, as a value.
//!
//! [`diff_host`] is pure: the same inputs give the same plan, byte for byte. No secret is in a plan.

mod agent;
mod change;
mod checkout;
mod compare;
mod compile;
mod diff;
mod disruption;
mod doing;
mod drift;
mod elsewhere;
mod field;
mod files;
mod firewall;
mod form;
mod former;
mod forwarding;
mod heading;
mod hooks;
mod identity;
mod lans;
mod left;
mod lines;
mod mask;
mod names;
mod new;
mod orphan;
mod ownership;
mod paths;
mod quick;
mod read;
mod record;
mod renames;
mod running;
mod said;
mod stale;
mod target;
mod told;
mod unit;
mod without;

pub use agent::{AGENT, AGENT_FOLDER, AgentSource};
pub use change::{Change, DiffLine, FileAction, HookWhen, PeerRef};
pub use checkout::{Because, Newer, older};
pub use compare::{
    Base, CompareError, Comparison, HostAction, HostComparison, Setting, Side, StandIns, Value,
    compare_hosts,
};
pub use compile::Payload;
pub use diff::diff_host;
pub use disruption::{Disruption, Felt};
pub use drift::Drifted;
pub use elsewhere::Elsewhere;
pub use field::{DeviceField, Field, FieldChange, PeerField};
pub use firewall::Firewall;
pub use form::FormError;
pub use forwarding::HEARS_AS_A_ROUTER;
pub use identity::{same_machines, shared, stranger};
pub use names::Names;
pub use new::{NewInterface, NewPeer};
pub use orphan::{Orphan, OrphanKind, Remembered, orphans};
pub use ownership::clash;
pub use record::{Provenance, record};
pub use renames::Rename;
pub use running::running;
pub use stale::{leave_out, moved};
pub use target::{RenderedHost, Target, TargetFile, TargetInterface, resolve};
pub use without::WithoutSecrets;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::check::Difference;
use crate::desired::{DesiredHost, Secrets, secret_digest};
use crate::model::{Become, Fingerprint, FleetName, HostName, SshTarget};
use crate::observed::ObservedHost;
use crate::topology::Topology;

/// What is to be done to a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Version of the JSON form: [`Plan::VERSION`].
    pub version: u32,
    /// The fleet.
    pub fleet: FleetName,
    /// Whether keys were compared.
    pub secrets: SecretState,
    /// Every host that was asked, in order of the file.
    pub hosts: Vec<HostPlan>,
    /// What wgfleet set up and the inventory no longer has.
    pub orphans: Vec<Orphan>,
    /// Hosts that were changed from newer files than these; carrying it out would take them back.
    pub newer: Vec<Newer>,
    /// The flows that it makes work or stop; `None` where nobody asked.
    pub reachability: Option<Difference>,
}

/// Whether a plan compares private and preshared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretState {
    /// The vault was open, and every key was compared.
    Compared,
    /// The vault was not open: what only differs in a key is not in the plan, and it cannot be
    /// carried out.
    NotCompared,
}

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
#[serde(rename_all = "lowercase", tag = "state", content = "reason", deny_unknown_fields)]
pub enum HostState {
    /// Read, and its changes can be made.
    Ready,
    /// It could not be read; its peers keep everything that the file gives it.
    Unreadable(String),
    /// It was read, but lacks something that its changes need.
    Blocked(String),
}

impl HostPlan {
    /// A host that could not be read.
    #[must_use]
    pub fn unreadable(desired: &DesiredHost, reason: String) -> Self {
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

    /// Binds the plan to what it leads to and to the bytes that carry it out.
    ///
    /// Where secrets are not compared nothing can be bound: what stands for them is no secret.
    ///
    /// # Errors
    /// Where the vault does not have a secret.
    pub fn bind<S: Secrets>(
        &mut self,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        secrets: &S,
    ) -> Result<(), S::Error> {
        self.payload = None;
        if rendered.secrets == SecretState::NotCompared {
            self.target = None;
            for change in &mut self.changes {
                if let Change::File { fingerprint, .. } = change {
                    *fingerprint = None;
                }
            }
            return Ok(());
        }
        self.target = Some(target.fingerprint(&rendered.key));
        if !self.can_apply() {
            return Ok(());
        }
        let payload = Payload::settled(&self.settled(), target, rendered, observed, secrets)?;
        self.payload = Some(secret_digest(&rendered.key, payload.encode().as_bytes()));
        Ok(())
    }

    /// Whether there is something to do that can be done.
    #[must_use]
    pub fn can_apply(&self) -> bool {
        self.state == HostState::Ready && !self.changes.is_empty()
    }
}

impl Plan {
    /// Version of the JSON form that this wgfleet writes, and the only one that it carries out.
    pub const VERSION: u32 = 2;

    /// A plan of these hosts, with nothing said of orphans and flows.
    #[must_use]
    pub const fn new(fleet: FleetName, hosts: Vec<HostPlan>) -> Self {
        Self {
            version: Self::VERSION,
            fleet,
            secrets: SecretState::Compared,
            hosts,
            orphans: Vec::new(),
            newer: Vec::new(),
            reachability: None,
        }
    }

    /// Takes what the plan changes about who reaches whom, and tells each host what it loses, and what
    /// it feels of the changes to others. `runs` is the fleet as it runs before.
    pub fn reach(&mut self, difference: Difference, runs: &Topology) {
        for host in &mut self.hosts {
            host.feels.flows = difference.lost_at.get(&host.host).copied().unwrap_or_default();
            host.disruption = host.feels.worst();
        }
        elsewhere::spread(&mut self.hosts, runs);
        self.reachability = Some(difference);
    }

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

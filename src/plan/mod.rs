//! The difference between what is wanted and what is there, as a value.
//!
//! [`diff_host`] is pure: the same inputs give the same plan, byte for byte. No secret is in a plan.

mod alike;
mod binding;
mod change;
mod checkout;
mod compare;
mod compile;
mod derived;
mod diff;
mod disruption;
mod doing;
mod drift;
mod drifted;
mod elsewhere;
mod field;
mod files;
mod firewall;
mod forbid;
mod form;
mod former;
mod forwarding;
mod heading;
mod helper;
mod hooks;
mod host;
mod identity;
mod kept;
mod lans;
mod left;
mod lines;
mod manager;
mod names;
mod new;
mod obstacle;
mod orphan;
mod ownership;
mod paths;
mod peer;
mod quick;
mod read;
mod record;
mod remains;
mod rename;
mod renames;
mod resolve;
mod rollout;
mod running;
mod said;
mod saved;
mod seen;
mod stale;
mod tables;
mod target;
mod told;
mod value;
mod weight;
mod without;

pub use change::{Change, DiffLine, FileAction, HookWhen};
pub use checkout::{Because, Newer, older};
pub use compare::{
    Base, CompareError, ComparedRoute, Comparison, HostAction, HostComparison, PeerName, Setting,
    SettingName, Side, StandIns, Value, compare_hosts,
};
pub use compile::{Mode, Op, Payload, Saved, Seconds, Staged, Sysctl};
pub use diff::diff_host;
pub use disruption::{Disruption, Elsewhere, Felt};
pub use drifted::Drifted;
pub use field::{DeviceField, Field, FieldChange, PeerField};
pub use firewall::Firewall;
pub use forbid::{Hit, hits};
pub use form::FormError;
pub use forwarding::HEARS_AS_A_ROUTER;
pub use helper::{HELPER, HELPER_FOLDER, HelperSource};
pub use host::{HostPlan, HostState};
pub use identity::{same_machines, stranger};
pub use kept::{Keeps, KeptLink, Standing, Standstill, hold, with_kept};
pub use manager::{files_of, units_of};
pub use names::Names;
pub use new::{NewInterface, NewPeer};
pub use obstacle::{Obstacle, Owner};
pub use orphan::{LeftOut, Orphan, OrphanKind, Remembered, orphans, removed_hosts};
pub use ownership::clash;
pub use peer::PeerRef;
pub use record::{Provenance, record};
pub use remains::{FormerTarget, Found, LiveInterface, NotAsked, Remains, Says};
pub use rename::Rename;
pub use resolve::resolve;
pub use rollout::{
    Against, Coupling, Group, LostFlow, Rollout, RolloutSettings, TooLargeGroup, Wave, changing,
    rollout, why as why_together,
};
pub use running::running;
pub use saved::{MacError, SaveError, verify};
pub use stale::{leave_out, moved, of_another};
pub use target::{RenderedHost, SecretState, Target, TargetFile, TargetInterface};
pub use weight::TooLarge;
pub use without::WithoutSecrets;

use crate::check::Difference;
use crate::model::{Document, FleetName, HostName};
use crate::observed::Unanswered;
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
    /// Hosts that were changed from newer files than these; carrying it out would give them an older state.
    pub newer: Vec<Newer>,
    /// The flows that it makes work or stop; `None` where nobody asked.
    pub reachability: Option<Difference>,
    /// Which hosts change together, and in which order; `None`: each by itself, in one wave.
    pub rollout: Option<Rollout>,
    /// Links that keep their old values, because one of their ends cannot change now.
    pub kept: Vec<KeptLink>,
}

impl Document for Plan {
    const KIND: &'static str = "plan";
    const VERSION: u32 = Self::VERSION;
}

impl Plan {
    /// Version of the JSON form that this wgfleet writes, and the only one that it carries out.
    pub const VERSION: u32 = 5;

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
            rollout: None,
            kept: Vec::new(),
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
    pub fn unreadable(&self) -> impl Iterator<Item = (&HostName, &Unanswered)> {
        self.hosts.iter().filter_map(|host| match &host.state {
            HostState::Unreadable(reason) => Some((&host.host, reason)),
            HostState::Ready | HostState::Blocked(_) => None,
        })
    }

    /// Hosts whose changes cannot be made, with the reasons.
    pub fn blocked(&self) -> impl Iterator<Item = (&HostName, &Obstacle)> {
        self.hosts.iter().filter_map(|host| match &host.state {
            HostState::Blocked(reason) => Some((&host.host, reason)),
            HostState::Ready | HostState::Unreadable(_) => None,
        })
    }
}

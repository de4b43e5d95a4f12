//! What a rollout is: waves of groups of hosts, and what holds a group together.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::settings::RolloutSettings;
use crate::check::{Clash, Clashing};
use crate::finding::{FlowEnd, Witness};
use crate::model::HostName;

/// A rollout: which hosts change together, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What changes at once, in order. Between two waves, and whichever groups of a wave were rolled back,
    /// every flow works that works before and after the whole, but those of `lost`.
    pub waves: Vec<Wave>,
    /// How many flows work before and after.
    pub flows: u64,
    /// Flows that cease to work while a host waits for its own change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostFlow>,
    /// Groups that the order of waves had to give way to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Against>,
    /// How many hosts may have to change together, where the inventory says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_group: Option<usize>,
}

/// What changes at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Hosts that change together or not at all, each group by itself.
    pub groups: Vec<Group>,
}

/// Hosts that change together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The hosts, in order of the file.
    pub hosts: Vec<HostName>,
    /// What holds them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub couplings: Vec<Coupling>,
}

/// Two hosts, and others that are like them, that have to change together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Coupling {
    /// One of the two.
    pub a: HostName,
    /// The other.
    pub b: HostName,
    /// How many hosts it holds together: these two, and those that are like them.
    pub hosts: usize,
    /// Why the flows do not work while one has changed and the other has not.
    pub because: Clashing,
    /// Where one of the flows begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// Its packet.
    pub witness: Witness,
    /// How many flows there are.
    pub flows: u64,
}

/// Flows that work, and cease to work because one of two hosts changes and the other cannot now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LostFlow {
    /// The host that cannot change now: it was not read, it is blocked, or it is not asked to. The flows
    /// work again once it has changed as well.
    pub until: HostName,
    /// The host that changes.
    pub changes: HostName,
    /// Why they do not work in between.
    pub because: Clashing,
    /// Where one of the flows begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// Its packet.
    pub witness: Witness,
    /// How many flows there are.
    pub flows: u64,
}

/// A rule of the order that a group is against: it has to change together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "rule", deny_unknown_fields)]
pub enum Against {
    /// All hubs of a network change in one wave.
    AllHubs {
        /// The network.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        network: String,
        /// Its hubs.
        hosts: Vec<HostName>,
    },
    /// Several gateways of a site change in one wave.
    GatewaysOfSite {
        /// The site.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        site: String,
        /// Those gateways.
        hosts: Vec<HostName>,
    },
}

/// A group of more hosts than may change together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLargeGroup {
    /// The group.
    pub group: Group,
    /// How many hosts it may have.
    pub max_group: usize,
}

impl std::error::Error for TooLargeGroup {}

impl fmt::Display for TooLargeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.group.hosts.len();
        write!(
            f,
            "{hosts} hosts would have to change together, and `max_group` is {}",
            self.max_group
        )?;
        if let Some(largest) = self.group.couplings.iter().max_by_key(|coupling| coupling.hosts) {
            write!(
                f,
                ": between `{}` and `{}`, {}; {}",
                largest.a,
                largest.b,
                why(largest.because),
                split(largest.because)
            )?;
        }
        Ok(())
    }
}

/// Why two hosts have to change together.
#[must_use]
pub const fn why(because: Clashing) -> &'static str {
    match because {
        Clashing::Key => "one would know the other by another key than it has",
        Clashing::PresharedKey => "the two would have different preshared keys",
        Clashing::Port => "one would send to a port where the other does not listen",
        Clashing::Session => "the end that has something to send could not begin the session",
        Clashing::Carrier => "the tunnel that carries their encrypted packets changes",
        Clashing::AllowedIps => "one would not accept the source of the other's packets",
        Clashing::Route => "one would have no route to what the other leads to",
        Clashing::Forwarding => "one would not forward what the other sends through it",
        Clashing::Address => "the address would be at another place",
        Clashing::Gateway => "a machine of the LAN may choose a gateway that has no way",
        Clashing::Loop => "packets would loop between them",
        Clashing::Unproved => "the flow depends on too many hosts to try every order",
    }
}

/// What takes such a group apart.
const fn split(because: Clashing) -> &'static str {
    match because {
        Clashing::Key => "change keys host by host with `wgfleet rotate`",
        Clashing::PresharedKey => "begin with `psk: pairwise` on part of the links",
        Clashing::Port => "give the new port to part of the hosts at a time",
        Clashing::Address => "move part of the addresses at a time",
        Clashing::Session
        | Clashing::Carrier
        | Clashing::AllowedIps
        | Clashing::Route
        | Clashing::Forwarding
        | Clashing::Gateway
        | Clashing::Loop
        | Clashing::Unproved => {
            "add the new links first, and remove the old ones in a change of its own"
        }
    }
}

impl Coupling {
    pub(super) fn of(clash: &Clash) -> Self {
        Self {
            a: clash.a.clone(),
            b: clash.b.clone(),
            hosts: clash.hosts.len(),
            because: clash.because,
            from: clash.from.clone(),
            to: clash.to.clone(),
            witness: clash.witness.clone(),
            flows: clash.flows,
        }
    }
}

impl LostFlow {
    pub(super) fn of(clash: &Clash) -> Self {
        Self {
            until: clash.a.clone(),
            changes: clash.b.clone(),
            because: clash.because,
            from: clash.from.clone(),
            to: clash.to.clone(),
            witness: clash.witness.clone(),
            flows: clash.flows,
        }
    }
}

impl Rollout {
    /// Every group, in order of waves.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.waves.iter().flat_map(|wave| &wave.groups)
    }

    /// Whether every host changes by itself, all in one wave, and nothing is lost.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let alone = self.groups().all(|group| group.hosts.len() == 1);
        alone && self.waves.len() <= 1 && self.lost.is_empty()
    }

    /// Whether every flow that works before and after works in between.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.lost.is_empty()
    }

    /// Whether the same hosts change together as in another one, in whichever waves.
    #[must_use]
    pub fn has_groups_of(&self, other: &Self) -> bool {
        let groups = |of: &Self| -> BTreeSet<Vec<HostName>> {
            of.groups().map(|group| group.hosts.clone()).collect()
        };
        groups(self) == groups(other)
    }

    /// How many hosts may have to change together.
    #[must_use]
    pub fn most_together(&self) -> usize {
        self.max_group.unwrap_or(RolloutSettings::MAX_GROUP)
    }

    /// That no group has more than `max_group` hosts.
    ///
    /// # Errors
    /// The largest group that has.
    pub fn within(&self, max_group: usize) -> Result<(), Box<TooLargeGroup>> {
        let largest = self.groups().max_by_key(|group| group.hosts.len());
        match largest.filter(|group| group.hosts.len() > max_group) {
            Some(group) => Err(Box::new(TooLargeGroup { group: group.clone(), max_group })),
            None => Ok(()),
        }
    }
}

//! What wgfleet set up somewhere and the inventory no longer has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::heading::Heading;
use super::host::{HostPlan, HostState};
use super::remains::{Found, Remains, running};
use super::{Change, paths};
use crate::desired::DesiredState;
use crate::inventory::{Absence, Inventory};
use crate::model::{HostName, InterfaceName, NetworkName, PublicKey};
use crate::observed::{ObservedHost, Record, Unanswered};

/// Something that is still there, or may be, and that no inventory looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// Its name in the inventory that had it.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub name: String,
    /// The host that it is on, where it is not a host itself.
    pub host: Option<HostName>,
    /// Of a host or a peer that is still written: why the inventory leaves it out.
    #[serde(default)]
    pub left_out: Option<LeftOut>,
    /// The interfaces that run there still; `None` where that could not be read.
    pub runs: Option<Vec<InterfaceName>>,
    /// Of a host: what is known of its machine.
    #[serde(default)]
    pub remains: Option<Remains>,
    /// Of a host: those of the fleet that were read and have it as a peer now.
    #[serde(default)]
    pub peer_of: Vec<HostName>,
    /// Those of them that still have it once the plan is carried out.
    #[serde(default)]
    pub stays_peer_of: Vec<HostName>,
}

impl Orphan {
    /// One of which no more is known.
    #[must_use]
    pub fn new(kind: OrphanKind, name: String, runs: Option<Vec<InterfaceName>>) -> Self {
        let (peer_of, stays_peer_of) = (Vec::new(), Vec::new());
        let left_out = None;
        Self { kind, name, host: None, left_out, runs, remains: None, peer_of, stays_peer_of }
    }

    /// The same without ssh's words about a machine that could not be read, which differ from one time
    /// to the next.
    #[must_use]
    pub(super) fn without_reason(mut self) -> Self {
        if let Some(Remains { found: Found::Unreadable { reason }, .. }) = &mut self.remains {
            *reason = Unanswered::NotTold;
        }
        self
    }
}

/// Why the inventory leaves out a host or a peer that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "why", deny_unknown_fields)]
pub enum LeftOut {
    /// It says `enabled: false`.
    Disabled,
    /// Its time is over.
    Over {
        /// Its last day or moment, as it is written.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        until: String,
    },
}

impl From<&Absence> for LeftOut {
    fn from(why: &Absence) -> Self {
        match why {
            Absence::Disabled(_) => Self::Disabled,
            Absence::Over(until) => Self::Over { until: until.value.to_string() },
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("disabled"),
            Self::Over { until } => write!(f, "its time was over with {until}"),
        }
    }
}

/// What an orphan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OrphanKind {
    /// A host.
    Host,
    /// A network.
    Network,
    /// An interface of a host that the inventory still has.
    Interface,
}

/// What is remembered of a fleet beside its inventory.
#[derive(Debug)]
pub struct Remembered<'a> {
    /// Networks and members that the lock file has addresses of.
    pub pins: Vec<(&'a NetworkName, &'a HostName)>,
    /// Names that the vault has keys of.
    pub keys: Vec<&'a HostName>,
    /// What the machines said that were read, by the hosts of the inventory that they were taken for,
    /// with their records.
    pub seen: BTreeMap<&'a HostName, (&'a ObservedHost, Option<&'a Record>)>,
    /// What is known of the machines of hosts that the inventory no longer has.
    pub remains: &'a BTreeMap<HostName, Remains>,
    /// The names that keys have or had.
    pub names: &'a BTreeMap<PublicKey, HostName>,
}

/// What wgfleet set up and the inventory no longer has; an interface that a plan removes is told by
/// that change.
#[must_use]
pub fn orphans(
    inventory: &Inventory,
    state: &DesiredState,
    remembered: &Remembered<'_>,
    plans: &[HostPlan],
) -> Vec<Orphan> {
    let mut orphans = hosts(inventory, state, remembered, plans);
    orphans.extend(networks(inventory, remembered));
    orphans.extend(interfaces(state, remembered, plans));
    orphans
}

/// The names that the lock file has addresses of, or the vault keys, and that are neither hosts nor peers
/// of the inventory.
#[must_use]
pub fn removed_hosts<'a>(
    inventory: &Inventory,
    pinned: impl IntoIterator<Item = &'a HostName>,
    keyed: impl IntoIterator<Item = &'a HostName>,
) -> BTreeSet<&'a HostName> {
    let known: BTreeSet<&HostName> = inventory
        .hosts
        .iter()
        .map(|host| &host.name.value)
        .chain(inventory.peers.iter().map(|peer| &peer.name.value))
        .collect();
    let all = pinned.into_iter().chain(keyed);
    all.filter(|name| !known.contains(name)).collect()
}

fn hosts(
    inventory: &Inventory,
    state: &DesiredState,
    remembered: &Remembered<'_>,
    plans: &[HostPlan],
) -> Vec<Orphan> {
    let pinned = remembered.pins.iter().map(|(_, host)| *host);
    let gone = removed_hosts(inventory, pinned, remembered.keys.iter().copied());
    let orphan = |name: &HostName| {
        let remains = remembered.remains.get(name);
        let own = remains.is_some_and(|remains| matches!(remains.found, Found::Own { .. }));
        // A machine that another host of the inventory leads to may say that it is this one.
        let elsewhere = remembered.seen.values().filter(|_| !own).find_map(|(observed, kept)| {
            let record = kept.filter(|record| record.host == *name)?;
            Some(Remains { login: None, found: Found::own(record, observed) })
        });
        let remains = elsewhere.or_else(|| remains.cloned());
        let runs = remains.as_ref().and_then(|remains| remains.found.runs());
        let peers = peers_of(name, state, remembered, plans);
        let stays = peers.iter().filter(|(_, stays)| *stays).map(|(host, _)| host.clone());
        let stays_peer_of = stays.collect();
        let peer_of = peers.into_iter().map(|(host, _)| host).collect();
        let orphan = Orphan::new(OrphanKind::Host, name.to_string(), runs);
        let left_out = inventory.absent(name).map(|absent| LeftOut::from(&absent.why));
        Orphan { left_out, remains, peer_of, stays_peer_of, ..orphan }
    };
    gone.into_iter().map(orphan).collect()
}

/// The hosts that have one as a peer, and whether they still have once the plan is carried out.
fn peers_of(
    name: &HostName,
    state: &DesiredState,
    remembered: &Remembered<'_>,
    plans: &[HostPlan],
) -> Vec<(HostName, bool)> {
    let is_its = |key: &PublicKey| remembered.names.get(key) == Some(name);
    let hosts = state.hosts.iter().filter_map(|host| {
        let (observed, _) = remembered.seen.get(&host.name)?;
        let having = observed.interfaces.iter().filter(|(_, live)| live.peers.keys().any(is_its));
        let having: Vec<&InterfaceName> = having.map(|(interface, _)| interface).collect();
        let share = plans.iter().find(|share| share.host == host.name);
        let share = share.filter(|share| share.state == HostState::Ready);
        let goes = |interface: &InterfaceName| {
            let changes = share.map_or(&[][..], |share| &share.changes);
            changes.iter().any(|change| match change {
                Change::RemovePeer { interface: own, peer } => {
                    own == interface && is_its(&peer.key)
                }
                Change::Delete { interface: own } | Change::Restart { interface: own, .. } => {
                    own == interface
                }
                _ => false,
            })
        };
        let stays = !having.iter().all(|interface| goes(interface));
        (!having.is_empty()).then(|| (host.name.clone(), stays))
    });
    hosts.collect()
}

/// Networks of which something runs, or may run on hosts that were not read. Hosts that have left the
/// inventory are orphans themselves.
fn networks(inventory: &Inventory, remembered: &Remembered<'_>) -> Vec<Orphan> {
    let known: BTreeSet<&NetworkName> =
        inventory.networks.iter().map(|network| &network.name.value).collect();
    let hosts: BTreeSet<&HostName> = inventory.hosts.iter().map(|host| &host.name.value).collect();
    let mut members: BTreeMap<&NetworkName, Vec<&HostName>> = BTreeMap::new();
    for (network, host) in remembered.pins.iter().filter(|(network, _)| !known.contains(network)) {
        members.entry(network).or_default().extend(Some(*host).filter(|host| hosts.contains(host)));
    }
    let gone = members.into_iter().filter_map(|(network, members)| {
        let all_read = members.iter().all(|host| remembered.seen.contains_key(host));
        let there = remembered.seen.values();
        let runs: BTreeSet<InterfaceName> =
            there.flat_map(|(observed, _)| of_network(inventory, network, observed)).collect();
        if all_read && runs.is_empty() {
            return None;
        }
        let runs = (all_read || !runs.is_empty()).then(|| runs.into_iter().collect());
        Some(Orphan::new(OrphanKind::Network, network.to_string(), runs))
    });
    gone.collect()
}

/// The interfaces that run on a host and whose files name a network.
fn of_network(
    inventory: &Inventory,
    network: &NetworkName,
    observed: &ObservedHost,
) -> Vec<InterfaceName> {
    let fleet = &inventory.fleet.value;
    let own = observed.interfaces.keys().filter(|name| {
        let file = observed.files.get(&paths::conf(name));
        let heading = file.and_then(|file| Heading::of(&file.public_text));
        heading.is_some_and(|heading| heading.network == *network && heading.fleet == *fleet)
    });
    own.cloned().collect()
}

/// Interfaces that a record says wgfleet made, that run with the key that it says, and that neither the
/// inventory nor a change of the plan is about: their files are gone, or are no longer wgfleet's.
fn interfaces(
    state: &DesiredState,
    remembered: &Remembered<'_>,
    plans: &[HostPlan],
) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for host in &state.hosts {
        let Some((observed, Some(record))) = remembered.seen.get(&host.name) else { continue };
        if record.host != host.name {
            continue;
        }
        let wanted = |name: &InterfaceName| host.interfaces.iter().any(|own| own.name == *name);
        let share = plans.iter().find(|share| share.host == host.name);
        let changes = share.map_or(&[][..], |share| &share.changes);
        for (name, _) in running(record, observed).filter(|(name, _)| !wanted(name)) {
            if changes.iter().any(|change| change.interface() == Some(name)) {
                continue;
            }
            let runs = Some(vec![name.clone()]);
            let orphan = Orphan::new(OrphanKind::Interface, name.to_string(), runs);
            orphans.push(Orphan { host: Some(host.name.clone()), ..orphan });
        }
    }
    orphans
}

#[cfg(test)]
#[path = "orphan_tests.rs"]
mod tests;

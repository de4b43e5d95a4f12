//! What wgfleet set up somewhere and the inventory no longer has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::heading::Heading;
use super::host::HostPlan;
use super::paths;
use crate::desired::DesiredState;
use crate::inventory::Inventory;
use crate::model::{HostName, InterfaceName, NetworkName};
use crate::observed::{ObservedHost, Record};

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
    /// The interfaces that run there still; `None` where that could not be read.
    pub runs: Option<Vec<InterfaceName>>,
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
#[derive(Debug, Default)]
pub struct Remembered<'a> {
    /// Networks and members that the lock file has addresses of.
    pub pins: Vec<(&'a NetworkName, &'a HostName)>,
    /// Names that the vault has keys of.
    pub keys: Vec<&'a HostName>,
    /// What the machines said that were read, by the hosts of the inventory that they were taken for,
    /// with their records.
    pub seen: BTreeMap<&'a HostName, (&'a ObservedHost, Option<&'a Record>)>,
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
    let mut orphans = hosts(inventory, remembered);
    orphans.extend(networks(inventory, remembered));
    orphans.extend(interfaces(state, remembered, plans));
    orphans
}

fn hosts(inventory: &Inventory, remembered: &Remembered<'_>) -> Vec<Orphan> {
    let known: BTreeSet<&HostName> = inventory
        .hosts
        .iter()
        .map(|host| &host.name.value)
        .chain(inventory.peers.iter().map(|peer| &peer.name.value))
        .collect();
    let pinned = remembered.pins.iter().map(|(_, host)| *host);
    let all: BTreeSet<&HostName> = pinned.chain(remembered.keys.iter().copied()).collect();
    let gone = all.into_iter().filter(|name| !known.contains(name));
    gone.map(|name| {
        // A machine that another host of the inventory leads to may say that it is this one.
        let there = remembered.seen.values().find_map(|(observed, kept)| {
            let record = kept.filter(|record| record.host == *name)?;
            Some(running(record, observed).cloned().collect())
        });
        Orphan { kind: OrphanKind::Host, name: name.to_string(), host: None, runs: there }
    })
    .collect()
}

/// The interfaces of a record that run still.
fn running<'a>(
    record: &'a Record,
    observed: &'a ObservedHost,
) -> impl Iterator<Item = &'a InterfaceName> {
    let own = record.interfaces.iter().filter(|(name, key)| {
        observed.interfaces.get(*name).is_some_and(|live| live.public_key.as_ref() == Some(*key))
    });
    own.map(|(name, _)| name)
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
        Some(Orphan { kind: OrphanKind::Network, name: network.to_string(), host: None, runs })
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
        for name in running(record, observed).filter(|name| !wanted(name)) {
            if changes.iter().any(|change| change.interface() == Some(name)) {
                continue;
            }
            orphans.push(Orphan {
                kind: OrphanKind::Interface,
                name: name.to_string(),
                host: Some(host.name.clone()),
                runs: Some(vec![name.clone()]),
            });
        }
    }
    orphans
}

#[cfg(test)]
#[path = "orphan_tests.rs"]
mod tests;

//! The names that a shell completes: of hosts, sites, groups and networks, and of labs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::mpsc;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::line::{Named, words};
use crate::inventory::Inventory;
use crate::lab::{Lab, Spec};

/// How long reading an inventory may take; whoever types does not wait for more.
const PATIENCE: Duration = Duration::from_secs(2);

/// A name, and what has it.
type Name = (String, &'static str);

/// Managed hosts.
pub(in crate::cli) fn hosts() -> ArgValueCandidates {
    of_inventory(hosts_of)
}

/// Hosts, and unmanaged peers whose keys the vault makes.
pub(in crate::cli) fn key_holders() -> ArgValueCandidates {
    of_inventory(|inventory| {
        let peers = inventory.peers.iter().filter(|peer| peer.settings.public_key.is_none());
        let peers = peers.map(|peer| (peer.name.value.to_string(), "unmanaged peer"));
        hosts_of(inventory).into_iter().chain(peers).collect()
    })
}

/// Unmanaged peers.
pub(in crate::cli) fn peers() -> ArgValueCandidates {
    of_inventory(|inventory| {
        let peers = inventory.peers.iter().map(|peer| peer.name.value.to_string());
        peers.map(|name| (name, "unmanaged peer")).collect()
    })
}

/// Hosts, and all unmanaged peers.
pub(in crate::cli) fn machines() -> ArgValueCandidates {
    of_inventory(machines_of)
}

/// Where a flow can begin and end.
pub(in crate::cli) fn ends() -> ArgValueCandidates {
    of_inventory(|inventory| {
        let mut names = machines_of(inventory);
        names.extend(several(inventory));
        names.push(("internet".to_owned(), "everything outside the fleet"));
        names
    })
}

/// Hosts, and what stands for several of them.
pub(in crate::cli) fn selections() -> ArgValueCandidates {
    of_inventory(|inventory| hosts_of(inventory).into_iter().chain(several(inventory)).collect())
}

/// Sites, groups and networks.
fn several(inventory: &Inventory) -> Vec<Name> {
    let sites = inventory.sites.iter().map(|site| site.name.value.to_string());
    let mut names: Vec<Name> = sites.map(|name| (name, "site")).collect();
    let groups = inventory.hosts.iter().flat_map(|host| &host.groups);
    let groups: BTreeSet<String> = groups.map(ToString::to_string).collect();
    names.extend(groups.into_iter().map(|name| (name, "group")));
    let networks = inventory.networks.iter().map(|network| network.name.value.to_string());
    names.extend(networks.map(|name| (name, "network")));
    names
}

/// The hosts of a lab.
pub(in crate::cli) fn lab_hosts() -> ArgValueCandidates {
    of_inventory(|inventory| {
        let all = ("all".to_owned(), "every host");
        hosts_of(inventory).into_iter().chain([all]).collect()
    })
}

/// Everything in a lab that commands can be run in.
pub(in crate::cli) fn nodes() -> ArgValueCandidates {
    of_inventory(|inventory| {
        let Ok(spec) = Spec::from_inventory(inventory) else { return Vec::new() };
        spec.nodes().map(|(_, name)| (name.to_owned(), "node of the lab")).collect()
    })
}

/// The labs that are up.
pub(in crate::cli) fn labs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        Lab::list().iter().map(|lab| CompletionCandidate::new(lab.to_string())).collect()
    })
}

fn machines_of(inventory: &Inventory) -> Vec<Name> {
    let peers = inventory.peers.iter().map(|peer| peer.name.value.to_string());
    hosts_of(inventory).into_iter().chain(peers.map(|name| (name, "unmanaged peer"))).collect()
}

fn hosts_of(inventory: &Inventory) -> Vec<Name> {
    inventory.hosts.iter().map(|host| (host.name.value.to_string(), "host")).collect()
}

/// What a list makes of the inventory that the line names; nothing where that cannot be read, or not
/// in time.
fn of_inventory(list: fn(&Inventory) -> Vec<Name>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let (tell, told) = mpsc::channel();
        // The process ends with the answer, whatever this thread still waits for.
        std::thread::spawn(move || {
            let given: Vec<OsString> = std::env::args_os().collect();
            let named = Named::of(&words(&given).unwrap_or_default());
            let inventory = named.and_then(|named| named.read());
            let _ = tell.send(inventory.map(|inventory| list(&inventory)));
        });
        let names = told.recv_timeout(PATIENCE).ok().flatten().unwrap_or_default();
        let candidate = |(name, what): Name| CompletionCandidate::new(name).help(Some(what.into()));
        names.into_iter().map(candidate).collect()
    })
}

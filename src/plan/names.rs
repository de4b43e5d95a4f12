//! The names on a host of what fleets would otherwise share: a table of rules and two files.
//!
//! They carry the fleet's name, so that fleets on one machine leave one another alone. Version 0.1.0
//! gave every fleet the same names; whose those are is decided by what stands there.

use std::collections::BTreeSet;

use super::heading::fleet_named;
use super::ownership::Others;
use super::{manager, paths};
use crate::model::{FleetName, HostPath, InterfaceName};
use crate::observed::{ObservedFile, ObservedHost};

/// The table of nftables that every fleet had before names carried the fleet.
pub(super) const LEGACY_TABLE: &str = "wgfleet";

/// The file of rules that every fleet had.
pub(super) const LEGACY_FIREWALL_FILE: &str = "/etc/wireguard/wgfleet.nft";

/// The file of sysctls that every fleet had.
pub(super) const LEGACY_SYSCTL_FILE: &str = "/etc/sysctl.d/60-wgfleet.conf";

/// What the path of a file of rules begins with, before the fleet's name.
const RULES: &str = "/etc/wireguard/wgfleet-";

/// What the path of a file of sysctls begins with.
const KERNEL: &str = "/etc/sysctl.d/60-wgfleet-";

/// The names of one fleet. No two fleets have one in common: a fleet's name is part of each as it is.
///
/// nft(8) takes letters, digits, `-` and `.` in the name of a table, at most 255 characters; a fleet's
/// name has at most 63.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    fleet: FleetName,
    /// The table of nftables, of family inet.
    pub table: String,
    /// Where its rules are kept: units load it after they have started their interface.
    pub firewall_file: HostPath,
    /// Where forwarding is kept for the next boot.
    pub sysctl_file: HostPath,
}

/// Whose something is that has no fleet in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// This fleet's.
    Ours,
    /// Another fleet's, or perhaps another fleet's.
    Another(FleetName),
}

impl Names {
    /// The names of a fleet.
    #[must_use]
    pub fn of(fleet: &FleetName) -> Self {
        Self {
            fleet: fleet.clone(),
            table: format!("wgfleet-{fleet}"),
            firewall_file: HostPath::made(&format!("{RULES}{fleet}.nft")),
            sysctl_file: HostPath::made(&format!("{KERNEL}{fleet}.conf")),
        }
    }

    /// Whether a host has rules of this fleet.
    #[must_use]
    pub fn masquerades(&self, observed: &ObservedHost) -> bool {
        observed.firewalls.contains_key(&self.table)
            || (observed.firewalls.contains_key(LEGACY_TABLE)
                && self.legacy_rules(observed) == Owner::Ours)
    }

    /// Whether a file that wgfleet wrote may be this fleet's: not where it names another one, or its
    /// interface does, and where neither names any, not where another one recorded it.
    pub(super) fn may_own(&self, path: &str, observed: &ObservedHost) -> bool {
        let another = |fleet: FleetName| fleet != self.fleet;
        match path {
            LEGACY_FIREWALL_FILE => self.legacy_rules(observed) == Owner::Ours,
            LEGACY_SYSCTL_FILE => self.legacy_sysctls(observed) == Owner::Ours,
            path => match fleet_of_path(path) {
                Some(fleet) => !another(fleet),
                None => interface_of_path(path)
                    .and_then(|name| fleet_of_interface(&name, observed))
                    .map_or_else(
                        || !Others::of(&self.fleet, observed).recorded(path),
                        |fleet| !another(fleet),
                    ),
            },
        }
    }

    /// The sysctls of this fleet, whatever the name of their file.
    pub(super) fn own_sysctls<'o>(&self, observed: &'o ObservedHost) -> Option<&'o ObservedFile> {
        let own = observed.files.get(&self.sysctl_file);
        own.or_else(|| {
            let legacy = observed.files.get(LEGACY_SYSCTL_FILE)?;
            (self.legacy_sysctls(observed) == Owner::Ours).then_some(legacy)
        })
    }

    /// The sysctls of other fleets on the same machine.
    pub(super) fn other_sysctls<'o>(
        &self,
        observed: &'o ObservedHost,
    ) -> impl Iterator<Item = &'o ObservedFile> {
        let legacy = self.legacy_sysctls(observed) != Owner::Ours;
        let another = move |path: &str| match path {
            LEGACY_SYSCTL_FILE => legacy,
            path => {
                path.starts_with(paths::SYSCTLS)
                    && fleet_of_path(path).is_some_and(|fleet| fleet != self.fleet)
            }
        };
        let files = observed.files.iter().filter(move |(path, _)| another(path));
        files.map(|(_, file)| file).collect::<Vec<_>>().into_iter()
    }

    /// Whose the rules are that have no fleet in their name: they name the interfaces that they are
    /// about, and the files of those name the fleet.
    pub(super) fn legacy_rules(&self, observed: &ObservedHost) -> Owner {
        let file = observed.files.get(LEGACY_FIREWALL_FILE);
        let text = file.map_or("", |file| file.public_text.as_str());
        let fleets: BTreeSet<FleetName> =
            tunnels(text).iter().filter_map(|name| fleet_of_interface(name, observed)).collect();
        if fleets.contains(&self.fleet) {
            return Owner::Ours;
        }
        match fleets.into_iter().next() {
            Some(fleet) => Owner::Another(fleet),
            None => self.legacy_sysctls(observed),
        }
    }

    /// Whose the sysctls are that have no fleet in their name. Nothing in them tells: they are this
    /// fleet's unless another one that 0.1.0 may have set up is on the machine too.
    pub(super) fn legacy_sysctls(&self, observed: &ObservedHost) -> Owner {
        let named: BTreeSet<FleetName> =
            observed.files.keys().filter_map(|path| fleet_of_path(path)).collect();
        let fleets = observed.files.keys().filter_map(|path| paths::interface_of(path));
        let mut fleets = fleets.filter_map(|name| fleet_of_interface(&name, observed));
        let waiting = fleets.find(|fleet| {
            // One that a later version has set up has names of its own, or a record.
            *fleet != self.fleet
                && !named.contains(fleet)
                && !observed.records.contains_key(fleet.as_str())
        });
        waiting.map_or(Owner::Ours, Owner::Another)
    }
}

impl Names {
    /// What has no fleet in its name and is perhaps another's.
    pub(super) fn left_alone(&self, observed: &ObservedHost) -> Vec<String> {
        let rules = observed.files.get_key_value(LEGACY_FIREWALL_FILE);
        let sysctls = observed.files.get_key_value(LEGACY_SYSCTL_FILE);
        let of = |owner: Owner| match owner {
            Owner::Ours => None,
            Owner::Another(fleet) => Some(fleet),
        };
        let mut notes = Vec::new();
        for (there, owner) in
            [(rules, self.legacy_rules(observed)), (sysctls, self.legacy_sysctls(observed))]
        {
            if let (Some((path, _)), Some(fleet)) = (there, of(owner)) {
                notes.push(format!(
                    "{path} is left as it is: version 0.1.0 wrote it, and fleet {fleet}, which is on \
                     this machine too, may need it"
                ));
            }
        }
        notes
    }
}

/// The fleet that the name of a file of rules or sysctls carries.
pub(super) fn fleet_of_path(path: &str) -> Option<FleetName> {
    let within = |before: &str, after: &str| path.strip_prefix(before)?.strip_suffix(after);
    let fleet = within(RULES, ".nft").or_else(|| within(KERNEL, ".conf"))?;
    fleet.parse().ok()
}

/// The interface of a file of wg-quick(8), or of one that whoever configures it has beside that.
fn interface_of_path(path: &str) -> Option<InterfaceName> {
    manager::interface_of(path).or_else(|| paths::interface_of(path))
}

/// The fleet that the file of an interface names.
fn fleet_of_interface(name: &InterfaceName, observed: &ObservedHost) -> Option<FleetName> {
    let file = observed.files.get(&paths::conf(name))?;
    fleet_named(&file.public_text)
}

/// The interfaces that rules of masquerading name.
fn tunnels(text: &str) -> BTreeSet<InterfaceName> {
    let sets = text.lines().filter_map(|line| line.split_once("oifname != {")?.1.split('}').next());
    let names = sets.flat_map(|set| set.split(',')).map(|name| name.trim().trim_matches('"'));
    names.filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;

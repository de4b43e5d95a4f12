//! The tables of nftables that are not as they are to be.

use super::change::Change;
use super::names::{LEGACY_TABLE, Names, Owner};
use super::target::Target;
use crate::observed::ObservedHost;

/// The tables of this fleet that are not as they are to be.
pub(super) fn compare(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    let Names { table, .. } = &target.names;
    let live = observed.firewalls.get(table);
    match &target.firewall {
        Some(wanted) if live.is_none_or(|live| live.as_ref() != Some(&wanted.digest)) => {
            let digest = Some(wanted.digest.clone());
            changes.push(Change::Firewall { table: table.clone(), digest });
        }
        None if live.is_some() => {
            changes.push(Change::Firewall { table: table.clone(), digest: None });
        }
        _ => {}
    }
    // Nobody asks for it under its new name, or it has that already.
    if observed.firewalls.contains_key(LEGACY_TABLE)
        && target.names.legacy_rules(observed) == Owner::Ours
    {
        changes.push(Change::Firewall { table: LEGACY_TABLE.to_owned(), digest: None });
    }
}

//! What version 0.1.0 left under names without a fleet, and how it gets this fleet's name.
//!
//! Where only a name changes, the plan says so and nothing else: the difference is made from what the
//! host will be once the names are changed.

use super::names::{LEGACY_FIREWALL_FILE, LEGACY_SYSCTL_FILE, LEGACY_TABLE, Names, Owner};
use super::rename::{Rename, Renames};
use super::target::{Target, TargetFile};
use crate::desired::file_digest;
use crate::model::{FingerprintKey, HostPath};
use crate::observed::{ObservedFile, ObservedHost};

/// What of a host changes its name for `target`.
pub(super) fn of(target: &Target<'_>, observed: &ObservedHost, key: &FingerprintKey) -> Renames {
    let mut renames = Renames::default();
    let names = &target.names;
    let tables = &observed.firewalls;
    let rules = names.legacy_rules(observed) == Owner::Ours;
    if rules
        && target.firewall.is_some()
        && tables.contains_key(LEGACY_TABLE)
        && !tables.contains_key(&names.table)
    {
        let (from, to) = (LEGACY_TABLE.to_owned(), names.table.clone());
        renames.list.push(Rename::Table { from, to });
    }
    let sysctls = names.legacy_sysctls(observed) == Owner::Ours;
    let mut moved = Vec::new();
    for (ours, from, to) in [
        (sysctls, LEGACY_SYSCTL_FILE, &names.sysctl_file),
        (rules, LEGACY_FIREWALL_FILE, &names.firewall_file),
    ] {
        let (wanted, old) = (target.files.get(to), observed.files.get(from));
        if let (true, Some(wanted), Some(old)) = (ours, wanted, old)
            && !observed.files.contains_key(to)
        {
            // It is written anew, with its mode and owner.
            let mode = wanted.mode;
            let file = ObservedFile { mode, root: true, ..renamed(names, old, wanted, key) };
            let fingerprint = wanted.fingerprint;
            let (from, to) = (HostPath::made(from), to.clone());
            moved.push((from.clone(), to.clone(), file));
            renames.list.push(Rename::File { from, to, fingerprint });
        }
    }
    for (path, wanted) in target.files.iter().filter(|(_, file)| file.conf.is_none()) {
        let Some(old) = observed.files.get(path) else { continue };
        let file = renamed(names, old, wanted, key);
        if old.fingerprint != wanted.fingerprint && file.fingerprint == wanted.fingerprint {
            let from = HostPath::made(LEGACY_FIREWALL_FILE);
            let to = names.firewall_file.clone();
            let (path, fingerprint) = (path.clone(), wanted.fingerprint);
            moved.push((path.clone(), path.clone(), file));
            renames.list.push(Rename::Reference { path, from, to, fingerprint });
        }
    }
    renames.files = moved;
    renames
}

/// What a file is once its names are changed: the wanted one where nothing else differs.
fn renamed(
    names: &Names,
    old: &ObservedFile,
    wanted: &TargetFile,
    key: &FingerprintKey,
) -> ObservedFile {
    let table = |name: &str| format!("table inet {name}");
    let swap = |text: &str, from: (&str, &str), to: (&str, &str)| {
        text.replace(from.0, to.0).replace(&table(from.1), &table(to.1))
    };
    let legacy = (LEGACY_FIREWALL_FILE, LEGACY_TABLE);
    let own = (names.firewall_file.as_str(), names.table.as_str());
    // Made from what is wanted: the text that a host says of itself is not always its file's.
    let before = swap(&wanted.public_text, own, legacy);
    let mode = old.mode;
    if file_digest(key, before.as_bytes()) == old.fingerprint {
        let TargetFile { fingerprint, public_text, .. } = wanted.clone();
        return ObservedFile { mode, root: old.root, fingerprint, public_text };
    }
    let public_text = swap(&old.public_text, legacy, own);
    ObservedFile { mode, root: old.root, fingerprint: old.fingerprint, public_text }
}

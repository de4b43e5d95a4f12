//! Masquerading: one table of nftables for each fleet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::names::{LEGACY_TABLE, Names, Owner};
use super::{Change, Target};
use crate::desired::{DesiredHost, secret_digest};
use crate::model::FingerprintKey;
use crate::observed::ObservedHost;

/// The rules of masquerading of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// What the live rules carry as a comment, so that others are told from them.
    pub digest: String,
    /// Text for nft(8) that puts the whole table in place.
    pub text: String,
}

impl Firewall {
    /// The rules of a host; `None` where it masquerades nothing.
    pub(super) fn of(desired: &DesiredHost, names: &Names) -> Option<Self> {
        if desired.masquerade.is_empty() {
            return None;
        }
        let tunnels: Vec<String> =
            desired.interfaces.iter().map(|own| format!("\"{}\"", own.name)).collect();
        let tunnels = tunnels.join(", ");
        let mut rules = BTreeSet::new();
        for rule in &desired.masquerade {
            let family = if matches!(rule.source, IpNet::V4(_)) { "ip" } else { "ip6" };
            let mut line = format!("oifname != {{ {tunnels} }} {family} saddr {}", rule.source);
            if !rule.except.is_empty() {
                let except: Vec<String> = rule.except.iter().map(ToString::to_string).collect();
                let _ = write!(line, " {family} daddr != {{ {} }}", except.join(", "));
            }
            rules.insert(line);
        }
        let body = rules.iter().cloned().collect::<Vec<_>>().join("\n");
        let digest = secret_digest(&FingerprintKey::public(), body.as_bytes());
        let digest = digest.to_string()[..16].to_owned();
        let mut text = String::from(
            "# Managed by wgfleet: traffic of the tunnels leaves with this host's own address.\n",
        );
        text.push_str(&removal(&names.table));
        let _ = write!(
            text,
            "table inet {} {{\n\
             \tchain postrouting {{\n\
             \t\ttype nat hook postrouting priority srcnat; policy accept;\n",
            names.table
        );
        for rule in &rules {
            let _ = writeln!(text, "\t\t{rule} masquerade comment \"wgfleet-{digest}\"");
        }
        text.push_str("\t}\n}\n");
        Some(Self { digest, text })
    }
}

/// Text for nft(8) that removes a table, whether it is there or not.
pub(super) fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

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

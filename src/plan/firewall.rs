//! Masquerading: one table of nftables for each fleet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::names::Names;
use crate::desired::{DesiredHost, secret_digest};
use crate::model::FingerprintKey;

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

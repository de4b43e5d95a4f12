//! Which lines of a new wg0.conf say something that the plan's structured fields do not.

use std::collections::{BTreeSet, HashSet};

use crate::desired::{DesiredHost, DesiredInterface, DesiredPeer, EPOCH_LINE};
use crate::model::PublicKey;
use crate::observed::HIDDEN;
use crate::wgconf::{Heading, Line, Setting, lines};

/// The lines that people have to be shown beside a new interface's fields and hooks: none of the
/// default template's. Where the file leaves out what the fields say, the whole of it: then the next
/// boot is not what the fields say.
pub(super) fn unsaid<'a>(
    text: &'a str,
    host: &DesiredHost,
    wanted: &DesiredInterface,
) -> Vec<&'a str> {
    let mut reader = Reader::new(host, wanted);
    let unsaid = lines(text.as_bytes()).filter(|line| !reader.says(line));
    let unsaid: Vec<&str> = unsaid.map(|line| line.text()).collect();
    if reader.is_whole() { unsaid } else { text.lines().collect() }
}

/// Names and values that a section is to have, each once.
type Facts = Vec<(Setting, String)>;

fn of_interface(wanted: &DesiredInterface) -> Facts {
    let mut facts =
        vec![(Setting::PrivateKey, HIDDEN.to_owned()), (Setting::Mtu, wanted.mtu.to_string())];
    facts.extend(wanted.addresses.iter().map(|address| (Setting::Address, address.to_string())));
    facts.extend(wanted.listen_port.iter().map(|port| (Setting::ListenPort, port.to_string())));
    facts.extend(wanted.fwmark.iter().map(|mark| (Setting::FwMark, mark.to_string())));
    facts.extend(wanted.dns.iter().map(|dns| (Setting::Dns, dns.clone())));
    let table = wanted.table.to_string();
    facts.extend((table != "auto").then_some((Setting::Table, table)));
    facts
}

fn of_peer(peer: &DesiredPeer) -> Facts {
    let nets = peer.allowed_ips.iter().map(|net| (Setting::AllowedIps, net.to_string()));
    let mut facts: Facts = nets.collect();
    facts.extend(peer.endpoint.iter().map(|endpoint| (Setting::Endpoint, endpoint.to_string())));
    facts.extend(peer.keepalive.iter().map(|k| (Setting::PersistentKeepalive, k.to_string())));
    facts.extend(peer.psk_epoch.iter().map(|_| (Setting::PresharedKey, HIDDEN.to_owned())));
    facts
}

/// Goes through a file line by line.
struct Reader<'a> {
    wanted: &'a DesiredInterface,
    /// What the default template's first line begins with.
    head: String,
    names: HashSet<&'a str>,
    /// What the section that it is in has still to say.
    open: Facts,
    peers: BTreeSet<PublicKey>,
    /// Whether a section has ended that did not say all.
    lacks: bool,
}

impl<'a> Reader<'a> {
    fn new(host: &DesiredHost, wanted: &'a DesiredInterface) -> Self {
        let head =
            format!("{} on {}, network {} of fleet ", wanted.name, host.name, wanted.network);
        Self {
            wanted,
            head,
            names: wanted.peers.values().map(|peer| peer.name.as_str()).collect(),
            open: of_interface(wanted),
            peers: BTreeSet::new(),
            lacks: false,
        }
    }

    /// Whether everything was said.
    fn is_whole(&self) -> bool {
        !self.lacks && self.open.is_empty() && self.peers.len() == self.wanted.peers.len()
    }

    /// Whether the fields and hooks say what a line says.
    fn says(&mut self, line: &Line<'_>) -> bool {
        let text = line.text().trim_end();
        if text.starts_with('#') {
            return self.says_comment(text);
        }
        if text.is_empty() || Heading::ALL.iter().any(|heading| text == heading.as_str()) {
            return true;
        }
        let Some(entry) = line.entry() else { return false };
        let Some(setting) = entry.setting else { return false };
        // With the comment behind it, which nothing says.
        let value = text.get(entry.value_at..).unwrap_or_default().trim();
        if setting == Setting::PublicKey {
            return self.begins(value);
        }
        if setting.is_hook() {
            // Shown as changes of their own, without what wg-quick(8) takes for a comment.
            return !value.is_empty() && !line.commented;
        }
        if !setting.is_list() {
            return self.says_value(setting, value);
        }
        // Not `all`: every one of them is said.
        value.split(',').filter(|value| !self.says_value(setting, value.trim())).count() == 0
    }

    /// Begins the section of a peer.
    fn begins(&mut self, key: &str) -> bool {
        let Ok(key) = key.parse::<PublicKey>() else { return false };
        let Some(peer) = self.wanted.peers.get(&key) else { return false };
        self.lacks |= !self.open.is_empty();
        self.open = of_peer(peer);
        self.peers.insert(key)
    }

    fn says_value(&mut self, setting: Setting, value: &str) -> bool {
        let place = self.open.iter().position(|(known, is)| *known == setting && is == value);
        // What stands there twice is shown.
        place.map(|place| self.open.swap_remove(place)).is_some()
    }

    /// Comments of the default template.
    fn says_comment(&self, line: &str) -> bool {
        const MANAGED: &str = "# Managed by wgfleet: edit the inventory instead; `wgfleet plan` shows \
                               what changed here.";
        let comment = line[1..].trim();
        self.names.contains(comment)
            || comment.starts_with(&self.head)
            || line == MANAGED
            || line.strip_prefix(EPOCH_LINE).is_some_and(|epoch| epoch.parse::<u32>().is_ok())
    }
}

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;

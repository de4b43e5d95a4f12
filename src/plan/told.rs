//! Which lines of a changed wg0.conf say what other changes of the plan say already.
//!
//! One keepalive in a mesh of a hundred hosts changes ten thousand peers, and as many lines of files.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Change, DeviceField, FieldChange, HookWhen, NewPeer, PeerField};
use crate::desired::EPOCH_LINE;
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::observed::HIDDEN;

/// Of which of two texts lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The file that is there.
    Old,
    /// The file that is to be.
    New,
}

/// What the changes to an interface say of its file.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    device: Vec<&'a FieldChange<DeviceField>>,
    added: BTreeMap<PublicKey, &'a NewPeer>,
    changed: BTreeMap<PublicKey, &'a [FieldChange<PeerField>]>,
    removed: BTreeMap<PublicKey, Option<&'a str>>,
    /// Addresses and hooks that come, and those that go.
    addresses: [BTreeSet<IpNet>; 2],
    hooks: [BTreeSet<(HookWhen, &'a str)>; 2],
}

impl<'a> Told<'a> {
    pub(super) fn of(interface: &InterfaceName, changes: &'a [Change]) -> Self {
        let mut told = Self::default();
        for change in changes {
            match change {
                Change::Hook { interface: of, when, command, comes, .. } if of == interface => {
                    told.hooks[usize::from(!comes)].insert((*when, command.raw()));
                }
                other if other.interface() == Some(interface) => told.add(other),
                _ => {}
            }
        }
        told
    }

    fn add(&mut self, change: &'a Change) {
        match change {
            Change::Device { fields, .. } => self.device.extend(fields),
            Change::AddPeer { peer, .. } => drop(self.added.insert(peer.key, peer)),
            Change::ChangePeer { peer, fields, .. } => {
                self.changed.insert(peer.key, fields);
            }
            Change::RemovePeer { peer, .. } => {
                self.removed.insert(peer.key, peer.name.as_ref().map(HostName::as_str));
            }
            Change::AddAddress { address, .. } => drop(self.addresses[0].insert(*address)),
            Change::RemoveAddress { address, .. } => drop(self.addresses[1].insert(*address)),
            _ => {}
        }
    }

    /// For each line of a text, whether the changes say what it says. Blank lines say nothing.
    pub(super) fn lines(&self, text: &str, side: Side) -> Vec<bool> {
        let lines: Vec<&str> = text.lines().collect();
        let mut told: Vec<bool> = lines.iter().map(|line| line.trim().is_empty()).collect();
        let sections = sections(&lines);
        let mut times: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for key in sections.iter().filter_map(|section| section.key) {
            *times.entry(key).or_default() += 1;
        }
        for section in &sections {
            for line in section.lines.iter().filter(|line| self.is_epoch(line.text)) {
                told[line.number] = true;
            }
            let says = match section.key {
                // Of a peer that stands there twice, wg(8) takes the last, and so would no reader.
                Some(key) if times[&key] > 1 => continue,
                Some(key) => self.peer(key, section, side),
                None if section.is("[interface]") => self.interface(section, side),
                None => continue,
            };
            for line in says {
                told[line] = true;
            }
        }
        told
    }

    /// Whether a line names the epoch of preshared keys, and some of them are told to change.
    fn is_epoch(&self, line: &str) -> bool {
        let Some(epoch) = line.strip_prefix(EPOCH_LINE).and_then(|epoch| epoch.parse().ok()) else {
            return false;
        };
        let psk = |change: &FieldChange<PeerField>| change.field == PeerField::PresharedKey;
        self.changed.values().any(|fields| fields.iter().any(psk))
            || self.added.values().any(|peer| peer.psk_epoch == Some(epoch))
    }

    /// The lines of a peer's section that are told.
    fn peer(&self, key: PublicKey, section: &Section<'_>, side: Side) -> Vec<usize> {
        match (side, self.added.get(&key), self.removed.get(&key), self.changed.get(&key)) {
            (Side::New, Some(peer), None, None) => whole(peer, section),
            (Side::Old, None, Some(name), None) => {
                let known = |line: &&Line<'_>| match line.setting {
                    Some((name, _)) => PEER.contains(&name.to_ascii_lowercase().as_str()),
                    None => line.is_plain(*name),
                };
                section.lines.iter().filter(known).map(|line| line.number).collect()
            }
            (_, None, None, Some(fields)) => {
                fields.iter().flat_map(|change| field(change, section, side)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The lines of the interface's own section that are told.
    fn interface(&self, section: &Section<'_>, side: Side) -> Vec<usize> {
        let says = |line: &&Line<'_>| {
            let Some((name, value)) = line.setting else { return false };
            let which = usize::from(side == Side::Old);
            let device = |field: DeviceField| {
                let mut changes = self.device.iter().filter(|change| change.field == field);
                changes.any(|change| side == Side::Old || same(change.to.as_deref(), value))
            };
            match name.to_ascii_lowercase().as_str() {
                "listenport" => device(DeviceField::ListenPort),
                "fwmark" => device(DeviceField::FwMark),
                "mtu" => device(DeviceField::Mtu),
                "address" => {
                    let mut all = value.split(',').map(|net| net.trim().parse::<IpNet>());
                    all.all(|net| net.is_ok_and(|net| self.addresses[which].contains(&net)))
                }
                "preup" => self.hooks[which].contains(&(HookWhen::PreUp, value)),
                "postup" => self.hooks[which].contains(&(HookWhen::PostUp, value)),
                "predown" => self.hooks[which].contains(&(HookWhen::PreDown, value)),
                "postdown" => self.hooks[which].contains(&(HookWhen::PostDown, value)),
                _ => false,
            }
        };
        section.lines.iter().filter(says).map(|line| line.number).collect()
    }
}

/// Settings of a peer that wg(8) knows.
const PEER: [&str; 5] =
    ["publickey", "presharedkey", "allowedips", "endpoint", "persistentkeepalive"];

/// All lines of a new peer's section, where they say no less and no more than its settings.
fn whole(peer: &NewPeer, section: &Section<'_>) -> Vec<usize> {
    let NewPeer { name, key, allowed_ips, endpoint, keepalive, psk_epoch } = peer;
    let mut wanted: BTreeSet<(&str, String)> =
        allowed_ips.iter().map(|net| ("allowedips", net.to_string())).collect();
    wanted.insert(("publickey", key.to_string()));
    wanted.extend(endpoint.iter().map(|endpoint| ("endpoint", endpoint.to_string())));
    wanted.extend(keepalive.iter().map(|secs| ("persistentkeepalive", secs.to_string())));
    wanted.extend(psk_epoch.iter().map(|_| ("presharedkey", HIDDEN.to_owned())));
    let mut told = Vec::new();
    for line in &section.lines {
        let Some((setting, value)) = line.setting else {
            if line.is_plain(Some(name.as_str())) {
                told.push(line.number);
            } else if !line.text.starts_with('#') {
                return Vec::new();
            }
            continue;
        };
        told.push(line.number);
        let setting = setting.to_ascii_lowercase();
        let lists = setting == "allowedips";
        for value in value.split(|c| lists && c == ',').map(str::trim) {
            let Some(place) = PEER.iter().find(|known| **known == setting) else {
                return Vec::new();
            };
            // What stands there twice is not what a reader of the settings expects.
            if !wanted.remove(&(*place, value.to_owned())) {
                return Vec::new();
            }
        }
    }
    if wanted.is_empty() { told } else { Vec::new() }
}

/// The lines of a peer's section that a change of one of its settings tells.
fn field(change: &FieldChange<PeerField>, section: &Section<'_>, side: Side) -> Vec<usize> {
    let name = match change.field {
        PeerField::AllowedIps => "allowedips",
        PeerField::Endpoint => "endpoint",
        PeerField::Keepalive => "persistentkeepalive",
        PeerField::PresharedKey => "presharedkey",
    };
    let lines = section.lines.iter().filter_map(|line| {
        let (setting, value) = line.setting?;
        setting.eq_ignore_ascii_case(name).then_some((line.number, value))
    });
    let lines: Vec<(usize, &str)> = lines.collect();
    if side == Side::New {
        let list = |text: &str| -> BTreeSet<String> {
            text.split(',').map(|item| item.trim().to_owned()).collect()
        };
        let is: BTreeSet<String> = lines.iter().flat_map(|(_, value)| list(value)).collect();
        let to = change.to.as_deref().unwrap_or_default();
        let secret = change.field == PeerField::PresharedKey;
        let wanted = if secret { list(HIDDEN) } else { list(to) };
        if change.to.is_none() || is != wanted || (lines.len() > 1 && name != "allowedips") {
            return Vec::new();
        }
    }
    lines.into_iter().map(|(number, _)| number).collect()
}

/// Whether two texts are one number, or the same: a mark is written as 0x20 and as 32.
fn same(told: Option<&str>, value: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse::<u32>().ok(),
    };
    told.is_some_and(|told| {
        told == value || number(told).is_some_and(|told| number(value) == Some(told))
    })
}

/// A line of a section.
#[derive(Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
    /// Name and value; `None` for other lines, and for settings with a comment behind them.
    setting: Option<(&'a str, &'a str)>,
}

impl Line<'_> {
    /// Whether it is no setting, and says nothing but whose section it is.
    fn is_plain(&self, name: Option<&str>) -> bool {
        let comment = self.text.strip_prefix('#').map(str::trim);
        (comment.is_some() && comment == name) || self.text.eq_ignore_ascii_case("[peer]")
    }
}

/// A heading with what is below it, up to the next, and comments right above it.
#[derive(Debug, Default)]
struct Section<'a> {
    heading: &'a str,
    /// The key of the only peer that it names.
    key: Option<PublicKey>,
    lines: Vec<Line<'a>>,
}

impl Section<'_> {
    fn is(&self, heading: &str) -> bool {
        self.heading.eq_ignore_ascii_case(heading)
    }
}

fn sections<'a>(lines: &[&'a str]) -> Vec<Section<'a>> {
    let mut sections = vec![Section::default()];
    for (number, line) in lines.iter().enumerate() {
        let text = line.trim();
        if text.is_empty() {
            // A comment above it belongs to what is above it.
            sections.last_mut().into_iter().for_each(|last| {
                last.lines.push(Line { number, text, setting: None });
            });
            continue;
        }
        if text.starts_with('[') {
            let mut next = Section { heading: text, ..Section::default() };
            if let Some(last) = sections.last_mut() {
                let comments = last.lines.iter().rev().take_while(|l| l.text.starts_with('#'));
                let comments = last.lines.len() - comments.count();
                next.lines = last.lines.split_off(comments);
            }
            sections.push(next);
        }
        let plain = !text.contains('#') && !text.starts_with('[');
        let setting = text.split_once('=').filter(|_| plain);
        let setting = setting.map(|(name, value)| (name.trim(), value.trim()));
        if let Some(last) = sections.last_mut() {
            last.lines.push(Line { number, text, setting });
        }
    }
    for section in &mut sections {
        section.lines.retain(|line| !line.text.is_empty());
        let mut keys = section.lines.iter().filter_map(|line| {
            let (name, value) = line.setting?;
            name.eq_ignore_ascii_case("publickey").then_some(value)
        });
        let key = keys.next().and_then(|key| key.parse().ok());
        let only = keys.next().is_none() && section.heading.eq_ignore_ascii_case("[peer]");
        section.key = key.filter(|_| only);
    }
    sections
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;

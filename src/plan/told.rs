//! Which lines of a changed wg0.conf say what other changes of the plan say already.
//!
//! One keepalive in a mesh of a hundred hosts changes ten thousand peers, and as many lines of files.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Change, DeviceField, FieldChange, HookWhen, NewPeer, PeerField};
use crate::desired::EPOCH_LINE;
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::observed::HIDDEN;
use crate::wgconf::{Document, Heading, Line, Section, Setting};

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
        let sections = Document::of(text.as_bytes()).sections;
        let lines = sections.iter().flat_map(|section| &section.lines);
        let mut told: Vec<bool> = lines.map(Line::is_empty).collect();
        let mut times: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for key in sections.iter().filter_map(only_peer) {
            *times.entry(key).or_default() += 1;
        }
        for section in &sections {
            for line in section.lines.iter().filter(|line| self.is_epoch(line.text().trim())) {
                told[line.number - 1] = true;
            }
            let says = match only_peer(section) {
                // Of a peer that stands there twice, wg(8) takes the last, and so would no reader.
                Some(key) if times[&key] > 1 => continue,
                Some(key) => self.peer(key, section, side),
                None if is(section, Heading::Interface) => self.interface(section, side),
                None => continue,
            };
            for line in says {
                told[line - 1] = true;
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

    /// The lines of a peer's section that are told, by number.
    fn peer(&self, key: PublicKey, section: &Section<'_>, side: Side) -> Vec<usize> {
        match (side, self.added.get(&key), self.removed.get(&key), self.changed.get(&key)) {
            (Side::New, Some(peer), None, None) => whole(peer, section),
            (Side::Old, None, Some(name), None) => {
                let known = |line: &&Line<'_>| match plain(line) {
                    Some((setting, _)) => setting.is_some_and(is_of_peer),
                    None => is_frame(line, *name),
                };
                section.lines.iter().filter(known).map(|line| line.number).collect()
            }
            (_, None, None, Some(fields)) => {
                fields.iter().flat_map(|change| field(change, section, side)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The lines of the interface's own section that are told, by number.
    fn interface(&self, section: &Section<'_>, side: Side) -> Vec<usize> {
        let says = |line: &&Line<'_>| {
            let Some((Some(setting), value)) = plain(line) else { return false };
            let which = usize::from(side == Side::Old);
            let device = |field: DeviceField| {
                let mut changes = self.device.iter().filter(|change| change.field == field);
                changes.any(|change| side == Side::Old || same(change.to.as_deref(), value))
            };
            match setting {
                Setting::ListenPort => device(DeviceField::ListenPort),
                Setting::FwMark => device(DeviceField::FwMark),
                Setting::Mtu => device(DeviceField::Mtu),
                Setting::Address => {
                    let mut all = value.split(',').map(|net| net.trim().parse::<IpNet>());
                    all.all(|net| net.is_ok_and(|net| self.addresses[which].contains(&net)))
                }
                hook => HookWhen::of_setting(hook)
                    .is_some_and(|when| self.hooks[which].contains(&(when, value))),
            }
        };
        section.lines.iter().filter(says).map(|line| line.number).collect()
    }
}

/// All lines of a new peer's section, by number, where they say no less and no more than its settings.
fn whole(peer: &NewPeer, section: &Section<'_>) -> Vec<usize> {
    let NewPeer { name, key, allowed_ips, endpoint, keepalive, psk_epoch } = peer;
    let mut wanted: BTreeSet<(Setting, String)> =
        allowed_ips.iter().map(|net| (Setting::AllowedIps, net.to_string())).collect();
    wanted.insert((Setting::PublicKey, key.to_string()));
    wanted.extend(endpoint.iter().map(|endpoint| (Setting::Endpoint, endpoint.to_string())));
    wanted.extend(keepalive.iter().map(|secs| (Setting::PersistentKeepalive, secs.to_string())));
    wanted.extend(psk_epoch.iter().map(|_| (Setting::PresharedKey, HIDDEN.to_owned())));
    let mut told = Vec::new();
    for line in section.lines.iter().filter(|line| !line.is_empty()) {
        let Some((setting, value)) = plain(line) else {
            if is_frame(line, Some(name.as_str())) {
                told.push(line.number);
            } else if !line.is_comment() {
                return Vec::new();
            }
            continue;
        };
        told.push(line.number);
        let Some(setting) = setting else { return Vec::new() };
        for value in value.split(|c| setting.is_list() && c == ',').map(str::trim) {
            // What stands there twice is not what a reader of the settings expects.
            if !wanted.remove(&(setting, value.to_owned())) {
                return Vec::new();
            }
        }
    }
    if wanted.is_empty() { told } else { Vec::new() }
}

/// The lines of a peer's section that a change of one of its settings tells, by number.
fn field(change: &FieldChange<PeerField>, section: &Section<'_>, side: Side) -> Vec<usize> {
    let changed = match change.field {
        PeerField::AllowedIps => Setting::AllowedIps,
        PeerField::Endpoint => Setting::Endpoint,
        PeerField::Keepalive => Setting::PersistentKeepalive,
        PeerField::PresharedKey => Setting::PresharedKey,
    };
    let lines = section.lines.iter().filter_map(|line| {
        let (setting, value) = plain(line)?;
        (setting == Some(changed)).then_some((line.number, value))
    });
    let lines: Vec<(usize, &str)> = lines.collect();
    if side == Side::New {
        let list = |text: &str| -> BTreeSet<String> {
            text.split(',').map(|item| item.trim().to_owned()).collect()
        };
        let is: BTreeSet<String> = lines.iter().flat_map(|(_, value)| list(value)).collect();
        let to = change.to.as_deref().unwrap_or_default();
        let wanted = if changed.is_secret() { list(HIDDEN) } else { list(to) };
        if change.to.is_none() || is != wanted || (lines.len() > 1 && !changed.is_list()) {
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

/// Whether a setting is one of a peer.
fn is_of_peer(setting: Setting) -> bool {
    setting.heading() == Heading::Peer
}

/// The setting of a line and its value; nothing of other lines, and of settings with a comment behind
/// them.
fn plain<'a>(line: &Line<'a>) -> Option<(Option<Setting>, &'a str)> {
    let entry = line.entry().filter(|_| !line.commented && !line.opens_section())?;
    Some((entry.setting, entry.value))
}

/// Whether a line is no setting, and says nothing but whose section it is.
fn is_frame(line: &Line<'_>, name: Option<&str>) -> bool {
    let comment = line.comment().filter(|_| line.is_comment());
    comment.is_some() && comment == name || line.heading() == Some(Heading::Peer) && !line.commented
}

/// Whether a section has this heading, and no comment behind it.
fn is(section: &Section<'_>, heading: Heading) -> bool {
    section.lines.iter().any(|line| line.heading() == Some(heading) && !line.commented)
}

/// The key of the only peer that a section names.
fn only_peer(section: &Section<'_>) -> Option<PublicKey> {
    let settings = section.lines.iter().filter_map(plain);
    let mut keys = settings.filter(|(setting, _)| *setting == Some(Setting::PublicKey));
    let (_, key) = keys.next()?;
    let only = keys.next().is_none() && is(section, Heading::Peer);
    key.parse().ok().filter(|_| only)
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;

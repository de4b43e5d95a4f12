//! Two inventories compared host by host, without hosts, identity or a login.
//!
//! What is compared is what would be written: the rendered files, so that nothing a template adds
//! stays hidden, and what wgfleet derives beside them. A host is its name, whatever its key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use rayon::prelude::*;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::check::Difference;
use crate::desired::{DesiredHost, DesiredInterface, DesiredState, PublicKeys};
use crate::model::{
    Document, FleetName, HostName, InterfaceName, Kind, PublicKey, Untrusted, Version,
};

/// What changes from one inventory to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// `comparison`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: FleetName,
    /// The revision that it is compared with.
    pub base: Base,
    /// The hosts that change, in order of the file, then those that it does not have any more.
    pub hosts: Vec<HostComparison>,
    /// Flows that begin and cease to work.
    pub reachability: Difference,
}

/// The inventory that another is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Base {
    /// The revision, as the operator wrote it.
    pub revision: Untrusted,
    /// The fleet's name there; `None`: it has no such inventory, and everything is new.
    pub fleet: Option<FleetName>,
}

/// What changes about one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostComparison {
    /// The host, or the unmanaged peer that a config is issued to.
    pub host: HostName,
    /// Whether it is an unmanaged peer: nobody logs in there, somebody installs the config.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub issued: bool,
    /// Whether it comes, goes or changes.
    pub action: HostAction,
    /// What changes, by interface, peer and setting. Of what goes, only commands that ran as root,
    /// interfaces and peers are told.
    pub settings: Vec<Setting>,
}

/// What becomes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostAction {
    /// The base does not have it.
    Add,
    /// It stays, and something of it changes.
    Change,
    /// Only the base has it.
    Remove,
}

/// One setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting {
    /// The interface that it is of; `None`: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceName>,
    /// The name of the peer that it is of, or its key where it has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Value>,
    /// wg(8)'s or wg-quick(8)'s name of it, in lower case; `peer` or `interface` where a whole one
    /// comes or goes. In JSON its words are joined by `_`.
    #[serde(serialize_with = "joined_words")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub setting: Untrusted,
    /// What it is; `None` where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is to be; `None` where it is to be unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Whether it is a command that runs as root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_root: bool,
}

fn joined_words<S: Serializer>(setting: &Untrusted, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&setting.to_string().replace(' ', "_"))
}

/// The name of the setting that no value of is a secret.
const PUBLIC_KEY: &str = "public key";

/// What a setting is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Value {
    /// A public key in its own field, which is no secret.
    Key(PublicKey),
    /// Anything else.
    Text(Untrusted),
}

impl Value {
    fn new(setting: &str, text: String) -> Self {
        match text.parse() {
            Ok(key) if setting == PUBLIC_KEY => Self::Key(key),
            _ => Self::Text(Untrusted::new(text)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Key(_) => 44,
            Self::Text(text) => text.raw().len(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl Document for Comparison {
    const KIND: &'static str = "comparison";
    const VERSION: u32 = 2;
}

impl Comparison {
    /// Whether the two say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let renamed = self.base.fleet.as_ref() != Some(&self.fleet);
        self.hosts.is_empty() && self.reachability.is_empty() && !renamed
    }
}

/// Keys for inventories that are only compared: those that are known, and for every other name one
/// that no private key belongs to.
#[derive(Debug, Clone)]
pub struct StandIns {
    known: BTreeMap<HostName, PublicKey>,
    random: [u8; 32],
}

impl StandIns {
    /// With the keys that are known, and random bytes, so that nobody can give a peer of a file the
    /// key that stands in for another's.
    #[must_use]
    pub const fn new(known: BTreeMap<HostName, PublicKey>, random: [u8; 32]) -> Self {
        Self { known, random }
    }
}

impl PublicKeys for StandIns {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let digest = || Sha256::new().chain_update(self.random).chain_update(name.as_str());
        let known = self.known.get(name).copied();
        known.or_else(|| Some(PublicKey::from_bytes(digest().finalize().into())))
    }

    fn psk_epoch(&self) -> Option<u32> {
        Some(1)
    }
}

/// One of two inventories: its state, and how its files are rendered, secrets hidden.
pub struct Side<'a, E> {
    /// What its hosts are to have, with keys of [`StandIns`].
    pub state: &'a DesiredState,
    /// The text of an interface's file.
    pub render: &'a (dyn Fn(&DesiredHost, &DesiredInterface) -> Result<String, E> + Sync),
}

impl<E> std::fmt::Debug for Side<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Why two inventories are not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError<E: std::error::Error + 'static> {
    /// A file cannot be rendered.
    #[error(transparent)]
    Render(E),
    /// They differ in more than anybody reads.
    #[error("the inventories differ in more than {} MiB of text, at host `{host}`", MOST_BYTES >> 20)]
    TooMuch {
        /// Where the limit was reached.
        host: HostName,
    },
}

/// The most bytes of settings that differ. A new mesh of 1,000 hosts has some 80 MiB.
const MOST_BYTES: usize = 256 << 20;
/// Hosts whose files are rendered before any of them is forgotten.
const AT_ONCE: usize = 32;

/// A place of settings: an interface, and a peer of it.
type Place = (Option<InterfaceName>, Option<String>);
/// The settings of each place, each value of one in order.
type SettingsByPlace = BTreeMap<Place, BTreeMap<String, Vec<String>>>;

/// Compares hosts, and unmanaged peers that configs are issued to; in order of the new file, then
/// those that only the old one has.
///
/// # Errors
/// [`CompareError`].
pub fn compare_hosts<E: std::error::Error + Send + 'static>(
    old: Option<&Side<'_, E>>,
    new: &Side<'_, E>,
    keys: &StandIns,
) -> Result<Vec<HostComparison>, CompareError<E>> {
    type Known<'a> = BTreeMap<&'a HostName, (&'a DesiredHost, bool)>;
    let of = |state| -> Vec<(&HostName, (&DesiredHost, bool))> {
        let DesiredState { hosts, issued, .. }: &DesiredState = state;
        let hosts = hosts.iter().map(|host| (&host.name, (host, false)));
        hosts.chain(issued.iter().map(|peer| (&peer.name, (peer, true)))).collect()
    };
    let before: Known<'_> =
        old.map(|side| of(side.state)).unwrap_or_default().into_iter().collect();
    let mut names: Vec<&HostName> = of(new.state).into_iter().map(|(name, _)| name).collect();
    let after: Known<'_> = of(new.state).into_iter().collect();
    let gone = old.map(|side| of(side.state)).unwrap_or_default().into_iter();
    names.extend(gone.map(|(name, _)| name).filter(|name| !after.contains_key(name)));
    let compare = |name: &&HostName| -> Result<Option<HostComparison>, E> {
        let (was, is) = (before.get(name), after.get(name));
        let action = match (was, is) {
            (None, _) => HostAction::Add,
            (_, None) => HostAction::Remove,
            _ => HostAction::Change,
        };
        let read = |host: Option<&(&DesiredHost, bool)>, side: Option<&Side<'_, E>>| {
            host.zip(side).map(|(host, side)| settings(*host, side, keys)).transpose()
        };
        let (from, to) = (read(was, old)?, read(is, Some(new))?);
        let settings = differing(&from.unwrap_or_default(), &to.unwrap_or_default());
        let issued = is.or(was).is_some_and(|(_, issued)| *issued);
        let same = action == HostAction::Change && settings.is_empty();
        let host = (*name).clone();
        Ok((!same).then_some(HostComparison { host, issued, action, settings }))
    };
    let (mut hosts, mut bytes) = (Vec::new(), 0);
    for some in names.chunks(AT_ONCE) {
        let found: Vec<_> =
            some.par_iter().map(compare).collect::<Result<_, _>>().map_err(CompareError::Render)?;
        for host in found.into_iter().flatten() {
            bytes += host.settings.iter().map(Setting::bytes).sum::<usize>();
            if bytes > MOST_BYTES {
                return Err(CompareError::TooMuch { host: host.host });
            }
            hosts.push(host);
        }
    }
    Ok(hosts)
}

impl Setting {
    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        let values = self.from.iter().chain(&self.to).map(Value::bytes);
        self.setting.raw().len() + values.sum::<usize>()
    }
}

fn differing(was: &SettingsByPlace, is: &SettingsByPlace) -> Vec<Setting> {
    let places: BTreeSet<&Place> = was.keys().chain(is.keys()).collect();
    let mut rows = Vec::new();
    for place in places {
        match (was.get(place), is.get(place)) {
            (Some(before), Some(after)) => change(&mut rows, place, before, after),
            // A whole peer: one row.
            (None, Some(after)) if place.1.is_some() => {
                rows.push(row(place, "peer", None, Some(whole(after))));
            }
            (Some(before), None) if place.1.is_some() => {
                rows.push(row(place, "peer", Some(whole(before)), None));
            }
            (None, Some(after)) => change(&mut rows, place, &BTreeMap::new(), after),
            (Some(before), None) => removed(&mut rows, place, before),
            (None, None) => {}
        }
    }
    // Peers of interfaces that go are not told.
    let gone = |interface: &Option<InterfaceName>| {
        interface.is_some() && !is.contains_key(&(interface.clone(), None))
    };
    rows.retain(|row| row.peer.is_none() || !gone(&row.interface));
    rows
}

/// What goes with its interface or host: that it goes, and what no longer runs as root.
fn removed(rows: &mut Vec<Setting>, place: &Place, before: &BTreeMap<String, Vec<String>>) {
    if let Some(interface) = before.get("interface") {
        rows.push(row(place, "interface", Some(interface.join(", ")), None));
    }
    for (setting, commands) in before.iter().filter(|(setting, _)| is_hook(setting)) {
        rows.extend(commands.iter().map(|one| row(place, setting, Some(one.clone()), None)));
    }
}

fn change(
    rows: &mut Vec<Setting>,
    place: &Place,
    was: &BTreeMap<String, Vec<String>>,
    is: &BTreeMap<String, Vec<String>>,
) {
    let settings: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for setting in settings {
        let (before, after) = (was.get(setting), is.get(setting));
        if before == after {
            continue;
        }
        let lines = |values: Option<&Vec<String>>| values.cloned().unwrap_or_default();
        let (before, after) = (lines(before), lines(after));
        let (of_old, of_new): (BTreeSet<&String>, BTreeSet<&String>) =
            (before.iter().collect(), after.iter().collect());
        if !is_hook(setting) || of_old == of_new {
            // Commands whose order or number alone changes are told as a whole.
            let whole = |lines: &[String]| (!lines.is_empty()).then(|| lines.join(", "));
            rows.push(row(place, setting, whole(&before), whole(&after)));
            continue;
        }
        // Each command by itself: what comes is not to hide behind what stays.
        let gone = before.iter().filter(|line| !of_new.contains(line));
        rows.extend(gone.map(|line| row(place, setting, Some(line.clone()), None)));
        let come = after.iter().filter(|line| !of_old.contains(line));
        rows.extend(come.map(|line| row(place, setting, None, Some(line.clone()))));
    }
}

fn row(place: &Place, setting: &str, from: Option<String>, to: Option<String>) -> Setting {
    Setting {
        interface: place.0.clone(),
        peer: place.1.clone().map(|peer| Value::new(PUBLIC_KEY, peer)),
        setting: Untrusted::new(setting),
        from: from.map(|text| Value::new(setting, text)),
        to: to.map(|text| Value::new(setting, text)),
        as_root: is_hook(setting),
    }
}

/// Everything that is set of a peer, in one line.
fn whole(settings: &BTreeMap<String, Vec<String>>) -> String {
    let texts = settings.iter().map(|(setting, values)| format!("{setting} {}", values.join(", ")));
    texts.collect::<Vec<_>>().join("; ")
}

/// The settings whose values are commands.
const HOOKS: [&str; 4] = ["pre up", "post up", "pre down", "post down"];

fn is_hook(setting: &str) -> bool {
    HOOKS.contains(&setting)
}

fn settings<E>(
    (host, issued): (&DesiredHost, bool),
    side: &Side<'_, E>,
    keys: &StandIns,
) -> Result<SettingsByPlace, E> {
    let mut all = SettingsByPlace::new();
    let mut add = |interface: Option<&InterfaceName>, setting: &str, values: Vec<String>| {
        if !values.is_empty() {
            let place = all.entry((interface.cloned(), None)).or_default();
            place.insert(setting.to_owned(), values);
        }
    };
    if !issued {
        add(None, "ssh", vec![host.ssh.to_string()]);
        add(None, "become", vec![word(&host.r#become)]);
        add(None, "backend", vec![word(&host.backend)]);
    }
    let families = [(host.forwarding.v4, "IPv4"), (host.forwarding.v6, "IPv6")];
    let families = families.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned());
    add(None, "forwarding", families.collect());
    let rules: BTreeSet<String> = host
        .masquerade
        .iter()
        .map(|rule| match rule.except.as_slice() {
            [] => rule.source.to_string(),
            except => format!("{} (not to {})", rule.source, joined(except)),
        })
        .collect();
    add(None, "masquerade", rules.into_iter().collect());
    for interface in &host.interfaces {
        let routes = interface.routes();
        let routes = routes.iter().map(|(table, net)| match table {
            254 => net.to_string(),
            table => format!("{net} (table {table})"),
        });
        add(Some(&interface.name), "routes", routes.collect());
        add(Some(&interface.name), "interface", vec![format!("of network {}", interface.network)]);
    }
    let names = Names { of: &side.state.names, keys };
    for interface in &host.interfaces {
        let text = (side.render)(host, interface)?;
        file(&mut all, &interface.name, names, &text);
    }
    Ok(all)
}

/// Whose keys are whose.
#[derive(Clone, Copy)]
struct Names<'a> {
    of: &'a BTreeMap<PublicKey, HostName>,
    keys: &'a StandIns,
}

/// The word that a value has in a file.
fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map(str::to_owned).unwrap_or_default()
}

fn joined(nets: &[IpNet]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a rendered file says, section by section.
fn file(all: &mut SettingsByPlace, interface: &InterfaceName, names: Names<'_>, text: &str) {
    let sections = text.lines().fold(vec![Vec::new()], |mut sections, line| {
        if line.trim_start().starts_with('[') {
            sections.push(Vec::new());
        }
        // As wg-quick(8) reads it: what stands behind `#` is a comment.
        let line = line.split('#').next().unwrap_or_default();
        if let (Some(last), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            last.push((named(key.trim()), value.trim()));
        }
        sections
    });
    for section in sections {
        let key = section.iter().find(|(key, _)| key == PUBLIC_KEY).map(|(_, value)| *value);
        let name = key.and_then(|key| names.of.get(&key.parse::<PublicKey>().ok()?));
        let peer = key.map(|key| name.map_or(key, |name| name.as_str()).to_owned());
        let place = all.entry((Some(interface.clone()), peer)).or_default();
        for (setting, value) in section {
            // A host's key is the vault's affair; that of a peer which has its own is the file's.
            let own = name.and_then(|name| names.keys.of(name)).map(|key| key.to_string());
            if setting == "private key" || (setting == PUBLIC_KEY && own.as_deref() == Some(value))
            {
                continue;
            }
            let value = if setting == "preshared key" { "set" } else { value };
            let list = ["address", "allowed ips", "dns"].contains(&setting.as_str());
            let value = match setting.as_str() {
                PUBLIC_KEY => value.to_owned(),
                _ => without_keys(value, names.of),
            };
            let values = place.entry(setting).or_default();
            if list {
                values.extend(value.split(',').map(|item| item.trim().to_owned()));
                values.sort();
            } else {
                values.push(value);
            }
        }
    }
}

/// A value with names for the keys that a template may have put into it.
fn without_keys(value: &str, names: &BTreeMap<PublicKey, HostName>) -> String {
    let mut text = value.to_owned();
    let words = value.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)));
    for word in words.filter(|word| word.len() == 44) {
        if let Some(name) = word.parse().ok().and_then(|key: PublicKey| names.get(&key)) {
            text = text.replace(word, &format!("(key of {name})"));
        }
    }
    text
}

/// The name of a key of a file: as plans write it, or as the file does.
fn named(key: &str) -> String {
    let lower = key.to_ascii_lowercase();
    let known = match lower.as_str() {
        "privatekey" => "private key",
        "publickey" => PUBLIC_KEY,
        "presharedkey" => "preshared key",
        "allowedips" => "allowed ips",
        "persistentkeepalive" => "persistent keepalive",
        "listenport" => "listen port",
        "preup" => "pre up",
        "postup" => "post up",
        "predown" => "pre down",
        "postdown" => "post down",
        other => other,
    };
    known.to_owned()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;

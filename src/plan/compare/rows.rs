//! What differs between the settings of a host, one row for each.

use std::collections::{BTreeMap, BTreeSet};

use super::Setting;
use super::name::SettingName;
use super::place::{Place, Settings, SettingsByPlace};
use super::value::{PeerName, Value};
use crate::model::{InterfaceName, Untrusted};

/// The rows of what differs, by interface, peer and setting.
pub(super) fn differing(was: &SettingsByPlace, is: &SettingsByPlace) -> Vec<Setting> {
    let places: BTreeSet<&Place> = was.keys().chain(is.keys()).collect();
    let mut rows = Vec::new();
    for place in places {
        let whole = |settings: &Settings| Some(Value::Peer(settings.clone()));
        match (was.get(place), is.get(place)) {
            (Some(before), Some(after)) => change(&mut rows, place, before, after),
            // A whole peer: one row.
            (None, Some(after)) if place.1.is_some() => {
                rows.push(row(place, &SettingName::Peer, None, whole(after)));
            }
            (Some(before), None) if place.1.is_some() => {
                rows.push(row(place, &SettingName::Peer, whole(before), None));
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
fn removed(rows: &mut Vec<Setting>, place: &Place, before: &Settings) {
    if let Some(interface) = before.get(&SettingName::Interface) {
        rows.push(row(place, &SettingName::Interface, Some(interface.clone()), None));
    }
    for (setting, value) in before.iter().filter(|(setting, _)| setting.is_hook()) {
        let commands = commands(Some(value)).iter();
        rows.extend(commands.map(|line| row(place, setting, Some(command(line)), None)));
    }
}

fn change(rows: &mut Vec<Setting>, place: &Place, was: &Settings, is: &Settings) {
    let settings: BTreeSet<&SettingName> = was.keys().chain(is.keys()).collect();
    for setting in settings {
        let (before, after) = (was.get(setting), is.get(setting));
        if before == after {
            continue;
        }
        let (old, new) = (commands(before), commands(after));
        let (of_old, of_new): (BTreeSet<&Untrusted>, BTreeSet<&Untrusted>) =
            (old.iter().collect(), new.iter().collect());
        if !setting.is_hook() || of_old == of_new {
            // Commands whose order or number alone changes are told as a whole.
            rows.push(row(place, setting, before.cloned(), after.cloned()));
            continue;
        }
        // Each command by itself: what comes is not to hide behind what stays.
        let gone = old.iter().filter(|line| !of_new.contains(line));
        rows.extend(gone.map(|line| row(place, setting, Some(command(line)), None)));
        let come = new.iter().filter(|line| !of_old.contains(line));
        rows.extend(come.map(|line| row(place, setting, None, Some(command(line)))));
    }
}

/// The commands of a hook.
fn commands(value: Option<&Value>) -> &[Untrusted] {
    match value {
        Some(Value::List(commands)) => commands,
        _ => &[],
    }
}

/// One command by itself, which has the form of several.
fn command(line: &Untrusted) -> Value {
    Value::List(vec![line.clone()])
}

fn row(place: &Place, setting: &SettingName, from: Option<Value>, to: Option<Value>) -> Setting {
    Setting {
        interface: place.0.clone(),
        peer: place.1.as_deref().map(PeerName::new),
        setting: setting.clone(),
        from,
        to,
        as_root: setting.is_hook(),
    }
}

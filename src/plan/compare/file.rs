//! What a rendered file says, section by section.

use std::collections::BTreeMap;

use super::name::SettingName;
use super::place::SettingsByPlace;
use super::stand_ins::StandIns;
use super::value::Value;
use crate::desired::PublicKeys as _;
use crate::model::{HostName, InterfaceName, PublicKey};
use crate::wgconf::Document;

/// Whose keys are whose.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) of: &'a BTreeMap<PublicKey, HostName>,
    pub(super) keys: &'a StandIns,
}

/// Adds what a rendered file says.
pub(super) fn file(
    all: &mut SettingsByPlace,
    interface: &InterfaceName,
    names: Names<'_>,
    text: &str,
) {
    // Each value of a setting in order, also where several sections are about one place.
    let mut places: BTreeMap<Option<String>, BTreeMap<SettingName, Vec<String>>> = BTreeMap::new();
    for section in Document::of(text.as_bytes()).sections {
        let entries = section.entries();
        let section = entries.map(|entry| (SettingName::of_entry(&entry), entry.value));
        let section: Vec<(SettingName, &str)> = section.collect();
        let key = section.iter().find(|(key, _)| *key == SettingName::PublicKey);
        let key = key.map(|(_, value)| *value);
        let name = key.and_then(|key| names.of.get(&key.parse::<PublicKey>().ok()?));
        let peer = key.map(|key| name.map_or(key, |name| name.as_str()).to_owned());
        let place = places.entry(peer).or_default();
        for (setting, value) in section {
            // A host's key is the vault's affair; that of a peer which has its own is the file's.
            let own = name.and_then(|name| names.keys.of(name)).map(|key| key.to_string());
            let value = match setting {
                SettingName::PrivateKey => continue,
                SettingName::PublicKey if own.as_deref() == Some(value) => continue,
                SettingName::PublicKey => value.to_owned(),
                SettingName::PresharedKey => "set".to_owned(),
                _ => without_keys(value, names.of),
            };
            place.entry(setting).or_default().push(value);
        }
    }
    for (peer, settings) in places {
        let place = all.entry((Some(interface.clone()), peer)).or_default();
        for (setting, lines) in settings {
            let value = Value::of_lines(&setting, &lines);
            place.insert(setting, value);
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

//! Everything that is set of a host, place by place.

use serde::Serialize;

use super::file::{Names, file};
use super::name::SettingName;
use super::place::SettingsByPlace;
use super::stand_ins::StandIns;
use super::value::{ComparedRoute, Value};
use crate::desired::{DesiredHost, DesiredInterface, DesiredState};
use crate::model::{Family, InterfaceName};

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

/// What a host is to have; where a config is issued to it, without what only a login needs.
pub(super) fn settings<E>(
    (host, issued): (&DesiredHost, bool),
    side: &Side<'_, E>,
    keys: &StandIns,
) -> Result<SettingsByPlace, E> {
    let mut all = SettingsByPlace::new();
    let mut add = |interface: Option<&InterfaceName>, setting: SettingName, value: Value| {
        all.entry((interface.cloned(), None)).or_default().insert(setting, value);
    };
    if !issued {
        add(None, SettingName::Ssh, Value::word(host.ssh.to_string()));
        add(None, SettingName::Become, Value::word(word(&host.r#become)));
        add(None, SettingName::Backend, Value::word(word(&host.backend)));
    }
    let families = [(host.forwarding.v4, Family::V4), (host.forwarding.v6, Family::V6)];
    let families = families.into_iter().filter(|(on, _)| *on).map(|(_, family)| family);
    let families: Vec<Family> = families.collect();
    if !families.is_empty() {
        add(None, SettingName::Forwarding, Value::Families(families));
    }
    if !host.masquerade.is_empty() {
        let mut rules = host.masquerade.clone();
        rules.sort();
        rules.dedup();
        add(None, SettingName::Masquerade, Value::Masquerade(rules));
    }
    for interface in &host.interfaces {
        let routes = interface.routes();
        let routes = routes.into_iter().map(|(table, prefix)| ComparedRoute { prefix, table });
        let routes: Vec<ComparedRoute> = routes.collect();
        if !routes.is_empty() {
            add(Some(&interface.name), SettingName::Routes, Value::Routes(routes));
        }
        let network = interface.network.clone();
        add(Some(&interface.name), SettingName::Interface, Value::Interface { network });
    }
    let names = Names { of: &side.state.names, keys };
    for interface in &host.interfaces {
        let text = (side.render)(host, interface)?;
        file(&mut all, &interface.name, names, &text);
    }
    Ok(all)
}

/// The word that a value has in a file.
fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map(str::to_owned).unwrap_or_default()
}

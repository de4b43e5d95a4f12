//! Who configures the interfaces of which host, and whose something is that is there.

use super::duties::Manager;
use super::units::{Step, Units};
use super::{own_unit::OwnUnit, plain::Plain, wg_quick::WgQuick};
use crate::model::{HostPath, InterfaceName, UnitName};
use crate::observed::Facts;
use crate::plan::Op;

/// All of them: the first that takes a host has it.
const MANAGERS: &[&dyn Manager] = &[&WgQuick, &OwnUnit, &Plain];

/// Who configures the interfaces of a host.
pub(in crate::plan) fn of(facts: &Facts) -> &'static dyn Manager {
    let found = MANAGERS.iter().copied().find(|manager| manager.takes(facts));
    found.unwrap_or(&Plain)
}

/// The units that an interface may have on a host, whoever configures it or did.
pub fn units_of(interface: &InterfaceName) -> impl Iterator<Item = UnitName> {
    MANAGERS.iter().filter_map(|manager| manager.unit(interface))
}

/// The files that an interface may have beside that of wg-quick(8), whoever configures it or did.
pub fn files_of(interface: &InterfaceName) -> impl Iterator<Item = HostPath> {
    MANAGERS.iter().filter_map(|manager| manager.path(interface))
}

/// The interface of such a file.
pub(in crate::plan) fn interface_of(path: &str) -> Option<InterfaceName> {
    MANAGERS.iter().find_map(|manager| manager.interface_of(path))
}

/// What does something to a unit of some manager.
pub(in crate::plan) fn operation(step: Step, unit: &UnitName) -> Option<Op> {
    let owner = MANAGERS.iter().find(|manager| manager.interface_of_unit(unit).is_some());
    Some(owner?.units()?.operation(step, unit.clone()))
}

/// What reads a file for its units.
pub(in crate::plan) fn reader_of(path: &str) -> Option<&'static dyn Units> {
    let units = MANAGERS.iter().filter_map(|manager| manager.units());
    units.into_iter().find(|units| path.starts_with(units.folder()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tool;

    #[test]
    fn everyone_knows_its_own_again_and_no_one_else_does() {
        let name: InterfaceName = "wg0.1".parse().unwrap();
        for manager in MANAGERS {
            let unit = manager.unit(&name);
            assert_eq!(unit.is_some(), manager.units().is_some(), "{manager:?}");
            let owners = MANAGERS.iter().filter(|other| {
                unit.as_ref().and_then(|unit| other.interface_of_unit(unit)).as_ref() == Some(&name)
            });
            assert_eq!(owners.count(), usize::from(unit.is_some()), "{manager:?}");
            let Some(path) = manager.path(&name) else { continue };
            let owners = MANAGERS.iter().filter(|other| other.interface_of(&path).is_some());
            assert_eq!((owners.count(), interface_of(&path)), (1, Some(name.clone())));
            assert!(reader_of(&path).is_some(), "{path}");
        }
        assert!(interface_of("/etc/wireguard/wg0.conf").is_none());
    }

    #[test]
    fn a_host_has_one_by_what_it_is() {
        let chosen = |systemd: bool, tools: &[Tool]| {
            let tools = tools.iter().copied().collect();
            format!("{:?}", of(&Facts { systemd, tools, ..Facts::default() }))
        };
        assert_eq!(chosen(true, &[Tool::WgQuick]), "WgQuick");
        assert_eq!(chosen(true, &[]), "OwnUnit");
        assert_eq!(chosen(false, &[Tool::WgQuick]), "Plain");
    }
}

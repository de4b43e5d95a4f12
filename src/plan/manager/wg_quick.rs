//! wg-quick(8) in its unit of systemd, `wg-quick@IF`.

use super::duties::{Manager, Wanted};
use super::systemd::{self, Systemd};
use super::units::Units;
use crate::model::{HostPath, InterfaceName, Tool, UnitName};
use crate::observed::Facts;
use crate::plan::Obstacle;

/// A host that has systemd and wg-quick(8).
#[derive(Debug)]
pub(super) struct WgQuick;

impl Manager for WgQuick {
    fn takes(&self, facts: &Facts) -> bool {
        facts.systemd && facts.has(Tool::WgQuick)
    }

    fn units(&self) -> Option<&'static dyn Units> {
        Some(&Systemd)
    }

    fn refuses(&self, interface: &InterfaceName) -> Option<Obstacle> {
        systemd::refuses(interface)
    }

    fn unit(&self, interface: &InterfaceName) -> Option<UnitName> {
        Some(UnitName::made(&format!("wg-quick@{interface}.service")))
    }

    fn interface_of_unit(&self, unit: &str) -> Option<InterfaceName> {
        unit.strip_prefix("wg-quick@")?.strip_suffix(".service")?.parse().ok()
    }

    fn path(&self, interface: &InterfaceName) -> Option<HostPath> {
        let unit = self.unit(interface)?;
        Some(HostPath::made(&format!("{}{unit}.d/wgfleet.conf", systemd::FOLDER)))
    }

    fn interface_of(&self, path: &str) -> Option<InterfaceName> {
        let (unit, _) = path.strip_prefix(systemd::FOLDER)?.split_once(".d/")?;
        self.interface_of_unit(unit)
    }

    /// A drop-in: an interface that wgfleet started in place is adopted instead of being an error.
    fn text(&self, wanted: &Wanted<'_>) -> String {
        let tunnel = systemd::environment(wanted.backend, true);
        let after_start = systemd::after_start(wanted.rules.map(|file| &**file));
        format!(
            "# Managed by wgfleet.\n[Service]\n{tunnel}ExecStart=\n\
             ExecStart=/bin/sh -c 'ip link show dev \"$1\" >/dev/null 2>&1 || exec wg-quick up \
             \"$1\"' wgfleet %i\n{after_start}"
        )
    }
}

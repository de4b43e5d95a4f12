//! wgfleet's own unit of systemd, on a host that has no wg-quick(8), and what it may not do. The unit
//! needs wg-quick(8) all the same: since that is not there, wgfleet's own binary is pushed for it.

use super::duties::{Manager, Wanted};
use super::systemd::{self, Systemd};
use super::units::Units;
use crate::model::{HostPath, InterfaceName, UnitName};
use crate::observed::{Facts, LiveBackend};
use crate::plan::Obstacle;
use crate::plan::helper::HELPER;
use crate::wgconf::{Setting, lines};

/// A host that has systemd and no wg-quick(8).
#[derive(Debug)]
pub(super) struct OwnUnit;

impl Manager for OwnUnit {
    fn takes(&self, facts: &Facts) -> bool {
        facts.systemd
    }

    fn units(&self) -> Option<&'static dyn Units> {
        Some(&Systemd)
    }

    fn refuses(&self, interface: &InterfaceName) -> Option<Obstacle> {
        systemd::refuses(interface)
    }

    fn unit(&self, interface: &InterfaceName) -> Option<UnitName> {
        Some(UnitName::made(&format!("wgfleet-{interface}.service")))
    }

    fn interface_of_unit(&self, unit: &str) -> Option<InterfaceName> {
        unit.strip_prefix("wgfleet-")?.strip_suffix(".service")?.parse().ok()
    }

    fn path(&self, interface: &InterfaceName) -> Option<HostPath> {
        let unit = self.unit(interface)?;
        Some(HostPath::made(&format!("{}{unit}", systemd::FOLDER)))
    }

    fn interface_of(&self, path: &str) -> Option<InterfaceName> {
        self.interface_of_unit(path.strip_prefix(systemd::FOLDER)?)
    }

    fn text(&self, wanted: &Wanted<'_>) -> String {
        let is_embedded = wanted.backend == LiveBackend::Embedded;
        let confined = is_embedded && is_plain(wanted.conf);
        let confined = if confined { CONFINED } else { "" };
        // Where the tunnel keeps the time of its last initiation: a clock that is set back does not end it.
        let state =
            if is_embedded { "StateDirectory=wgfleet\nStateDirectoryMode=0700\n" } else { "" };
        let tunnel = systemd::environment(wanted.backend, false);
        let after_start = systemd::after_start(wanted.rules.map(|file| &**file));
        let name = wanted.interface;
        format!(
            "# Managed by wgfleet.\n[Unit]\nDescription=WireGuard interface {name} by wgfleet\n\
             After=network-online.target nss-lookup.target\n\
             Wants=network-online.target nss-lookup.target\n\n[Service]\nType=oneshot\n\
             RemainAfterExit=yes\n{state}{tunnel}ExecStart=/bin/sh -c 'ip link show dev \"$1\" \
             >/dev/null 2>&1 || exec {HELPER} quick up \"$1\"' wgfleet {name}\n{after_start}\
             ExecStop={HELPER} quick down {name}\n{confined}\n[Install]\nWantedBy=multi-user.target\n"
        )
    }
}

/// What an interface is started and stopped with needs no more than this; the tunnel that comes of
/// it gives up the rest by itself (docs/security.md).
///
/// `CAP_NET_RAW` is for iptables(8) where there is no nft(8); with `CAP_SETPCAP` and
/// `CAP_SYS_CHROOT` the tunnel confines itself.
const CONFINED: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SETPCAP CAP_SYS_CHROOT
LimitCORE=0
Nice=-10
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectSystem=full
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
";

/// Whether a configuration file asks for nothing but an interface: hooks may do anything, resolvconf
/// writes to /etc, and so does `SaveConfig`.
pub(super) fn is_plain(conf: &str) -> bool {
    let mut settings = lines(conf.as_bytes()).filter_map(|line| line.setting());
    !settings.any(|(setting, _)| {
        setting.is_hook() || matches!(setting, Setting::Dns | Setting::SaveConfig)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_touches_nothing_else_is_confined() {
        assert!(is_plain("[Interface]\nPrivateKey = (hidden)\nTable = off\n# PostUp\n"));
        for line in ["PostUp = x", "predown=y", "  DNS = 10.0.0.1", "SaveConfig = true"] {
            assert!(!is_plain(&format!("[Interface]\nMTU = 1420\n{line}\n")), "{line}");
        }
        let name: InterfaceName = "wg0".parse().unwrap();
        let text = |conf: &str, backend: LiveBackend| {
            OwnUnit.text(&Wanted { interface: &name, backend, conf, rules: None })
        };
        let plain = "MTU = 1420\n";
        assert!(text(plain, LiveBackend::Embedded).contains("NoNewPrivileges=yes\n"));
        assert!(text("PostUp = x\n", LiveBackend::Embedded).contains("StateDirectory=wgfleet\n"));
        assert!(!text(plain, LiveBackend::Userspace).contains("NoNewPrivileges"));
        assert!(!text("PostUp = x\n", LiveBackend::Embedded).contains("NoNewPrivileges"));
    }
}

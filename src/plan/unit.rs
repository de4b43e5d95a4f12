//! The unit of an interface on a host that has no wg-quick(8), and what it may not do.

use super::agent::AGENT;
use crate::model::InterfaceName;
use crate::wgconf::{Setting, lines};

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

/// The text of `wgfleet-IF.service`; `tunnel` and `after_start` are further lines of its service.
pub(super) fn text(
    name: &InterfaceName,
    tunnel: &str,
    after_start: &str,
    confined: bool,
) -> String {
    let confined = if confined { CONFINED } else { "" };
    format!(
        "# Managed by wgfleet.\n[Unit]\nDescription=WireGuard interface {name} by wgfleet\n\
         After=network-online.target nss-lookup.target\n\
         Wants=network-online.target nss-lookup.target\n\n[Service]\nType=oneshot\n\
         RemainAfterExit=yes\n{tunnel}ExecStart=/bin/sh -c 'ip link show dev \"$1\" \
         >/dev/null 2>&1 || exec {AGENT} quick up \"$1\"' wgfleet {name}\n{after_start}\
         ExecStop={AGENT} quick down {name}\n{confined}\n[Install]\nWantedBy=multi-user.target\n"
    )
}

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
        assert!(text(&name, "", "", true).contains("NoNewPrivileges=yes\n"));
        assert!(!text(&name, "", "", false).contains("NoNewPrivileges"));
    }
}

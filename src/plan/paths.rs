//! Where the files of an interface lie on a host, whoever configures it.

use crate::model::{HostPath, InterfaceName};

/// The folder of the files of wg-quick(8), and of rules.
pub(super) const WIREGUARD: &str = "/etc/wireguard/";

/// The folder of settings of the kernel.
pub(super) const SYSCTLS: &str = "/etc/sysctl.d/";

/// The file of wg-quick(8) for an interface.
pub(super) fn conf(name: &InterfaceName) -> HostPath {
    HostPath::made(&format!("{WIREGUARD}{name}.conf"))
}

/// The interface of such a file.
pub(super) fn interface_of(path: &str) -> Option<InterfaceName> {
    path.strip_prefix(WIREGUARD)?.strip_suffix(".conf")?.parse().ok()
}

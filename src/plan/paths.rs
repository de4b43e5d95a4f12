//! Where the files of an interface lie on a host.

use crate::model::InterfaceName;

/// The file of wg-quick(8) for an interface.
pub(super) fn conf(name: &InterfaceName) -> String {
    format!("/etc/wireguard/{name}.conf")
}

/// The interface of such a file.
pub(super) fn interface_of(path: &str) -> Option<InterfaceName> {
    path.strip_prefix("/etc/wireguard/")?.strip_suffix(".conf")?.parse().ok()
}

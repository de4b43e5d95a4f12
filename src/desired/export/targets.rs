//! What exports there are: one template each.

/// What an export is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One host or unmanaged peer, with its private key.
    Device,
    /// One unmanaged peer as its owner may see it, without a private key.
    Partner,
    /// The whole fleet, without any secret.
    Fleet,
}

/// An export that comes with wgfleet.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it is of.
    pub scope: Scope,
    /// What it is for, in one line.
    pub what: &'static str,
    /// Its template.
    pub template: &'static str,
}

/// A row of the list: the template lies in templates/export under the same name.
macro_rules! target {
    ($name:literal, $scope:ident, $what:literal) => {
        Target {
            name: $name,
            scope: Scope::$scope,
            what: $what,
            template: include_str!(concat!("../../../templates/export/", $name, ".j2")),
        }
    };
}

/// Every export that comes with wgfleet.
pub const TARGETS: &[Target] = &[
    target!("networkmanager", Device, "a keyfile of NetworkManager"),
    target!("networkd", Device, "a .netdev and a .network of systemd-networkd"),
    target!("openwrt", Device, "a script of uci for OpenWrt"),
    target!("routeros", Device, "a script of RouterOS 7"),
    target!("compose", Device, "a container for Docker Compose"),
    target!("app", Device, "a file for the WireGuard apps"),
    target!("partner", Partner, "our side for a partner, and a form for theirs"),
    target!("ansible", Fleet, "an inventory of Ansible"),
    target!("hosts", Fleet, "lines for /etc/hosts"),
    target!("dns-zone", Fleet, "records for a DNS zone"),
    target!("prometheus-targets", Fleet, "targets of Prometheus, for file_sd_configs"),
];

/// The export of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

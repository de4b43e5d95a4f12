//! What the file of an interface says that wgfleet left on a host: whatever runs there and is not so
//! was changed by another hand, whatever the inventory changes besides.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{DeviceField, FieldChange, PeerField};
use crate::model::{PublicKey, covers};
use crate::observed::{ObservedInterface, ObservedPsk};
use crate::wgconf::{Document, Heading, Section, Setting};

/// The settings of a file, as wg-quick(8) reads it. What it does not say is not known.
#[derive(Debug, Default)]
pub(super) struct Left {
    mtu: Option<u32>,
    listen_port: Option<u32>,
    fwmark: Option<u32>,
    addresses: BTreeSet<IpNet>,
    /// The routing table, in the file's word.
    table: Option<String>,
    peers: BTreeMap<PublicKey, LeftPeer>,
}

/// A peer of a file.
#[derive(Debug, Default)]
struct LeftPeer {
    allowed_ips: BTreeSet<IpNet>,
    keepalive: u32,
    has_psk: bool,
}

impl LeftPeer {
    fn of(section: &Section<'_>) -> Self {
        let mut peer = Self::default();
        for entry in section.entries() {
            let value = entry.value;
            match entry.setting {
                Some(Setting::AllowedIps) => peer.allowed_ips.extend(nets(value)),
                Some(Setting::PersistentKeepalive) => {
                    peer.keepalive = number(value).unwrap_or_default();
                }
                Some(Setting::PresharedKey) => peer.has_psk = true,
                _ => {}
            }
        }
        peer
    }
}

impl Left {
    /// Reads a file.
    pub(super) fn of(text: &str) -> Self {
        let mut left = Self::default();
        for section in &Document::of(text.as_bytes()).sections {
            if section.heading == Some(Heading::Peer) {
                let key = section.last(Setting::PublicKey).and_then(|key| key.parse().ok());
                left.peers.extend(key.map(|key| (key, LeftPeer::of(section))));
            } else {
                left.interface(section);
            }
        }
        left
    }

    fn interface(&mut self, section: &Section<'_>) {
        for entry in section.entries() {
            let value = entry.value;
            match entry.setting {
                Some(Setting::Mtu) => self.mtu = number(value),
                Some(Setting::ListenPort) => self.listen_port = number(value),
                Some(Setting::FwMark) => self.fwmark = number(value),
                Some(Setting::Address) => self.addresses.extend(nets(value)),
                Some(Setting::Table) => self.table = Some(value.to_owned()),
                _ => {}
            }
        }
    }

    /// Whether it has a peer.
    pub(super) fn has(&self, key: &PublicKey) -> bool {
        self.peers.contains_key(key)
    }

    /// Whether it has an address.
    pub(super) fn has_address(&self, address: &IpNet) -> bool {
        self.addresses.contains(address)
    }

    /// Whether another hand changed a setting of the interface itself.
    pub(super) fn device_drifted(
        &self,
        live: &ObservedInterface,
        change: &FieldChange<DeviceField>,
    ) -> bool {
        match change.field {
            DeviceField::Mtu => self.mtu.is_some_and(|mtu| mtu != live.mtu),
            DeviceField::ListenPort => {
                self.listen_port.is_some_and(|port| port != u32::from(live.listen_port))
            }
            // Without a mark in the file wg-quick(8) may choose one.
            DeviceField::FwMark => self.fwmark.is_some_and(|mark| mark != live.fwmark),
            // No inventory takes a link down.
            DeviceField::Link => true,
            // The record has the key.
            DeviceField::PublicKey => false,
        }
    }

    /// Whether another hand changed settings of a peer. Where it is found is the peer's affair.
    pub(super) fn peer_drifted(
        &self,
        live: &ObservedInterface,
        key: &PublicKey,
        fields: &[FieldChange<PeerField>],
    ) -> bool {
        let (Some(left), Some(live)) = (self.peers.get(key), live.peers.get(key)) else {
            return false;
        };
        fields.iter().any(|change| match change.field {
            PeerField::AllowedIps => left.allowed_ips != live.allowed_ips,
            PeerField::Keepalive => {
                left.keepalive != live.keepalive.map_or(0, |keepalive| u32::from(keepalive.get()))
            }
            PeerField::PresharedKey if left.has_psk => live.psk != ObservedPsk::AsFile,
            PeerField::PresharedKey => live.psk != ObservedPsk::None,
            PeerField::Endpoint => false,
        })
    }

    /// Whether a route that is missing was there: wg-quick(8) adds one for each prefix of a peer.
    pub(super) fn had_route(&self, table: u32, prefix: &IpNet) -> bool {
        let automatic = self.table.as_deref().is_none_or(|word| word.eq_ignore_ascii_case("auto"));
        let right = match self.table.as_deref() {
            _ if automatic => table == MAIN,
            Some(word) if word.eq_ignore_ascii_case("main") => table == MAIN,
            word => word.and_then(number) == Some(table),
        };
        // Where it chooses the table it adds none where the kernel's own for an address leads there.
        let connected =
            automatic && self.addresses.iter().any(|addr| covers(&addr.trunc(), prefix));
        right && !connected && self.leads_to(prefix)
    }

    /// Whether a prefix is one of a peer.
    pub(super) fn leads_to(&self, prefix: &IpNet) -> bool {
        self.peers.values().any(|peer| peer.allowed_ips.contains(prefix))
    }
}

/// Number of the routing table `main`.
const MAIN: u32 = 254;

/// A list of prefixes; a bare address is one of its own.
fn nets(list: &str) -> impl Iterator<Item = IpNet> {
    list.split(',').filter_map(|item| {
        let item = item.trim();
        item.parse().ok().or_else(|| item.parse().map(|addr: std::net::IpAddr| addr.into()).ok())
    })
}

/// A number, also in hexadecimal; what is off is 0.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.eq_ignore_ascii_case("off") => Some(0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_its_own_has_a_route_for_every_prefix() {
        let left = |table: &str| {
            let head = format!("[Interface]\nAddress = 10.1.0.2/24\n{table}[Peer]\nPublicKey = ");
            Left::of(&format!(
                "{head}{}\nAllowedIPs = 10.1.0.1/32, 10.9.0.0/16\n",
                "A".repeat(43) + "="
            ))
        };
        let had = |table: &str, number, prefix: &str| {
            left(table).had_route(number, &prefix.parse().unwrap())
        };
        for table in ["", "Table = auto\n", "Table = main\n"] {
            assert_eq!(had(table, MAIN, "10.1.0.1/32"), table.contains("main"), "{table}");
            assert!(had(table, MAIN, "10.9.0.0/16") && !had(table, 99, "10.9.0.0/16"), "{table}");
        }
        for prefix in ["10.1.0.1/32", "10.9.0.0/16"] {
            assert!(had("Table = 99\n", 99, prefix) && !had("Table = 99\n", MAIN, prefix));
            assert!(!had("Table = off\n", MAIN, prefix));
        }
    }
}

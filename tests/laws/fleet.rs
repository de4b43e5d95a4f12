//! Small fleets as text, as different as the file format allows.

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;
use wgfleet::desired::{self, DesiredState};
use wgfleet::inventory::{LockFile, allocate, parse};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::topology;

use crate::vault::Vault;

/// A small fleet, as far as the laws need it.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) hosts: Vec<HostSpec>,
    pub(crate) hub: bool,
    pub(crate) psk: bool,
    pub(crate) two: bool,
    pub(crate) vault: Vault,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the file format")]
pub(crate) struct HostSpec {
    /// 0: none, 1: an address, 2: another address, 3: a name, 4: another name.
    pub(crate) endpoint: u8,
    pub(crate) nat: bool,
    pub(crate) subnet: bool,
    pub(crate) mtu: Option<u16>,
    pub(crate) table: u8,
    pub(crate) fwmark: bool,
    pub(crate) keepalive: Option<u16>,
    pub(crate) hook: bool,
    pub(crate) full: bool,
    pub(crate) masquerade: bool,
    pub(crate) backend: u8,
    pub(crate) v6: bool,
}

pub(crate) fn host_spec() -> impl Strategy<Value = HostSpec> {
    let switches = (
        any::<(bool, bool, bool)>(),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.2),
    );
    (
        0_u8..5,
        switches,
        proptest::option::weighted(0.3, 1280_u16..1500),
        0_u8..6,
        proptest::bool::weighted(0.2),
        proptest::option::of(1_u16..60),
        0_u8..4,
    )
        .prop_map(
            |(
                endpoint,
                ((nat, subnet, v6), hook, full, masquerade),
                mtu,
                table,
                fwmark,
                keepalive,
                backend,
            )| HostSpec {
                endpoint,
                nat,
                subnet,
                mtu,
                table,
                fwmark,
                keepalive,
                hook,
                full,
                masquerade,
                backend,
                v6,
            },
        )
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    (
        proptest::collection::vec(host_spec(), 2..5),
        any::<(bool, bool)>(),
        proptest::bool::weighted(0.3),
        0_u8..2,
        1_u32..3,
    )
        .prop_map(|(hosts, (hub, psk), two, generation, epoch)| Spec {
            hosts,
            hub,
            psk,
            two,
            vault: Vault { generation, epoch },
        })
}

impl Spec {
    /// Two hosts that say nothing in particular.
    pub(crate) fn two_hosts() -> Self {
        let host = HostSpec {
            endpoint: 1,
            nat: false,
            subnet: false,
            mtu: None,
            table: 0,
            fwmark: false,
            keepalive: None,
            hook: false,
            full: false,
            masquerade: false,
            backend: 0,
            v6: false,
        };
        let vault = Vault { generation: 0, epoch: 1 };
        Self { hosts: vec![host.clone(), host], hub: false, psk: false, two: false, vault }
    }

    pub(crate) fn yaml(&self) -> String {
        let links = if self.hub { "{ hub: h0 }" } else { "mesh" };
        let psk = if self.psk { "pairwise" } else { "none" };
        let mut out = format!(
            "fleet: laws\nnetworks:\n  n0: {{ interface: wg0, prefixes: [10.1.0.0/24, \"fd11::/64\"], links: {links}, psk: {psk} }}\n"
        );
        if self.two {
            out.push_str("  n1: { interface: wg1, prefixes: [10.2.0.0/24], links: mesh }\n");
        }
        out.push_str("hosts:\n");
        for (index, host) in self.hosts.iter().enumerate() {
            let number = index + 1;
            let _ = write!(
                out,
                "  h{index}:\n    nat: {}\n    backend: {}\n",
                host.nat,
                ["auto", "kernel", "embedded", "wireguard-go"][usize::from(host.backend)]
            );
            if host.subnet {
                let _ = write!(
                    out,
                    "    subnets: [172.16.{number}.0/24{}]\n    masquerade: {}\n",
                    if host.v6 { format!(", \"fd99:{number}::/48\"") } else { String::new() },
                    host.masquerade
                );
            }
            let _ = write!(
                out,
                "    networks:\n      n0: {{ address: [10.1.0.{number}, \"fd11::{number}\"]"
            );
            let endpoint = match host.endpoint {
                1 => Some(format!("192.0.2.{number}:51820")),
                2 => Some(format!("198.51.100.{number}:51821")),
                3 => Some(format!("a{number}.example.com:51820")),
                4 => Some(format!("b{number}.example.com:51820")),
                _ => None,
            };
            if let Some(endpoint) = endpoint {
                let _ = write!(out, ", endpoint: \"{endpoint}\"");
            }
            if let Some(mtu) = host.mtu {
                let _ = write!(out, ", mtu: {mtu}");
            }
            match host.table {
                1 => out.push_str(", table: off"),
                2 => out.push_str(", table: 99"),
                _ => {}
            }
            if host.fwmark {
                out.push_str(", fwmark: 0x77");
            }
            if let Some(keepalive) = host.keepalive {
                let _ = write!(out, ", keepalive: {keepalive}");
            }
            if host.hook {
                out.push_str(", post_up: \"true\"");
            }
            if host.full && index > 0 {
                out.push_str(", full_tunnel: h0");
            }
            out.push_str(" }\n");
            if self.two && index < 2 {
                let _ = writeln!(out, "      n1: {{ address: 10.2.0.{number} }}");
            }
        }
        out
    }

    pub(crate) fn desired(&self) -> DesiredState {
        let parsed = parse(PathBuf::from("fleet.yaml"), self.yaml());
        let inventory =
            parsed.inventory.unwrap_or_else(|| panic!("{}\n{:?}", self.yaml(), parsed.findings));
        let (lock, _) = allocate(&inventory, &LockFile::default());
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(&inventory, &addresses);
        let (state, missing) = desired::build(&inventory, &topology, &self.vault);
        assert!(missing.is_empty());
        state
    }
}

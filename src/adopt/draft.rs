//! The inventory that an import writes, before it is text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::known::KnownHooks;
use crate::model::{
    Endpoint, FleetName, FwMark, HostName, InterfaceName, Keepalive, Mtu, NetworkName, Port,
    PublicKey, RouteTable, SiteName, SshTarget,
};

/// A fleet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) fleet: FleetName,
    pub(super) networks: Vec<DraftNetwork>,
    pub(super) sites: Vec<DraftSite>,
    pub(super) hosts: Vec<DraftHost>,
    pub(super) peers: Vec<DraftPeer>,
}

/// A network.
#[derive(Debug, Clone)]
pub(super) struct DraftNetwork {
    pub(super) name: NetworkName,
    pub(super) interface: InterfaceName,
    pub(super) prefixes: Vec<IpNet>,
    pub(super) links: Vec<DraftLink>,
    pub(super) psk: bool,
    pub(super) tuning: Tuning,
}

/// Who is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DraftLink {
    /// All hosts of the network, or some.
    Mesh(Option<Vec<HostName>>),
    /// Hubs with all others, or some.
    Hub { hubs: Vec<HostName>, spokes: Option<Vec<HostName>>, mesh_hubs: bool },
    /// Two hosts.
    Pair(HostName, HostName),
}

/// A place with a LAN and one or more gateways.
#[derive(Debug, Clone)]
pub(super) struct DraftSite {
    pub(super) name: SiteName,
    pub(super) subnets: Vec<IpNet>,
}

/// A managed host.
#[derive(Debug, Clone)]
pub(super) struct DraftHost {
    pub(super) name: HostName,
    pub(super) ssh: Option<SshTarget>,
    pub(super) site: Option<usize>,
    pub(super) nat: bool,
    pub(super) transit: bool,
    pub(super) subnets: Vec<IpNet>,
    pub(super) members: Vec<DraftMember>,
    pub(super) overrides: BTreeMap<HostName, DraftOverride>,
}

/// A host's interface in a network.
#[derive(Debug, Clone)]
pub(super) struct DraftMember {
    pub(super) network: usize,
    pub(super) interface: Option<InterfaceName>,
    pub(super) address: Vec<IpAddr>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) full_tunnel: Option<HostName>,
    pub(super) tuning: Tuning,
    pub(super) hooks: KnownHooks,
}

/// Settings of an interface that a network can have for all its members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tuning {
    pub(super) on_link: Option<bool>,
    pub(super) listen_port: Option<Port>,
    pub(super) mtu: Option<Mtu>,
    pub(super) table: Option<RouteTable>,
    pub(super) fwmark: Option<FwMark>,
    pub(super) dns: Option<Vec<String>>,
    #[expect(clippy::option_option, reason = "not said, off, or some seconds")]
    pub(super) keepalive: Option<Option<Keepalive>>,
}

/// What a host says of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DraftOverride {
    pub(super) allowed_ips: Option<Vec<IpNet>>,
    pub(super) endpoint: Option<Endpoint>,
    #[expect(clippy::option_option, reason = "not said, off, or some seconds")]
    pub(super) keepalive: Option<Option<Keepalive>>,
    pub(super) psk: Option<bool>,
}

/// An unmanaged peer.
#[derive(Debug, Clone)]
pub(super) struct DraftPeer {
    pub(super) name: HostName,
    pub(super) network: usize,
    pub(super) via: Vec<HostName>,
    pub(super) public_key: PublicKey,
    pub(super) address: Vec<IpAddr>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) subnets: Vec<IpNet>,
    pub(super) psk: bool,
}

impl DraftHost {
    /// Its interface in a network.
    pub(super) fn member(&mut self, network: usize) -> Option<&mut DraftMember> {
        self.members.iter_mut().find(|member| member.network == network)
    }

    /// What it says of a peer, to be added to.
    pub(super) fn override_of(&mut self, peer: &HostName) -> &mut DraftOverride {
        self.overrides.entry(peer.clone()).or_default()
    }
}

impl Draft {
    /// Says once for a network what all its members say.
    pub(super) fn hoist(&mut self) {
        for index in 0..self.networks.len() {
            let mut all: Vec<&mut Tuning> = self
                .hosts
                .iter_mut()
                .filter_map(|host| host.member(index))
                .map(|member| &mut member.tuning)
                .collect();
            if all.len() < 2 {
                continue;
            }
            let network = &mut self.networks[index].tuning;
            hoist(&mut all, network, |tuning| &mut tuning.on_link);
            hoist(&mut all, network, |tuning| &mut tuning.listen_port);
            hoist(&mut all, network, |tuning| &mut tuning.mtu);
            hoist(&mut all, network, |tuning| &mut tuning.table);
            hoist(&mut all, network, |tuning| &mut tuning.fwmark);
            hoist(&mut all, network, |tuning| &mut tuning.dns);
            hoist(&mut all, network, |tuning| &mut tuning.keepalive);
        }
    }
}

fn hoist<T: PartialEq>(
    all: &mut [&mut Tuning],
    network: &mut Tuning,
    of: impl Fn(&mut Tuning) -> &mut Option<T>,
) {
    let Some(first) = of(all[0]).take() else { return };
    if all[1..].iter_mut().all(|tuning| of(tuning).as_ref() == Some(&first)) {
        for tuning in all {
            *of(tuning) = None;
        }
        *of(network) = Some(first);
    } else {
        *of(all[0]) = Some(first);
    }
}

//! What a template of an export knows of the whole fleet; also a JSON document. No secret is in it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::inventory::Inventory;
use crate::model::{
    Document, Endpoint, FleetName, HostName, InterfaceName, Kind, NetworkName, Port, PublicKey,
    SiteName, Version,
};
use crate::topology::{InterfaceId, Node, NodeKind, Topology};

/// The whole fleet.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WholeFleet {
    /// `fleet-export`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Its name.
    pub fleet: FleetName,
    /// Its networks, in order of the file.
    pub networks: Vec<ExportedNetwork>,
    /// Its managed hosts, in order of the file.
    pub hosts: Vec<ExportedHost>,
    /// Its unmanaged peers, in order of the file.
    pub peers: Vec<ExportedPeer>,
    /// Which hosts are at each site, in each group and each network.
    pub memberships: Vec<Membership>,
}

impl Document for WholeFleet {
    const KIND: &'static str = "fleet-export";
    const VERSION: u32 = 1;
}

/// A network.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExportedNetwork {
    /// Its name.
    pub name: NetworkName,
    /// Its prefixes.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub prefixes: Vec<IpNet>,
}

/// A managed host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExportedHost {
    /// Its name.
    pub name: HostName,
    /// Who logs in there; null where `ssh_config` says.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub ssh_user: Option<String>,
    /// What ssh(1) is given.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub ssh_host: String,
    /// The port of ssh; null where `ssh_config` says.
    pub ssh_port: Option<Port>,
    /// Its site.
    pub site: Option<SiteName>,
    /// Prefixes behind it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub subnets: Vec<IpNet>,
    /// Its interfaces, in order of the networks.
    pub interfaces: Vec<ExportedInterface>,
}

/// An unmanaged peer.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExportedPeer {
    /// Its name.
    pub name: HostName,
    /// Prefixes behind it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub subnets: Vec<IpNet>,
    /// Its interface.
    pub interfaces: Vec<ExportedInterface>,
}

/// A tunnel interface.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExportedInterface {
    /// Its name.
    pub interface: InterfaceName,
    /// Its network.
    pub network: NetworkName,
    /// Its tunnel addresses, with the length of the network's prefix.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub addresses: Vec<IpNet>,
    /// Where others reach it; null where they do not.
    pub endpoint: Option<Endpoint>,
    /// Its public key; null where there is no vault, or it has none yet.
    pub public_key: Option<PublicKey>,
}

/// A site, a group or a network with its hosts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Membership {
    /// `site_NAME`, `group_NAME` or `network_NAME`.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub name: String,
    /// Its hosts, in order of the file.
    pub hosts: Vec<HostName>,
}

impl WholeFleet {
    /// What the files mean, with the public keys that `key` knows.
    #[must_use]
    pub fn new(
        inventory: &Inventory,
        topology: &Topology,
        key: &dyn Fn(&HostName) -> Option<PublicKey>,
    ) -> Self {
        let mut hosts = Vec::new();
        let mut peers = Vec::new();
        for node in &topology.nodes {
            let own = interfaces(inventory, topology, node, key);
            let subnets = node.subnets.iter().map(|subnet| subnet.value).collect();
            match node.kind {
                NodeKind::Host(index) => {
                    let host = &inventory.hosts[index];
                    hosts.push(ExportedHost {
                        name: node.name.clone(),
                        ssh_user: host.ssh.value.user().map(ToOwned::to_owned),
                        ssh_host: host.ssh.value.host().to_owned(),
                        ssh_port: host.ssh.value.port(),
                        site: host.site.map(|site| inventory.sites[site].name.value.clone()),
                        subnets,
                        interfaces: own,
                    });
                }
                NodeKind::Unmanaged(_) => {
                    peers.push(ExportedPeer { name: node.name.clone(), subnets, interfaces: own });
                }
            }
        }
        let networks = inventory.networks.iter().map(|network| ExportedNetwork {
            name: network.name.value.clone(),
            prefixes: network.prefixes.iter().map(|prefix| prefix.value).collect(),
        });
        Self {
            kind: Kind::default(),
            version: Version::default(),
            fleet: inventory.fleet.value.clone(),
            networks: networks.collect(),
            hosts,
            peers,
            memberships: memberships(inventory),
        }
    }
}

fn interfaces(
    inventory: &Inventory,
    topology: &Topology,
    node: &Node,
    key: &dyn Fn(&HostName) -> Option<PublicKey>,
) -> Vec<ExportedInterface> {
    let exported = |id: &InterfaceId| {
        let own = topology.interface(*id);
        let (endpoint, declared) = if let Some(peer) = node.unmanaged(inventory) {
            let settings = &peer.settings;
            (settings.endpoint.as_ref(), settings.public_key.as_ref().map(|key| key.value))
        } else {
            let member = topology.membership(inventory, own);
            (member.and_then(|(_, member)| member.settings.endpoint.as_ref()), None)
        };
        ExportedInterface {
            interface: own.name.value.clone(),
            network: inventory.networks[own.network].name.value.clone(),
            addresses: own.addresses.iter().map(|address| address.value).collect(),
            endpoint: endpoint.map(|endpoint| endpoint.value.clone()),
            public_key: declared.or_else(|| key(&node.name)),
        }
    };
    node.interfaces.iter().map(exported).collect()
}

fn memberships(inventory: &Inventory) -> Vec<Membership> {
    let mut all: BTreeMap<String, Vec<HostName>> = BTreeMap::new();
    for host in &inventory.hosts {
        let site = host.site.map(|site| format!("site_{}", inventory.sites[site].name.value));
        let groups = host.groups.iter().map(|group| format!("group_{group}"));
        let networks =
            host.interfaces.iter().map(|own| &inventory.networks[own.network].name.value);
        let networks = networks.map(|name| format!("network_{name}"));
        for name in site.into_iter().chain(groups).chain(networks) {
            let hosts = all.entry(name).or_default();
            if hosts.last() != Some(&host.name.value) {
                hosts.push(host.name.value.clone());
            }
        }
    }
    all.into_iter().map(|(name, hosts)| Membership { name, hosts }).collect()
}

//! The settings of a node out of the topology, with their reasons.

use serde_json::Value;

use super::{Explanation, InterfaceSettings, Level, PeerSettings, Place, Reason, Setting};
use crate::inventory::{self, HostSettings, Inventory, OverrideSettings};
use crate::model::{
    FwMark, HIDDEN, HostName, Keepalive, Kind, Location, Mtu, Port, PublicKey, Version, mask,
};
use crate::topology::{
    Because, Derived, Interface, InterfaceId, Node, NodeId, NodeKind, Origins, Peer, Topology,
};

/// The key that the vault has for a host or peer; `None` where it has none, or cannot be read.
pub type Keys<'k> = dyn Fn(&HostName) -> Option<PublicKey> + 'k;

/// Every setting of a node, or those towards `peer` alone.
#[must_use]
pub fn explain(
    inventory: &Inventory,
    topology: &Topology,
    keys: &Keys<'_>,
    node: NodeId,
    peer: Option<NodeId>,
) -> Explanation {
    let here = topology.node(node);
    let collector = |network| Collector { inventory, topology, keys, node: here, network };
    let interface =
        |id: &InterfaceId| collector(Some(topology.interface(*id).network)).interface(*id, peer);
    Explanation {
        kind: Kind::default(),
        version: Version::default(),
        fleet: inventory.fleet.value.clone(),
        host: here.name.clone(),
        settings: if peer.is_none() { collector(None).host() } else { Vec::new() },
        interfaces: here
            .interfaces
            .iter()
            .map(interface)
            .filter(|one| peer.is_none() || !one.peers.is_empty())
            .collect(),
    }
}

struct Collector<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
    keys: &'a Keys<'a>,
    node: &'a Node,
    /// That of the interface whose settings are collected.
    network: Option<usize>,
}

impl Collector<'_> {
    fn host(&self) -> Vec<Setting> {
        let node = self.node;
        let rows = HostSettings::ROWS;
        let mut all = Vec::new();
        if let NodeKind::Host(index) = node.kind {
            let host = &self.inventory.hosts[index];
            let ssh = if host.ssh.at == host.name.at {
                Because::Default
            } else {
                Because::Written(inventory::Place::own(host.ssh.at))
            };
            all.push(self.one("ssh", host.ssh.value.to_string(), ssh));
            // What is not told here, the topology knows more of; a setting that is told nowhere does
            // not compile.
            let HostSettings {
                r#become,
                nat: _,
                gateway,
                transit,
                exit: _,
                masquerade: _,
                backend,
            } = &host.settings;
            let r#become = Derived::from(r#become);
            all.push(self.one(rows.r#become.name, r#become.as_str(), r#become.because));
            let backend = Derived::from(backend);
            all.push(self.one(rows.backend.name, backend.as_str(), backend.because));
            let gateway = Derived::from(gateway);
            all.push(self.one(rows.gateway.name, gateway.value, gateway.because));
            let transit = Derived::from(transit);
            all.push(self.one(rows.transit.name, transit.value, transit.because));
        }
        all.push(self.one(rows.nat.name, node.nat.value, node.nat.because));
        all.push(self.one(rows.exit.name, node.exit.value, node.exit.because));
        for lan in &node.subnets {
            let because = Because::Written(inventory::Place::own(lan.at));
            all.push(self.one("subnet", lan.value.to_string(), because));
        }
        if matches!(node.kind, NodeKind::Host(_)) {
            let forwards = node.forwards;
            all.push(self.one("forward_ipv4", forwards.v4.value, forwards.v4.because));
            all.push(self.one("forward_ipv6", forwards.v6.value, forwards.v6.because));
            let sources = node.masquerade.iter().map(ToString::to_string);
            all.extend(self.list(rows.masquerade.name, sources, node.masquerade.because));
        }
        all
    }

    fn interface(&self, id: InterfaceId, peer: Option<NodeId>) -> InterfaceSettings {
        let interface = self.topology.interface(id);
        let origins = Origins::new(self.inventory, self.topology, interface.network);
        let asked = |entry: &&Peer| {
            peer.is_none_or(|peer| self.topology.interface(entry.remote).node == peer)
        };
        let mut peers: Vec<PeerSettings> = interface
            .peers
            .iter()
            .filter(asked)
            .map(|entry| self.peer(id, interface, entry, &origins))
            .collect();
        peers.sort_by(|a, b| a.peer.cmp(&b.peer));
        InterfaceSettings {
            interface: interface.name.value.clone(),
            network: self.inventory.networks[interface.network].name.value.clone(),
            settings: if peer.is_none() { self.device(interface) } else { Vec::new() },
            peers,
        }
    }

    fn device(&self, interface: &Interface) -> Vec<Setting> {
        let rows = inventory::InterfaceSettings::ROWS;
        let name = &interface.name;
        let mut all = vec![self.one(rows.interface.name, name.as_str(), name.because)];
        all.extend(self.keys_of(self.node));
        for addr in &interface.addresses {
            all.push(self.one(rows.address.name, addr.value.to_string(), addr.because));
        }
        let port = interface.listen_port;
        all.push(self.one(rows.listen_port.name, port.map(Port::get), port.because));
        let mark = interface.fwmark;
        all.push(self.one(rows.fwmark.name, mark.map(|FwMark(mark)| mark), mark.because));
        all.push(self.one(rows.mtu.name, Mtu::get(interface.mtu.value), interface.mtu.because));
        all.extend(self.list(rows.dns.name, interface.dns.iter().cloned(), interface.dns.because));
        all.push(self.one(rows.table.name, interface.table.to_string(), interface.table.because));
        if let Some((_, own)) = self.topology.membership(self.inventory, interface) {
            // As for the host; what its peers are told stands with them.
            let inventory::InterfaceSettings {
                address: _,
                interface: _,
                endpoint: _,
                local_endpoint: _,
                listen_port: _,
                mtu: _,
                table: _,
                on_link: _,
                fwmark: _,
                dns: _,
                keepalive: _,
                full_tunnel: _,
                pre_up,
                post_up,
                pre_down,
                post_down,
            } = &own.settings;
            let via = own.full_tunnel_via.as_ref().map(Derived::written);
            let name = rows.full_tunnel.name;
            let via = via.map(|via| self.one(name, via.value.as_str(), via.because));
            all.push(via.unwrap_or_else(|| self.one(name, (), Because::Default)));
            let hooks = [
                (rows.pre_up.name, pre_up),
                (rows.post_up.name, post_up),
                (rows.pre_down.name, pre_down),
                (rows.post_down.name, post_down),
            ];
            for (name, hooks) in hooks {
                if hooks.is_empty() {
                    all.push(self.one(name, (), Because::Default));
                }
                for hook in hooks {
                    let text = mask(hook.value.as_str()).into_owned();
                    all.push(self.one(name, text, Because::Written(hook.place())));
                }
            }
        }
        all
    }

    fn peer(
        &self,
        id: InterfaceId,
        interface: &Interface,
        peer: &Peer,
        origins: &Origins<'_>,
    ) -> PeerSettings {
        let remote = self.topology.remote(peer);
        let rows = OverrideSettings::ROWS;
        let mut all = Vec::new();
        let link = if peer.at() == interface.at { None } else { Some(peer.at()) };
        all.push(Setting {
            setting: "link",
            value: Value::Bool(true),
            because: Reason::Link,
            level: None,
            of: None,
            at: link.map(|at| self.place(at)),
        });
        all.extend(self.keys_of(remote).into_iter().filter(|key| key.setting == "public_key"));
        let psk = peer.settings.psk;
        let hidden = psk.value.then_some(HIDDEN);
        all.push(self.of_peer(remote, "preshared_key", hidden, psk.because));
        match &peer.endpoint {
            Some(told) => {
                all.push(self.of_peer(
                    remote,
                    rows.endpoint.name,
                    told.value.to_string(),
                    told.because,
                ));
            }
            None => all.push(self.of_peer(remote, rows.endpoint.name, (), Because::NoEndpoint)),
        }
        if peer.allowed_ips.is_empty() {
            all.push(self.of_peer(remote, rows.allowed_ips.name, (), peer.allowed_ips.because));
        }
        for net in peer.allowed_ips.iter() {
            let because = origins.of(id, peer.remote, net);
            all.push(self.of_peer(remote, rows.allowed_ips.name, net.to_string(), because));
        }
        let keepalive = peer.settings.keepalive;
        let seconds = keepalive.map(Keepalive::get);
        all.push(self.of_peer(remote, rows.keepalive.name, seconds, keepalive.because));
        PeerSettings { peer: remote.name.clone(), settings: all }
    }

    /// The pair of keys of a node, as far as it may be told.
    fn keys_of(&self, node: &Node) -> Vec<Setting> {
        let brought =
            node.unmanaged(self.inventory).and_then(|peer| peer.settings.public_key.as_ref());
        if let Some(key) = brought {
            let because = Because::Written(inventory::Place::own(key.at));
            return vec![self.one("public_key", key.value.to_string(), because)];
        }
        let of_vault = |setting, value| Setting {
            setting,
            value,
            because: Reason::Vault,
            level: None,
            of: None,
            at: None,
        };
        let public = (self.keys)(&node.name).map(|key| key.to_string());
        vec![of_vault("private_key", HIDDEN.into()), of_vault("public_key", public.into())]
    }

    fn list(
        &self,
        setting: &'static str,
        values: impl Iterator<Item = String>,
        because: Because,
    ) -> Vec<Setting> {
        let all: Vec<Setting> = values.map(|value| self.one(setting, value, because)).collect();
        if all.is_empty() { vec![self.one(setting, (), because)] } else { all }
    }

    fn one(&self, setting: &'static str, value: impl Into<Value>, because: Because) -> Setting {
        self.of_peer(self.node, setting, value, because)
    }

    /// A setting towards a peer, or of the host itself where that is the "peer".
    fn of_peer(
        &self,
        peer: &Node,
        setting: &'static str,
        value: impl Into<Value>,
        because: Because,
    ) -> Setting {
        let of = match because {
            Because::Address { of, .. } | Because::Subnet { of, .. } => {
                Some(self.topology.node(of).name.to_string())
            }
            Because::PeerEndpoint(place) | Because::PeerLocalEndpoint(place) => {
                Some(self.whose(peer, place.level).unwrap_or_else(|| peer.name.to_string()))
            }
            Because::Override(_) => Some(peer.name.to_string()),
            Because::Underlay(at) => self.underlay(at),
            _ => because.level().and_then(|level| self.whose(self.node, level)),
        };
        // A pin says nothing that the file does: its place is that of the host.
        let at = because.at().filter(|_| !matches!(because, Because::Pinned(_)));
        Setting {
            setting,
            value: value.into(),
            because: reason(because),
            level: because.level().map(level),
            of,
            at: at.map(|at| self.place(at)),
        }
    }

    /// The name of the level that a node has a setting from, where it has one of its own.
    fn whose(&self, node: &Node, level: inventory::Level) -> Option<String> {
        match level {
            inventory::Level::Own | inventory::Level::Fleet => None,
            inventory::Level::Site => {
                node.site.map(|site| self.inventory.sites[site].name.value.to_string())
            }
            inventory::Level::Group(index) => {
                let NodeKind::Host(host) = node.kind else { return None };
                let groups = &self.inventory.hosts[host].groups;
                groups.get(usize::from(index)).map(ToString::to_string)
            }
            inventory::Level::Network => {
                self.network.map(|network| self.inventory.networks[network].name.value.to_string())
            }
        }
    }

    /// The site whose underlay is written at a place.
    fn underlay(&self, at: Location) -> Option<String> {
        let mut sites = self.inventory.sites.iter();
        let site = sites.find(|site| site.underlay.mtu.as_ref().is_some_and(|mtu| mtu.at == at))?;
        Some(site.name.value.to_string())
    }

    fn place(&self, at: Location) -> Place {
        let file = &self.inventory.sources.file(at.file).path;
        Place { file: file.display().to_string(), line: at.line, column: at.column }
    }
}

const fn level(level: inventory::Level) -> Level {
    match level {
        inventory::Level::Own => Level::Own,
        inventory::Level::Site => Level::Site,
        inventory::Level::Group(_) => Level::Group,
        inventory::Level::Network => Level::Network,
        inventory::Level::Fleet => Level::Fleet,
    }
}

const fn reason(because: Because) -> Reason {
    match because {
        Because::Written(_) => Reason::Written,
        Because::Override(_) => Reason::Override,
        Because::PeerEndpoint(_) => Reason::PeerEndpoint,
        Because::PeerLocalEndpoint(_) => Reason::PeerLocalEndpoint,
        Because::Endpoint(_) => Reason::Endpoint,
        Because::LocalEndpoint(_) => Reason::LocalEndpoint,
        Because::NetworkName(_) => Reason::NetworkName,
        Because::Pinned(_) => Reason::Pinned,
        Because::Underlay(_) => Reason::Underlay,
        Because::Ethernet => Reason::Ethernet,
        Because::Nat(_) => Reason::Nat,
        Because::Unknown => Reason::Unknown,
        Because::NoEndpoint => Reason::NoEndpoint,
        Because::Derived => Reason::Derived,
        Because::Address { .. } => Reason::Address,
        Because::Subnet { .. } => Reason::Subnet,
        Because::Network(_) => Reason::Network,
        Because::FullTunnel(_) => Reason::FullTunnel,
        Because::Hub(_) => Reason::Hub,
        Because::Routes(_) => Reason::Routes,
        Because::OwnKey(_) => Reason::OwnKey,
        Because::Seen => Reason::Seen,
        Because::Default => Reason::Default,
    }
}

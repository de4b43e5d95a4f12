//! What ip(8) and wg(8) do to an interface, and what the kernel does by itself.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use wgfleet::model::{InterfaceName, Keepalive, PublicKey};
use wgfleet::observed::LiveBackend;

use super::conf::{Conf, ConfPeer};
use super::{Link, Machine, Peer};

/// The port of an interface that asks for none.
const ANY_PORT: u16 = 41234;

impl Link {
    pub(super) fn new(backend: LiveBackend) -> Self {
        Self {
            backend,
            up: false,
            mtu: 1420,
            key: None,
            port: 0,
            mark: 0,
            addresses: Vec::new(),
            routes: BTreeSet::new(),
            connected: BTreeSet::new(),
            peers: BTreeMap::new(),
        }
    }

    /// The routes that the kernel makes for its addresses.
    pub(super) fn wanted_connected(&self) -> BTreeSet<IpNet> {
        let nets = self.addresses.iter();
        nets.filter(|net| net.prefix_len() < net.max_prefix_len()).map(IpNet::trunc).collect()
    }

    /// `wg setconf`
    pub(super) fn set(&mut self, conf: &Conf) {
        self.key = conf.key;
        self.port = conf.port.unwrap_or(ANY_PORT);
        self.mark = conf.mark.unwrap_or_default();
        self.peers.clear();
        self.add(conf);
    }

    /// `wg addconf`, of peers: their AllowedIPs are replaced, and what is not named stays.
    pub(super) fn add(&mut self, conf: &Conf) {
        for (key, wanted) in &conf.peers {
            self.peers.entry(*key).or_default();
            self.allow(key, &wanted.allowed);
            let peer = self.peers.entry(*key).or_default();
            let ConfPeer { psk, endpoint, keepalive, .. } = wanted;
            peer.psk = psk.clone().or(peer.psk.take());
            peer.endpoint = endpoint.or(peer.endpoint);
            peer.keepalive = keepalive.map_or(peer.keepalive, Keepalive::new);
        }
    }

    /// A prefix belongs to one peer of an interface.
    pub(super) fn allow(&mut self, key: &PublicKey, nets: &BTreeSet<IpNet>) {
        for (other, peer) in &mut self.peers {
            if other == key {
                peer.allowed.clone_from(nets);
            } else {
                peer.allowed.retain(|net| !nets.contains(net));
            }
        }
    }

    /// `wg set … peer KEY`: makes a peer that is not there.
    pub(super) fn peer(&mut self, key: &PublicKey) -> &mut Peer {
        self.peers.entry(*key).or_default()
    }

    pub(super) fn add_address(&mut self, address: IpNet) {
        let first = !self.wanted_connected().contains(&address.trunc());
        self.addresses.push(address);
        let routed = address.prefix_len() < address.max_prefix_len();
        // A further one of an IPv4 subnet brings no route of its own.
        if self.up && routed && (first || matches!(address, IpNet::V6(_))) {
            self.connected.insert(address.trunc());
        }
    }

    fn remove_address(&mut self, address: IpNet) {
        let net = address.trunc();
        let same = |other: &IpNet| other.trunc() == net && other.prefix_len() == net.prefix_len();
        let first = self.addresses.iter().find(|other| same(other)) == Some(&address);
        let v4 = matches!(address, IpNet::V4(_));
        self.addresses.retain(|other| *other != address && !(v4 && first && same(other)));
        if !self.wanted_connected().contains(&net) {
            self.connected.remove(&net);
        }
        if v4 && !self.addresses.iter().any(|other| matches!(other, IpNet::V4(_))) {
            self.routes.retain(|(_, net)| matches!(net, IpNet::V6(_)));
            self.connected.retain(|net| matches!(net, IpNet::V6(_)));
        }
    }

    pub(super) fn raise(&mut self) {
        if !self.up {
            self.up = true;
            self.connected = self.wanted_connected();
        }
    }
}

impl Machine {
    /// One line of `ip -batch`.
    pub(super) fn ip(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split(' ').collect();
        let after = |word: &str| {
            let at = words.iter().position(|w| *w == word)?;
            words.get(at + 1).copied()
        };
        let fail = |why: &str| Err(format!("{text}: {why}"));
        let Some(device) = after("dev") else {
            return fail("no device");
        };
        let name: InterfaceName = device.parse().map_err(|_| format!("{text}: a device"))?;
        let net = || words.get(2).and_then(|net| net.parse::<IpNet>().ok());
        let table = after("table").map_or(Some(254), |table| table.parse().ok());
        let taken = |machine: &Self, table: u32, net: IpNet| {
            machine.links.values().any(|link| {
                // An IPv6 route of the kernel has another metric.
                let kernel = matches!(net, IpNet::V4(_)) && table == 254;
                link.routes.contains(&(table, net)) || (kernel && link.connected.contains(&net))
            })
        };
        let Some(up) = self.links.get(&name).map(|link| link.up) else {
            return fail("no such device");
        };
        match (words[0], words[1]) {
            ("link", "set") => {
                let link = self.links.get_mut(&name).expect("see above");
                if let Some(mtu) = after("mtu") {
                    link.mtu = mtu.parse().map_err(|_| format!("{text}: an MTU"))?;
                }
                if words.last() == Some(&"up") {
                    link.raise();
                }
                Ok(())
            }
            ("address", verb) => {
                let Some(address) = net() else {
                    return fail("no address");
                };
                let link = self.links.get_mut(&name).expect("see above");
                match (verb, link.addresses.contains(&address)) {
                    ("add", true) => return fail("it is there"),
                    ("del", false) => return fail("it is not there"),
                    ("add" | "replace", false) => link.add_address(address),
                    ("replace", true) => {}
                    ("del", true) => link.remove_address(address),
                    _ => return fail("a verb"),
                }
                Ok(())
            }
            ("route", "add") => {
                let (Some(net), Some(table)) = (net(), table) else {
                    return fail("no route");
                };
                if !up {
                    return fail("the network is down");
                }
                let kernel = text.contains(" proto kernel ");
                if kernel && self.links[&name].connected.contains(&net) {
                    return fail("it is there");
                }
                if taken(self, table, net) && !(kernel && matches!(net, IpNet::V6(_))) {
                    return fail("it is there");
                }
                let link = self.links.get_mut(&name).expect("see above");
                if kernel {
                    link.connected.insert(net);
                } else {
                    link.routes.insert((table, net));
                }
                Ok(())
            }
            ("route", "del") => {
                let (Some(net), Some(table)) = (net(), table) else {
                    return fail("no route");
                };
                let link = self.links.get_mut(&name).expect("see above");
                if link.routes.remove(&(table, net)) { Ok(()) } else { fail("it is not there") }
            }
            _ => fail("not understood"),
        }
    }
}

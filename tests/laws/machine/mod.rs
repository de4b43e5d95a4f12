//! A model of a host, on which the operations of a payload are done as its script, wg(8), ip(8),
//! wg-quick(8), nft(8) and systemd do them.
//!
//! Where a kernel may be set up in one way or another, the model takes the way that loses more: with
//! the first address of a subnet its others go.

mod behind;
mod conf;
mod net;
mod ops;
mod quick;
mod undo;

pub(crate) use ops::Files;
pub(crate) use undo::Snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use wgfleet::desired::file_digest;
use wgfleet::model::{
    Family, FingerprintKey, HostPath, InterfaceName, Keepalive, PublicKey, UnitName,
};
use wgfleet::observed::{
    Facts, LiveBackend, ObservedFile, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk,
    UnitState,
};

/// A machine with all that a change may touch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) facts: Facts,
    pub(crate) links: BTreeMap<InterfaceName, Link>,
    /// Rules of policy routing: the family, and the mark and table of the tunnel.
    pub(crate) rules: BTreeSet<(Family, u32)>,
    pub(crate) files: BTreeMap<HostPath, File>,
    /// What lies beside the place of a file.
    pub(crate) beside: BTreeMap<HostPath, File>,
    pub(crate) units: BTreeMap<UnitName, UnitState>,
    /// The files of units as systemd has read them.
    pub(crate) loaded: BTreeMap<HostPath, String>,
    /// Tables of nftables, by name.
    pub(crate) tables: BTreeMap<String, Table>,
    /// Settings of the kernel by path.
    pub(crate) sysctls: BTreeMap<String, u8>,
    /// The key of the fingerprints of its files.
    pub(crate) key: [u8; 32],
}

/// An interface.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) backend: LiveBackend,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    pub(crate) key: Option<PublicKey>,
    pub(crate) port: u16,
    pub(crate) mark: u32,
    /// In the order in which they came.
    pub(crate) addresses: Vec<IpNet>,
    /// Routes that somebody added, as (table, prefix).
    pub(crate) routes: BTreeSet<(u32, IpNet)>,
    /// Routes that the kernel made for addresses.
    pub(crate) connected: BTreeSet<IpNet>,
    pub(crate) peers: BTreeMap<PublicKey, Peer>,
}

/// A peer of an interface.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Peer {
    pub(crate) psk: Option<String>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) allowed: BTreeSet<IpNet>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) handshake: u64,
}

/// A table of nftables: the digest that its rules carry.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table(pub(crate) Option<String>);

/// A file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) mode: u32,
    pub(crate) text: String,
}

/// Where the units of systemd are.
const UNITS: &str = "/etc/systemd/system/";

impl Machine {
    pub(crate) fn new(facts: Facts, key: &FingerprintKey) -> Self {
        Self {
            facts,
            links: BTreeMap::new(),
            rules: BTreeSet::new(),
            files: BTreeMap::new(),
            beside: BTreeMap::new(),
            units: BTreeMap::new(),
            loaded: BTreeMap::new(),
            tables: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            key: *key.expose(),
        }
    }

    pub(crate) fn sysctl(&self, path: &str) -> u8 {
        self.sysctls.get(path).copied().unwrap_or_default()
    }

    /// The same without entries that say what no entry says.
    pub(crate) fn plain(mut self) -> Self {
        self.units.retain(|_, state| *state != UnitState::default());
        self.sysctls.retain(|_, value| *value != 0);
        self
    }

    /// Has systemd read its files.
    pub(crate) fn reload(&mut self) {
        let units = self.files.iter().filter(|(path, _)| path.starts_with(UNITS));
        self.loaded = units.map(|(path, file)| (path.clone(), file.text.clone())).collect();
    }

    /// What an observation tells.
    pub(crate) fn observe(&self) -> ObservedHost {
        let key = FingerprintKey::from_bytes(zeroize::Zeroizing::new(self.key));
        let file = |file: &File| ObservedFile {
            mode: file.mode,
            root: true,
            fingerprint: file_digest(&key, file.text.as_bytes()),
            public_text: conf::hide(&file.text),
        };
        ObservedHost {
            facts: self.facts.clone(),
            now: 1_700_000_000,
            forward_v4: self.sysctl("net/ipv4/ip_forward") == 1,
            forward_v6: self.sysctl("net/ipv6/conf/all/forwarding") == 1,
            firewalls: self
                .tables
                .iter()
                .map(|(name, own)| (name.clone(), own.0.clone()))
                .collect(),
            files: self.files.iter().map(|(path, own)| (path.clone(), file(own))).collect(),
            units: self.units.clone(),
            interfaces: self.links.keys().map(|name| (name.clone(), self.link(name))).collect(),
            ..ObservedHost::default()
        }
    }

    fn link(&self, name: &InterfaceName) -> ObservedInterface {
        let link = &self.links[name];
        let conf = self.files.get(&conf::path(name)).and_then(|file| conf::parse(&file.text).ok());
        let in_file = |key: &PublicKey| {
            conf.as_ref().and_then(|conf| conf.peers.get(key)).and_then(|peer| peer.psk.clone())
        };
        let peer = |key: &PublicKey, peer: &Peer| ObservedPeer {
            psk: match (&peer.psk, in_file(key)) {
                (None, _) => ObservedPsk::None,
                (Some(live), Some(file)) if *live == file => ObservedPsk::AsFile,
                (Some(_), _) => ObservedPsk::Other,
            },
            endpoint: peer.endpoint,
            allowed_ips: peer.allowed.clone(),
            latest_handshake: peer.handshake,
            received: 0,
            sent: 0,
            keepalive: peer.keepalive,
        };
        let whole = link
            .routes
            .iter()
            .filter(|(table, net)| link.mark != 0 && *table == link.mark && net.prefix_len() == 0);
        let families: BTreeSet<Family> = whole.map(|(_, net)| Family::of(net)).collect();
        let wanted = link.wanted_connected();
        ObservedInterface {
            backend: link.backend,
            up: link.up,
            mtu: link.mtu,
            public_key: link.key,
            listen_port: link.port,
            fwmark: link.mark,
            addresses: link.addresses.iter().copied().collect(),
            routes: link.routes.clone(),
            unrouted: wanted.difference(&link.connected).copied().filter(|_| link.up).collect(),
            unruled: families
                .into_iter()
                .filter(|family| link.up && !self.rules.contains(&(*family, link.mark)))
                .collect(),
            peers: link.peers.iter().map(|(key, own)| (*key, peer(key, own))).collect(),
        }
    }
}

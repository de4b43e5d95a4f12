//! What is known of machines that run already, from whatever told it.

use ipnet::IpNet;

use crate::model::{
    Endpoint, FwMark, HostName, InterfaceName, Keepalive, Mtu, Port, PresharedKey, PrivateKey,
    PublicKey, RouteTable, SshTarget,
};

/// Who is in an inventory already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct There {
    /// Hosts.
    pub hosts: Vec<HostName>,
    /// Unmanaged peers.
    pub peers: Vec<HostName>,
}

impl There {
    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.peers.is_empty()
    }

    /// Whether somebody is, as whatever.
    #[must_use]
    pub fn has(&self, name: &HostName) -> bool {
        self.hosts.contains(name) || self.peers.contains(name)
    }
}

/// One machine.
#[derive(Debug, Default)]
pub struct KnownHost {
    /// What it is called by whoever told of it; not a valid name yet. Empty where nothing tells.
    pub name: String,
    /// How ssh(1) reaches it, where it was read so.
    pub ssh: Option<SshTarget>,
    /// Whether it forwards IPv4 and IPv6, where that is known.
    pub forwards: Option<(bool, bool)>,
    /// Its interfaces.
    pub interfaces: Vec<KnownInterface>,
}

/// One interface of a machine.
#[derive(Debug, Default)]
pub struct KnownInterface {
    /// The file or host that told of it.
    pub source: String,
    /// Its name.
    pub name: Option<InterfaceName>,
    /// The network that a comment of wgfleet's own says it is in; not a valid name yet.
    pub network: Option<String>,
    /// Its private key.
    pub private_key: Option<PrivateKey>,
    /// Its public key, where the private one is not known.
    pub public_key: Option<PublicKey>,
    /// Its addresses with their prefix lengths; `None`: not told.
    pub addresses: Option<Vec<IpNet>>,
    /// Its UDP port.
    pub listen_port: Option<Port>,
    /// Its MTU.
    pub mtu: Option<Mtu>,
    /// Where its routes go.
    pub table: Option<RouteTable>,
    /// The mark of its encrypted packets.
    pub fwmark: Option<FwMark>,
    /// DNS servers and search domains.
    pub dns: Vec<String>,
    /// Its hooks.
    pub hooks: KnownHooks,
    /// Whether wg-quick(8) writes its file anew.
    pub save_config: bool,
    /// Whether endpoints are where packets came from last, and not what a file says.
    pub is_live: bool,
    /// Its peers, in the order in which they were told.
    pub peers: Vec<KnownPeer>,
}

/// Commands around the life of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownHooks {
    /// Before it comes up.
    pub pre_up: Vec<String>,
    /// After it came up.
    pub post_up: Vec<String>,
    /// Before it goes down.
    pub pre_down: Vec<String>,
    /// After it went down.
    pub post_down: Vec<String>,
}

impl KnownHooks {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// All commands.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        [&self.pre_up, &self.post_up, &self.pre_down, &self.post_down].into_iter().flatten()
    }
}

/// A peer of an interface.
#[derive(Debug)]
pub struct KnownPeer {
    /// Its key.
    pub public_key: PublicKey,
    /// What comments call it, the likeliest first; not valid names yet.
    pub names: Vec<String>,
    /// The key that the pair shares.
    pub preshared_key: Option<PresharedKey>,
    /// Whether the pair shares a key that was not told.
    pub psk_is_hidden: bool,
    /// What is sent to it and accepted from it.
    pub allowed_ips: Vec<IpNet>,
    /// Where it is found.
    pub endpoint: Option<Endpoint>,
    /// The keepalive of this side.
    pub keepalive: Option<Keepalive>,
}

impl KnownPeer {
    /// A peer of which nothing but its key is known.
    #[must_use]
    pub const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            names: Vec::new(),
            preshared_key: None,
            psk_is_hidden: false,
            allowed_ips: Vec::new(),
            endpoint: None,
            keepalive: None,
        }
    }

    /// Whether the pair has a preshared key.
    #[must_use]
    pub const fn has_psk(&self) -> bool {
        self.preshared_key.is_some() || self.psk_is_hidden
    }
}

impl KnownInterface {
    /// Its public key, however it is known.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.private_key.as_ref().map(PrivateKey::public).or(self.public_key)
    }

    /// Takes from another account of the same interface what this one does not say.
    fn absorb(&mut self, other: Self) {
        let full_length =
            |all: &[IpNet]| all.iter().all(|net| net.prefix_len() == net.max_prefix_len());
        self.name = self.name.take().or(other.name);
        self.network = self.network.take().or(other.network);
        self.private_key = self.private_key.take().or(other.private_key);
        self.public_key = self.public_key.or(other.public_key);
        match (&self.addresses, other.addresses) {
            (None, told) => self.addresses = told,
            (Some(own), Some(told)) if own.is_empty() && !full_length(&told) => {
                self.addresses = Some(told);
            }
            _ => {}
        }
        self.mtu = self.mtu.or(other.mtu);
        self.table = self.table.or(other.table);
        // Where a file is silent, the kernel and wg-quick(8) choose these, each time anew.
        if self.is_live || !other.is_live {
            self.listen_port = self.listen_port.or(other.listen_port);
            self.fwmark = self.fwmark.or(other.fwmark);
        }
        if self.dns.is_empty() {
            self.dns = other.dns;
        }
        if self.hooks.is_empty() {
            self.hooks = other.hooks;
        }
        self.save_config |= other.save_config;
        let is_live = other.is_live;
        for peer in other.peers {
            match self.peers.iter_mut().find(|own| own.public_key == peer.public_key) {
                None => {
                    let lasts = self.is_live || !is_live;
                    let endpoint = peer.endpoint.filter(|_| lasts);
                    self.peers.push(KnownPeer { endpoint, ..peer });
                }
                Some(own) => {
                    own.names.extend(peer.names);
                    own.psk_is_hidden |= peer.psk_is_hidden;
                    own.preshared_key = own.preshared_key.take().or(peer.preshared_key);
                    if own.allowed_ips.is_empty() {
                        own.allowed_ips = peer.allowed_ips;
                    }
                    if !is_live || self.is_live {
                        own.endpoint = own.endpoint.take().or(peer.endpoint);
                    }
                    own.keepalive = own.keepalive.or(peer.keepalive);
                }
            }
        }
        self.is_live &= is_live;
    }
}

impl KnownHost {
    /// Takes an account of one of its interfaces, that may be of one that is known already.
    pub(super) fn absorb(&mut self, interface: KnownInterface) {
        let same = |own: &&mut KnownInterface| match (own.key(), interface.key()) {
            (Some(a), Some(b)) if a != b => false,
            (Some(_), Some(_)) => {
                own.name == interface.name || own.name.is_none() || interface.name.is_none()
            }
            _ => own.name.is_some() && own.name == interface.name,
        };
        match self.interfaces.iter_mut().find(same) {
            Some(own) if own.is_live && !interface.is_live => {
                let live = std::mem::replace(own, interface);
                own.absorb(live);
            }
            Some(own) => own.absorb(interface),
            None => self.interfaces.push(interface),
        }
    }
}

/// Puts together what several sources told of the same machines: those of one name, and interfaces with
/// one key. What a file says comes before what is live.
#[must_use]
pub fn joined(hosts: Vec<KnownHost>) -> Vec<KnownHost> {
    let mut all: Vec<KnownHost> = Vec::new();
    for host in hosts {
        let same = |known: &&mut KnownHost| {
            let by_key = host
                .interfaces
                .iter()
                .filter_map(KnownInterface::key)
                .any(|key| known.interfaces.iter().any(|one| one.key() == Some(key)));
            (!host.name.is_empty() && known.name == host.name) || by_key
        };
        let Some(known) = all.iter_mut().find(same) else {
            all.push(host);
            continue;
        };
        if known.name.is_empty() {
            known.name = host.name;
        }
        known.ssh = known.ssh.take().or(host.ssh);
        known.forwards = known.forwards.or(host.forwards);
        for interface in host.interfaces {
            known.absorb(interface);
        }
    }
    all
}

//! Laws of plans: carrying one out leads to what is wanted, and nowhere else.
//!
//! The world that plans are carried out in is simulated here: files, interfaces, and which preshared
//! key is really where, which an observation only tells in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest as _, Sha256};
use wgfleet::desired::{
    self, DEFAULT_TEMPLATE, DesiredHost, DesiredInterface, DesiredPeer, DesiredState, PublicKeys,
    Renderer, Secrets,
};
use wgfleet::inventory::{Lock, allocate, parse};
use wgfleet::model::{
    Fingerprint, HostName, InterfaceName, NetworkName, PresharedKey, PrivateKey, PublicKey,
};
use wgfleet::observed::{
    Facts, LiveBackend, ObservedFile, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk,
    UnitState,
};
use wgfleet::plan::{
    AgentSource, Change, FileAction, HostPlan, HostState, Plan, RenderedHost, Target, diff_host,
    resolve,
};
use wgfleet::topology;
use zeroize::Zeroizing;

/// A vault that makes everything up from names and a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vault {
    generation: u8,
    epoch: u32,
}

fn bytes(parts: &[&str]) -> [u8; 32] {
    Sha256::digest(parts.join("/")).into()
}

impl Vault {
    fn private(self, name: &HostName) -> PrivateKey {
        PrivateKey::from_random(Zeroizing::new(bytes(&[
            "key",
            name.as_str(),
            &self.generation.to_string(),
        ])))
    }
}

impl PublicKeys for Vault {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        Some(self.private(name).public())
    }
    fn psk_epoch(&self) -> Option<u32> {
        Some(self.epoch)
    }
}

impl Secrets for Vault {
    type Error = std::convert::Infallible;
    fn private_key(&self, name: &HostName, _: &PublicKey) -> Result<PrivateKey, Self::Error> {
        Ok(self.private(name))
    }
    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, Self::Error> {
        let (low, high) = (a.min(b).to_string(), a.max(b).to_string());
        Ok(PresharedKey::from_bytes(Zeroizing::new(bytes(&[
            "psk",
            &low,
            &high,
            &epoch.to_string(),
        ]))))
    }
    fn fingerprint_key(&self, name: &HostName) -> Result<Zeroizing<[u8; 32]>, Self::Error> {
        Ok(Zeroizing::new(bytes(&["fingerprint", name.as_str(), &self.epoch.to_string()])))
    }
}

/// A small fleet, as far as the laws need it.
#[derive(Debug, Clone)]
struct Spec {
    hosts: Vec<HostSpec>,
    hub: bool,
    psk: bool,
    two: bool,
    vault: Vault,
}

#[derive(Debug, Clone)]
struct HostSpec {
    /// 0: none, 1: an address, 2: another address, 3: a name, 4: another name.
    endpoint: u8,
    nat: bool,
    subnet: bool,
    mtu: Option<u16>,
    table: u8,
    fwmark: bool,
    keepalive: Option<u16>,
    hook: bool,
    full: bool,
    masquerade: bool,
    backend: u8,
    v6: bool,
}

fn host_spec() -> impl Strategy<Value = HostSpec> {
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

fn spec() -> impl Strategy<Value = Spec> {
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
    fn yaml(&self) -> String {
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

    fn desired(&self) -> DesiredState {
        let parsed = parse(PathBuf::from("fleet.yaml"), self.yaml());
        let inventory =
            parsed.inventory.unwrap_or_else(|| panic!("{}\n{:?}", self.yaml(), parsed.findings));
        let (lock, _) = allocate(&inventory, &Lock::default());
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(&inventory, &addresses);
        let (state, missing) = desired::build(&inventory, &topology, &self.vault);
        assert!(missing.is_empty());
        state
    }
}

fn render(state: &DesiredState, host: &DesiredHost, vault: &Vault) -> RenderedHost {
    let renderer =
        Renderer::new(state.fleet.clone(), DEFAULT_TEMPLATE.to_owned()).expect("a template");
    let file = |interface: &DesiredInterface| {
        let file = renderer.render(host, interface, vault).expect("it renders");
        (interface.name.clone(), file)
    };
    RenderedHost {
        files: host.interfaces.iter().map(file).collect(),
        key: vault.fingerprint_key(&host.name).expect("a key"),
    }
}

type Pair = (InterfaceName, PublicKey);

/// A machine, and which preshared keys it really has.
#[derive(Debug, Clone, PartialEq)]
struct World {
    host: ObservedHost,
    live: BTreeMap<Pair, String>,
    file: BTreeMap<Pair, String>,
}

impl World {
    fn new(facts: Facts) -> Self {
        let host = ObservedHost { facts, now: 1_700_000_000, ..ObservedHost::default() };
        Self { host, live: BTreeMap::new(), file: BTreeMap::new() }
    }

    /// What a look at it tells.
    fn observe(&self) -> ObservedHost {
        let mut host = self.host.clone();
        for (name, interface) in &mut host.interfaces {
            for (key, peer) in &mut interface.peers {
                let pair = (name.clone(), *key);
                peer.psk = match (self.live.get(&pair), self.file.get(&pair)) {
                    (None, _) => ObservedPsk::None,
                    (Some(live), Some(file)) if live == file => ObservedPsk::AsFile,
                    (Some(_), _) => ObservedPsk::Other,
                };
            }
        }
        host
    }

    fn set_allowed(&mut self, name: &InterfaceName, key: &PublicKey, nets: &[IpNet]) {
        let interface = self.host.interfaces.get_mut(name).expect("it is there");
        for (other, peer) in &mut interface.peers {
            if other != key {
                peer.allowed_ips.retain(|net| !nets.contains(net));
            }
        }
        interface.peers.get_mut(key).expect("a peer").allowed_ips = nets.iter().copied().collect();
    }

    fn set_psk(
        &mut self,
        vault: &Vault,
        interface: &DesiredInterface,
        key: &PublicKey,
        peer: &DesiredPeer,
    ) {
        let pair = (interface.name.clone(), *key);
        match peer.psk_epoch {
            Some(epoch) => self.live.insert(pair, psk(vault, interface, key, epoch)),
            None => self.live.remove(&pair),
        };
    }

    fn add_peer(
        &mut self,
        vault: &Vault,
        interface: &DesiredInterface,
        key: &PublicKey,
        peer: &DesiredPeer,
    ) {
        let live = self.host.interfaces.get_mut(&interface.name).expect("it is there");
        let seen = ObservedPeer {
            psk: ObservedPsk::None,
            endpoint: peer
                .endpoint
                .as_ref()
                .map(|e| e.socket_addr().unwrap_or_else(|| resolved(&e.to_string()))),
            allowed_ips: BTreeSet::new(),
            latest_handshake: 0,
            received: 0,
            sent: 0,
            keepalive: peer.keepalive,
        };
        live.peers.insert(*key, seen);
        self.set_allowed(&interface.name, key, &peer.allowed_ips);
        self.set_psk(vault, interface, key, peer);
    }

    fn start(&mut self, vault: &Vault, interface: &DesiredInterface, backend: LiveBackend) {
        let mut routes = interface.routes();
        let mut mark = interface.fwmark.map_or(0, |mark| mark.0);
        if interface.full_tunnel() {
            mark = if mark == 0 { 51820 } else { mark };
            let whole = interface
                .peers
                .values()
                .flat_map(|p| p.allowed_ips.iter())
                .filter(|n| n.prefix_len() == 0);
            routes.extend(whole.map(|net| (mark, *net)));
        }
        let live = ObservedInterface {
            backend,
            up: true,
            mtu: interface.mtu.get().into(),
            public_key: Some(interface.public_key),
            listen_port: interface.listen_port.map_or(41234, |port| port.get()),
            fwmark: mark,
            addresses: interface.addresses.iter().copied().collect(),
            routes,
            peers: BTreeMap::new(),
        };
        self.host.interfaces.insert(interface.name.clone(), live);
        self.live.retain(|(name, _), _| *name != interface.name);
        for (key, peer) in &interface.peers {
            self.add_peer(vault, interface, key, peer);
        }
    }

    /// Does what a plan says, field by field and nothing else.
    fn apply(&mut self, plan: &HostPlan, target: &Target<'_>, vault: &Vault) {
        let desired = |name: &InterfaceName| {
            target
                .interfaces
                .iter()
                .find(|i| i.desired.name == *name)
                .expect("it is wanted")
                .desired
        };
        for change in &plan.changes {
            match change {
                Change::PushAgent { digest, .. } => self.host.facts.agent = Some(*digest),
                Change::File { path, action: FileAction::Remove, .. } => {
                    self.host.files.remove(path);
                }
                Change::File { path, action, .. } => {
                    let file = &target.files[path];
                    let old = self.host.files.get(path).cloned();
                    let mut new = ObservedFile {
                        mode: file.mode,
                        root: true,
                        fingerprint: file.fingerprint,
                        public_text: file.public_text.clone(),
                    };
                    if *action == FileAction::Protect {
                        let old = old.expect("it is there");
                        new.fingerprint = old.fingerprint;
                        new.public_text = old.public_text;
                    } else if let Some(name) = &file.conf {
                        let interface = desired(name);
                        self.file.retain(|(own, _), _| own != name);
                        for (key, peer) in &interface.peers {
                            if let Some(epoch) = peer.psk_epoch {
                                self.file.insert(
                                    (name.clone(), *key),
                                    psk(vault, interface, key, epoch),
                                );
                            }
                        }
                    }
                    self.host.files.insert(path.clone(), new);
                }
                Change::Forward { family, on } => match family {
                    wgfleet::model::Family::V4 => self.host.forward_v4 = *on,
                    wgfleet::model::Family::V6 => self.host.forward_v6 = *on,
                },
                Change::Firewall { digest } => self.host.firewall.clone_from(digest),
                Change::Create { interface, backend, .. }
                | Change::Restart { interface, backend, .. } => {
                    self.start(vault, desired(interface), *backend);
                }
                Change::Delete { interface } => {
                    self.host.interfaces.remove(interface);
                }
                Change::Device { interface, fields } => {
                    let wanted = desired(interface);
                    let live = self.host.interfaces.get_mut(interface).expect("it is there");
                    for field in fields {
                        match field.field {
                            "public key" => live.public_key = Some(wanted.public_key),
                            "listen port" => {
                                live.listen_port = wanted.listen_port.expect("a port").get()
                            }
                            "fwmark" => live.fwmark = wanted.fwmark.map_or(0, |mark| mark.0),
                            "mtu" => live.mtu = wanted.mtu.get().into(),
                            "link" => live.up = true,
                            other => panic!("field {other}"),
                        }
                    }
                }
                Change::AddPeer { interface, peer, .. } => {
                    let wanted = desired(interface);
                    self.add_peer(vault, wanted, &peer.key, &wanted.peers[&peer.key]);
                }
                Change::ChangePeer { interface, peer, fields } => {
                    let wanted = desired(interface);
                    let want = &wanted.peers[&peer.key];
                    for field in fields {
                        let live = self.host.interfaces.get_mut(interface).expect("it is there");
                        let live = live.peers.get_mut(&peer.key).expect("it is there");
                        match field.field {
                            "allowed ips" => {
                                self.set_allowed(interface, &peer.key, &want.allowed_ips)
                            }
                            "endpoint" => {
                                let endpoint = want.endpoint.as_ref().expect("an endpoint");
                                live.endpoint = Some(
                                    endpoint
                                        .socket_addr()
                                        .unwrap_or_else(|| resolved(&endpoint.to_string())),
                                );
                            }
                            "persistent keepalive" => live.keepalive = want.keepalive,
                            "preshared key" => self.set_psk(vault, wanted, &peer.key, want),
                            other => panic!("field {other}"),
                        }
                    }
                }
                Change::RemovePeer { interface, peer } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .peers
                        .remove(&peer.key);
                    self.live.remove(&(interface.clone(), peer.key));
                }
                Change::AddAddress { interface, address } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .addresses
                        .insert(*address);
                }
                Change::RemoveAddress { interface, address } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .addresses
                        .remove(address);
                }
                Change::AddRoute { interface, table, prefix } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .routes
                        .insert((*table, *prefix));
                }
                Change::RemoveRoute { interface, table, prefix } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .routes
                        .remove(&(*table, *prefix));
                }
                Change::Unit { unit, to, .. } => {
                    self.host.units.insert(unit.clone(), *to);
                }
            }
        }
    }
}

fn psk(vault: &Vault, interface: &DesiredInterface, key: &PublicKey, epoch: u32) -> String {
    vault
        .preshared_key(&interface.public_key, key, epoch)
        .expect("made up")
        .expose_base64()
        .to_string()
}

fn resolved(name: &str) -> std::net::SocketAddr {
    std::net::SocketAddr::from(([203, 0, 113, bytes(&[name])[0]], 51820))
}

fn agents() -> AgentSource {
    let builds = BTreeMap::from([("x86_64".to_owned(), Fingerprint::from_bytes([7; 32]))]);
    AgentSource { builds, hint: "no build".to_owned() }
}

fn facts() -> impl Strategy<Value = Facts> {
    (any::<(bool, bool)>(), any::<[bool; 2]>()).prop_map(
        |((systemd, kernel_wireguard), [wg, quick])| {
            let mut tools: BTreeSet<String> =
                ["ip", "nft", "wireguard-go", "resolvconf"].map(str::to_owned).into();
            tools.extend(wg.then(|| "wg".to_owned()));
            tools.extend((wg && quick).then(|| "wg-quick".to_owned()));
            Facts {
                machine: "x86_64".into(),
                kernel: "6.1".into(),
                systemd,
                kernel_wireguard,
                tun: true,
                tools,
                agent: None,
            }
        },
    )
}

fn plan(
    state: &DesiredState,
    index: usize,
    vault: &Vault,
    world: &World,
    names: &BTreeMap<PublicKey, HostName>,
) -> (HostPlan, World) {
    let host = &state.hosts[index];
    let rendered = render(state, host, vault);
    let observed = world.observe();
    let target = resolve(host, &rendered, &observed);
    let plan = diff_host(&target, &observed, &agents(), names);
    let mut after = world.clone();
    after.apply(&plan, &target, vault);
    (plan, after)
}

/// Something that happened behind wgfleet's back.
#[derive(Debug, Clone)]
enum Drift {
    LosePeer(Index),
    ForeignPeer(u8),
    StealPrefix(Index),
    Psk(Index),
    Keepalive(Index),
    NoEndpoint(Index),
    LoseAddress,
    ForeignAddress,
    LoseRoutes,
    ForeignRoute,
    Mtu,
    Down,
    Port,
    Mark,
    OwnKey,
    NoFile,
    FileMode,
    FileText,
    NoInterface,
    Unit,
    Firewall,
    NoForward,
}

fn drift() -> impl Strategy<Value = Drift> {
    let peer = any::<Index>;
    prop_oneof![
        peer().prop_map(Drift::LosePeer),
        any::<u8>().prop_map(Drift::ForeignPeer),
        peer().prop_map(Drift::StealPrefix),
        peer().prop_map(Drift::Psk),
        peer().prop_map(Drift::Keepalive),
        peer().prop_map(Drift::NoEndpoint),
        proptest::sample::select(vec![
            Drift::LoseAddress,
            Drift::ForeignAddress,
            Drift::LoseRoutes,
            Drift::ForeignRoute,
            Drift::Mtu,
            Drift::Down,
            Drift::Port,
            Drift::Mark,
            Drift::OwnKey,
            Drift::NoFile,
            Drift::FileMode,
            Drift::FileText,
            Drift::NoInterface,
            Drift::Unit,
            Drift::Firewall,
            Drift::NoForward,
        ]),
    ]
}

impl World {
    fn drift(&mut self, drift: &Drift) {
        let name: InterfaceName = "wg0".parse().expect("a name");
        let path = "/etc/wireguard/wg0.conf";
        match drift {
            Drift::NoFile => {
                self.host.files.remove(path);
                self.file.retain(|(own, _), _| *own != name);
            }
            Drift::FileMode => {
                self.host.files.values_mut().for_each(|file| file.mode = 0o640);
            }
            Drift::FileText => {
                if let Some(file) = self.host.files.get_mut(path) {
                    file.public_text.push_str("# by hand\n");
                    file.fingerprint = Fingerprint::from_bytes([9; 32]);
                }
            }
            Drift::NoInterface => {
                self.host.interfaces.remove(&name);
                self.live.retain(|(own, _), _| *own != name);
            }
            Drift::Unit => {
                self.host.units.values_mut().for_each(|unit| *unit = UnitState::default())
            }
            Drift::Firewall => self.host.firewall = Some("0123".to_owned()),
            Drift::NoForward => (self.host.forward_v4, self.host.forward_v6) = (false, false),
            _ => {}
        }
        let Some(live) = self.host.interfaces.get_mut(&name) else { return };
        let keys: Vec<PublicKey> = live.peers.keys().copied().collect();
        let pick = |index: &Index| (!keys.is_empty()).then(|| keys[index.index(keys.len())]);
        match drift {
            Drift::LosePeer(index) => {
                if let Some(key) = pick(index) {
                    live.peers.remove(&key);
                    self.live.remove(&(name, key));
                }
            }
            Drift::ForeignPeer(seed) => {
                let key = PublicKey::from_bytes(bytes(&["foreign", &seed.to_string()]));
                let peer = ObservedPeer {
                    psk: ObservedPsk::None,
                    endpoint: None,
                    allowed_ips: BTreeSet::new(),
                    latest_handshake: 0,
                    received: 0,
                    sent: 0,
                    keepalive: None,
                };
                live.peers.insert(key, peer);
                self.set_allowed(&name, &key, &["10.1.0.2/32".parse().expect("a prefix")]);
            }
            Drift::StealPrefix(index) => {
                if let Some(key) = pick(index) {
                    self.set_allowed(
                        &name,
                        &key,
                        &[
                            "10.1.0.1/32".parse().expect("a prefix"),
                            "172.31.0.0/24".parse().expect("a prefix"),
                        ],
                    );
                }
            }
            Drift::Psk(index) => {
                if let Some(key) = pick(index) {
                    self.live.insert((name, key), "by hand".to_owned());
                }
            }
            Drift::Keepalive(index) => {
                if let Some(key) = pick(index) {
                    live.peers.get_mut(&key).expect("a peer").keepalive =
                        wgfleet::model::Keepalive::new(99);
                }
            }
            Drift::NoEndpoint(index) => {
                if let Some(key) = pick(index) {
                    live.peers.get_mut(&key).expect("a peer").endpoint = None;
                }
            }
            Drift::LoseAddress => live.addresses.clear(),
            Drift::ForeignAddress => {
                live.addresses.insert("10.77.0.1/24".parse().expect("an address"));
            }
            Drift::LoseRoutes => live.routes.clear(),
            Drift::ForeignRoute => {
                live.routes.insert((254, "10.78.0.0/16".parse().expect("a prefix")));
            }
            Drift::Mtu => live.mtu = 1000,
            Drift::Down => live.up = false,
            Drift::Port => live.listen_port = 1,
            Drift::Mark => live.fwmark = 5,
            Drift::OwnKey => live.public_key = None,
            _ => {}
        }
    }
}

/// Handshakes, traffic, and endpoints that roam: what running sessions do by themselves.
fn live(world: &mut World) {
    for interface in world.host.interfaces.values_mut() {
        for (number, peer) in interface.peers.values_mut().enumerate() {
            peer.latest_handshake = 1_700_000_000;
            peer.received += 100;
            peer.endpoint =
                Some(std::net::SocketAddr::from(([100, 64, 0, number as u8 + 1], 40000)));
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn carried_out_there_is_nothing_more_to_do(
        old in spec(), new in spec(), facts in facts(), drifts in proptest::collection::vec(drift(), 0..4), kept in any::<bool>(),
    ) {
        // Half of the time the file changes in little.
        let mut new = new;
        if kept {
            new.hosts.clone_from(&old.hosts);
        }
        let (before, after) = (old.desired(), new.desired());
        let mut names: BTreeMap<PublicKey, HostName> = (*before.names).clone();
        names.extend((*after.names).clone());
        for index in 0..before.hosts.len().min(after.hosts.len()) {
            let world = World::new(facts.clone());
            let (first, mut world) = plan(&before, index, &old.vault, &world, &before.names);
            if let HostState::Blocked(_) = first.state {
                continue;
            }
            let (second, same) = plan(&before, index, &old.vault, &world, &before.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, old.yaml());
            prop_assert_eq!(&same, &world);
            live(&mut world);
            for drift in &drifts {
                world.drift(drift);
            }
            let (third, world) = plan(&after, index, &new.vault, &world, &names);
            if let HostState::Blocked(_) = third.state {
                continue;
            }
            let (fourth, _) = plan(&after, index, &new.vault, &world, &names);
            prop_assert!(fourth.changes.is_empty(), "{:#?}\nafter {:#?}\n{}\n{}", fourth.changes, third.changes, old.yaml(), new.yaml());
            // What is live is what is wanted, secrets included.
            for interface in &after.hosts[index].interfaces {
                let seen = &world.host.interfaces[&interface.name];
                prop_assert_eq!(seen.peers.keys().collect::<Vec<_>>(), interface.peers.keys().collect::<Vec<_>>());
                for (key, peer) in &interface.peers {
                    let pair = (interface.name.clone(), *key);
                    let wanted = peer.psk_epoch.map(|epoch| psk(&new.vault, interface, key, epoch));
                    prop_assert_eq!(world.live.get(&pair), wanted.as_ref(), "live psk after {:#?}", third.changes);
                    prop_assert_eq!(world.file.get(&pair), wanted.as_ref());
                    let nets: BTreeSet<IpNet> = peer.allowed_ips.iter().copied().collect();
                    prop_assert_eq!(&seen.peers[key].allowed_ips, &nets);
                }
            }
        }
    }

    #[test]
    fn sessions_that_live_change_nothing(spec in spec(), facts in facts()) {
        let state = spec.desired();
        for index in 0..state.hosts.len() {
            let world = World::new(facts.clone());
            let (first, mut world) = plan(&state, index, &spec.vault, &world, &state.names);
            if first.state != HostState::Ready {
                continue;
            }
            live(&mut world);
            let (second, _) = plan(&state, index, &spec.vault, &world, &state.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, spec.yaml());
        }
    }

    #[test]
    fn the_same_gives_the_same_bytes_and_no_secrets(old in spec(), new in spec(), facts in facts(), drifts in proptest::collection::vec(drift(), 0..3)) {
        let (before, after) = (old.desired(), new.desired());
        let mut texts = Vec::new();
        for _ in 0..2 {
            let mut hosts = Vec::new();
            for index in 0..before.hosts.len().min(after.hosts.len()) {
                let (_, mut world) = plan(&before, index, &old.vault, &World::new(facts.clone()), &before.names);
                drifts.iter().for_each(|drift| world.drift(drift));
                hosts.push(plan(&after, index, &new.vault, &world, &after.names).0);
            }
            let plan = Plan { version: 1, fleet: after.fleet.clone(), hosts };
            texts.push((serde_json::to_string(&plan).expect("it is JSON"), format!("{plan:?}")));
        }
        prop_assert_eq!(&texts[0], &texts[1]);
        let mut secrets = Vec::new();
        for (state, vault) in [(&before, &old.vault), (&after, &new.vault)] {
            for host in &state.hosts {
                secrets.push(*vault.private(&host.name).expose());
                secrets.push(*vault.fingerprint_key(&host.name).expect("made up"));
                for interface in &host.interfaces {
                    for (key, peer) in &interface.peers {
                        if let Some(epoch) = peer.psk_epoch {
                            secrets.push(*vault.preshared_key(&interface.public_key, key, epoch).expect("made up").expose());
                        }
                    }
                }
            }
        }
        for secret in secrets {
            let base64 = PublicKey::from_bytes(secret).to_string();
            let hex = Fingerprint::from_bytes(secret).to_string();
            for text in [&texts[0].0, &texts[0].1] {
                prop_assert!(!text.contains(&base64) && !text.contains(&hex));
            }
        }
    }

    #[test]
    fn who_did_not_change_is_not_mentioned(spec in spec(), facts in facts(), which in any::<Index>()) {
        // One host gets another subnet; on every other one only the peer entry of that host, or of
        // the hub that leads to it, may change.
        let before = spec.desired();
        let mut changed = spec.clone();
        let number = which.index(spec.hosts.len());
        changed.hosts[number].subnet = !changed.hosts[number].subnet;
        changed.hosts[number].masquerade = false;
        let after = changed.desired();
        let name = &after.hosts[number].name;
        for index in (0..after.hosts.len()).filter(|index| *index != number) {
            let (first, mut world) = plan(&before, index, &spec.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            live(&mut world);
            let (second, _) = plan(&after, index, &spec.vault, &world, &after.names);
            for change in &second.changes {
                let allowed = match change {
                    Change::ChangePeer { peer, .. } => {
                        peer.name.as_ref() == Some(name) || (spec.hub && peer.name.as_ref().is_some_and(|n| n.as_str() == "h0"))
                    }
                    Change::AddRoute { .. } | Change::RemoveRoute { .. } | Change::File { .. } => true,
                    // A host that masquerades does so for the LANs behind its peers too.
                    Change::Firewall { digest: Some(_) } => true,
                    _ => false,
                };
                prop_assert!(allowed, "{change:#?}\n{}", spec.yaml());
            }
        }
    }

    #[test]
    fn a_wg0_made_by_hand_is_taken_over(spec in spec(), facts in facts(), hand_psk in any::<bool>()) {
        let state = spec.desired();
        for (index, host) in state.hosts.iter().enumerate() {
            let mut world = World::new(facts.clone());
            let Some(wanted) = host.interfaces.iter().find(|i| i.name.as_str() == "wg0") else { continue };
            world.start(&spec.vault, wanted, LiveBackend::Kernel);
            for peer in wanted.peers.keys() {
                let pair = (wanted.name.clone(), *peer);
                if hand_psk {
                    world.live.insert(pair.clone(), "by hand".to_owned());
                    world.file.insert(pair, "by hand".to_owned());
                } else if let Some(psk) = world.live.get(&pair) {
                    world.file.insert(pair, psk.clone());
                }
            }
            let mut text = String::from("[Interface]\nPrivateKey = (hidden)\n");
            for (key, peer) in &wanted.peers {
                let _ = write!(text, "[Peer]\nPublicKey={key}\nAllowedIPs = {}\n", peer.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
                if let Some(endpoint) = &peer.endpoint {
                    let _ = writeln!(text, "Endpoint ={endpoint}");
                }
            }
            let file = ObservedFile { mode: 0o644, root: true, fingerprint: Fingerprint::from_bytes([3; 32]), public_text: text };
            world.host.files.insert("/etc/wireguard/wg0.conf".to_owned(), file);
            live(&mut world);
            let (first, world) = plan(&state, index, &spec.vault, &world, &state.names);
            if let HostState::Blocked(_) = first.state {
                continue;
            }
            let other = state.hosts[index].backend;
            let takes = matches!(other, wgfleet::model::Backend::Auto | wgfleet::model::Backend::Kernel);
            let hand: Vec<&Change> = first.changes.iter().filter(|change| change.interface().is_some_and(|i| i.as_str() == "wg0")).collect();
            if takes {
                // The same settings: the interface goes on, only preshared keys may change.
                for change in hand {
                    let fine = matches!(change, Change::ChangePeer { fields, .. } if fields.iter().all(|f| f.field == "preshared key"));
                    prop_assert!(fine, "{change:#?}\n{}", spec.yaml());
                }
            }
            let (second, _) = plan(&state, index, &spec.vault, &world, &state.names);
            prop_assert!(second.changes.is_empty(), "{:#?}\n{}", second.changes, spec.yaml());
        }
    }

    #[test]
    fn what_is_left_over_goes(spec in spec(), facts in facts()) {
        let mut two = spec.clone();
        two.two = true;
        let mut one = spec;
        one.two = false;
        let (before, after) = (two.desired(), one.desired());
        for index in 0..2 {
            let (first, world) = plan(&before, index, &two.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            let (second, world) = plan(&after, index, &one.vault, &world, &after.names);
            let gone: InterfaceName = "wg1".parse().expect("a name");
            prop_assert!(second.changes.contains(&Change::Delete { interface: gone }), "{:#?}", second.changes);
            prop_assert!(world.host.files.keys().all(|path| !path.contains("wg1")), "{:?}", world.host.files.keys());
            prop_assert!(world.host.units.iter().all(|(unit, state)| !unit.contains("wg1") || *state == UnitState::default()));
            let (third, _) = plan(&after, index, &one.vault, &world, &after.names);
            prop_assert!(third.changes.is_empty(), "{:#?}", third.changes);
        }
    }
}

#[test]
fn a_host_that_cannot_be_read_removes_nobody() {
    // The wanted state comes from the file alone: no observation takes part in anybody else's.
    let name: HostName = "h1".parse().expect("a name");
    let plan = HostPlan::unreadable(name, "no route".to_owned());
    assert!(plan.changes.is_empty() && !plan.can_apply());
    let _: Arc<[IpNet]> = Arc::from([]);
}

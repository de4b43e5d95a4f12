//! A host that is down while its fleet changes: what it reached before it still reaches, and is reached by,
//! once all others have changed, because they keep what they have of their links with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use proptest::prelude::*;
use wgfleet::desired::{DEFAULT_TEMPLATE, DesiredPeer, PublicKeys, Renderer, build};
use wgfleet::inventory::{self, Inventory};
use wgfleet::model::{Fingerprint, HostName, PublicKey};
use wgfleet::observed::{
    LiveBackend, ObservedFile, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk,
};
use wgfleet::plan::{Names, Standing, Standstill, WithoutSecrets, hold, with_kept};
use wgfleet::topology::{self, NodeKind, Topology, mix};

use super::cases;
use super::difference::{boundaries, ends, together};
use super::reference::Reference;

type Fleet = (Inventory, Topology);

/// A fleet of one network. The first host is the hub, where there is one.
#[derive(Debug, Clone)]
struct Spec {
    hub: bool,
    hosts: Vec<HostSpec>,
}

#[derive(Debug, Clone, Copy)]
struct HostSpec {
    /// Added to its address and its port.
    moved: u8,
    /// Whether its site has a LAN behind it, and which.
    lan: Option<u8>,
    keepalive: bool,
}

fn spec() -> impl Strategy<Value = Spec> {
    let host = (0_u8..3, proptest::option::of(0_u8..3), any::<bool>())
        .prop_map(|(moved, lan, keepalive)| HostSpec { moved, lan, keepalive });
    (any::<bool>(), proptest::collection::vec(host, 3..=6))
        .prop_map(|(hub, hosts)| Spec { hub, hosts })
}

fn parse(spec: &Spec) -> Fleet {
    let links = if spec.hub { "[{ hub: h0 }]" } else { "[mesh]" };
    let mut text = format!(
        "fleet: kept\nnetworks: {{ n: {{ prefixes: [10.1.0.0/16], links: {links} }} }}\nsites:\n"
    );
    for (index, host) in spec.hosts.iter().enumerate() {
        let lan = host.lan.map(|lan| format!("192.168.{}.0/24", index * 10 + usize::from(lan)));
        let _ = writeln!(text, "  s{index}: {{ subnets: [{}] }}", lan.unwrap_or_default());
    }
    text.push_str("hosts:\n");
    for (index, host) in spec.hosts.iter().enumerate() {
        let (number, moved) = (index + 1, usize::from(host.moved));
        let gateway = if host.lan.is_some() { "gateway: true, " } else { "" };
        let keepalive = if host.keepalive { ", keepalive: 25" } else { "" };
        let _ = writeln!(
            text,
            "  h{index}: {{ site: s{index}, {gateway}address: 10.1.{moved}.{number}, \
             endpoint: \"203.0.113.{number}:{}\"{keepalive} }}",
            51820 + moved
        );
    }
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.clone());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings));
    let topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    (inventory, topology)
}

/// Each host has the key that its name makes.
struct Keys;

impl PublicKeys for Keys {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let mut bytes = [7; 32];
        bytes[..name.as_str().len()].copy_from_slice(name.as_str().as_bytes());
        Some(PublicKey::from_bytes(bytes))
    }

    fn psk_epoch(&self) -> Option<u32> {
        None
    }
}

/// What each host has: the files of a state.
fn applied((inventory, topology): &Fleet) -> BTreeMap<HostName, ObservedHost> {
    let (state, missing) = build(inventory, topology, &Keys);
    assert!(missing.is_empty());
    let renderer = Renderer::new(state.fleet.clone(), DEFAULT_TEMPLATE.to_owned()).unwrap();
    let secrets = WithoutSecrets::new([1; 32]);
    let sysctls = Names::of(&state.fleet).sysctl_file;
    let mut all = BTreeMap::new();
    for host in &state.hosts {
        let mut seen = ObservedHost {
            forward_v4: host.forwarding.v4,
            forward_v6: host.forwarding.v6,
            ..ObservedHost::default()
        };
        let file = |text: String| ObservedFile {
            mode: 0o600,
            root: true,
            fingerprint: Fingerprint::from_bytes([0; 32]),
            public_text: text,
        };
        if host.forwarding.v4 {
            let text = "# Managed by wgfleet: this host routes for its peers.\n\
                        net.ipv4.ip_forward = 1\n# before wgfleet: net.ipv4.ip_forward = 0\n";
            seen.files.insert(sysctls.clone(), file(text.to_owned()));
        }
        for own in &host.interfaces {
            let peer = |peer: &DesiredPeer| ObservedPeer {
                psk: ObservedPsk::None,
                endpoint: None,
                allowed_ips: peer.allowed_ips.iter().copied().collect(),
                latest_handshake: 1,
                received: 0,
                sent: 0,
                keepalive: peer.keepalive,
            };
            let live = ObservedInterface {
                backend: LiveBackend::Kernel,
                up: true,
                mtu: 1420,
                public_key: Some(own.public_key),
                listen_port: 0,
                fwmark: 0,
                addresses: own.addresses.iter().copied().collect(),
                routes: BTreeSet::new(),
                unrouted: BTreeSet::new(),
                unruled: BTreeSet::new(),
                peers: own.peers.iter().map(|(key, one)| (*key, peer(one))).collect(),
            };
            seen.interfaces.insert(own.name.clone(), live);
            let text = renderer.render(host, own, &secrets).unwrap().public_text;
            let path = format!("/etc/wireguard/{}.conf", own.name).parse().unwrap();
            seen.files.insert(path, file(text));
        }
        all.insert(host.name.clone(), seen);
    }
    all
}

/// The fleet once all but one have changed.
fn without(before: &Fleet, after: &Fleet, down: &HostName) -> Fleet {
    let seen = applied(before);
    let (mut state, _) = build(&after.0, &after.1, &Keys);
    let names = (*state.names).clone();
    let hosts = BTreeMap::from([(down.clone(), Standing::Unreadable)]);
    let still = Standstill::new(
        hosts,
        &names,
        BTreeSet::new(),
        &after.1,
        seen.iter().filter(|(name, _)| *name != down).map(|(_, host)| host),
    );
    let fleet = Names::of(&state.fleet);
    let mut kept = Vec::new();
    for host in state.hosts.iter_mut().filter(|host| host.name != *down) {
        kept.extend(hold(host, &seen[&host.name], &fleet, &still));
    }
    let wanted = with_kept((&after.0, &after.1), &state.hosts, &kept);
    mix((&before.0, &before.1), (&after.0, &wanted), |name| name != down)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(300)) })]

    /// Whatever becomes of the host that is down, and of the links of the fleet: each flow between it and
    /// others goes on.
    #[test]
    fn a_host_that_is_down_keeps_its_flows(
        before in spec(),
        (moved, lan, keepalive) in (0_u8..3, proptest::option::of(0_u8..3), any::<bool>()),
        hub in any::<bool>(),
        down in any::<prop::sample::Index>(),
    ) {
        let down = down.index(before.hosts.len());
        let mut wanted = before.clone();
        wanted.hub = hub;
        wanted.hosts[down] = HostSpec { moved, lan, keepalive };
        let states = [parse(&before), parse(&wanted)];
        let name: HostName = format!("h{down}").parse().unwrap();
        let then = without(&states[0], &states[1], &name);
        let nets: BTreeSet<IpNet> = states.iter().flat_map(boundaries).collect();
        let nets: Vec<IpNet> = nets.into_iter().collect();
        let points = [ends(&states[0], &nets), ends(&then, &nets)];
        let flow = |(inventory, topology): &Fleet, side: usize, from: &_, to: &_| {
            let (a, b) = (points[side].get(from)?, points[side].get(to)?);
            (!together(topology, a, b)).then(|| Reference { inventory, topology }.flow(a, b))
        };
        let own = |key: &(String, IpAddr)| key.0 == name.as_str() || key.0 == format!("site s{down}");
        let mut worked = 0;
        for from in points[0].keys() {
            for to in points[0].keys().filter(|to| own(from) != own(to)) {
                if flow(&states[0], 0, from, to) == Some(true) {
                    worked += 1;
                    prop_assert_eq!(flow(&then, 1, from, to), Some(true), "{:?} to {:?}", from, to);
                }
            }
        }
        prop_assert!(worked > 0);
        let managed = states[0].1.nodes.iter().all(|node| matches!(node.kind, NodeKind::Host(_)));
        prop_assert!(managed);
    }
}

//! What happens to a machine behind wgfleet's back.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use wgfleet::model::{Fingerprint, InterfaceName, PublicKey, UnitName};
use wgfleet::observed::{ObservedInterface, ObservedPeer, ObservedPsk, UnitState};

use crate::vault::bytes;
use crate::world::World;

/// Something that happened behind wgfleet's back.
#[derive(Debug, Clone)]
pub(crate) enum Drift {
    LosePeer(Index),
    ForeignPeer(u8),
    StealPrefix(Index),
    Psk(Index),
    Keepalive(Index),
    NoEndpoint(Index),
    LoseAddress,
    ForeignAddress,
    LoseRoutes,
    LoseConnected,
    LoseRules,
    Mask,
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
    OtherUnit,
    Firewall,
    NoForward,
}

pub(crate) fn drift() -> impl Strategy<Value = Drift> {
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
            Drift::LoseConnected,
            Drift::LoseRules,
            Drift::Mask,
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
            Drift::OtherUnit,
            Drift::Firewall,
            Drift::NoForward,
        ]),
    ]
}

impl World {
    /// Somebody installed wireguard-tools, or took them away.
    fn other_units(&mut self) {
        let units: Vec<UnitName> = self.host.units.keys().cloned().collect();
        for unit in units {
            let other = match unit.strip_prefix("wg-quick@") {
                Some(rest) => format!("wgfleet-{rest}"),
                None => unit.replacen("wgfleet-", "wg-quick@", 1),
            };
            let other = other.parse().expect("a unit");
            self.host
                .units
                .insert(other, UnitState { enabled: true, active: false, masked: false });
        }
    }

    pub(crate) fn drift(&mut self, drift: &Drift) {
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
                self.host.units.values_mut().for_each(|unit| *unit = UnitState::default());
            }
            Drift::OtherUnit => self.other_units(),
            Drift::Mask => self.host.units.values_mut().for_each(|unit| unit.masked = true),
            Drift::Firewall => {
                let stray = Some("0123".to_owned());
                self.host.firewalls.values_mut().for_each(|live| live.clone_from(&stray));
                // As version 0.1.0 named it.
                self.host.firewalls.insert("wgfleet".to_owned(), stray);
            }
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
                let peer = stranger();
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
            Drift::LoseConnected => lose_connected(live),
            Drift::LoseRules => lose_rules(live),
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

/// A peer that nobody wants.
fn stranger() -> ObservedPeer {
    ObservedPeer {
        psk: ObservedPsk::None,
        endpoint: None,
        allowed_ips: BTreeSet::new(),
        latest_handshake: 0,
        received: 0,
        sent: 0,
        keepalive: None,
    }
}

/// The kernel's own routes for addresses.
fn lose_connected(live: &mut ObservedInterface) {
    let nets = live.addresses.iter();
    let nets = nets.filter(|net| net.prefix_len() < net.max_prefix_len());
    live.unrouted = nets.map(ipnet::IpNet::trunc).collect();
}

/// The rules that lead to a full tunnel.
fn lose_rules(live: &mut ObservedInterface) {
    let mark = live.fwmark;
    let whole = live.routes.iter();
    let whole = whole.filter(|(table, net)| *table == mark && net.prefix_len() == 0);
    live.unruled = whole.map(|(_, net)| wgfleet::model::Family::of(net)).collect();
}

/// Handshakes, traffic, and endpoints that roam: what running sessions do by themselves.
pub(crate) fn live(world: &mut World) {
    for interface in world.host.interfaces.values_mut() {
        for (number, peer) in
            interface.peers.values_mut().zip(0_u8..).map(|(peer, number)| (number, peer))
        {
            peer.latest_handshake = 1_700_000_000;
            peer.received += 100;
            peer.endpoint = Some(std::net::SocketAddr::from(([100, 64, 0, number + 1], 40000)));
        }
    }
}

//! What happens to a machine behind wgfleet's back, and what sessions do by themselves.

use std::net::SocketAddr;

use ipnet::IpNet;
use proptest::sample::Index;
use wgfleet::model::{InterfaceName, Keepalive, PublicKey, UnitName};
use wgfleet::observed::UnitState;

use super::{Link, Machine, Table, conf};
use crate::drift::Drift;
use crate::vault::bytes;

impl Link {
    /// A handshake with each peer.
    pub(crate) fn shake(&mut self) {
        for peer in self.peers.values_mut() {
            peer.handshake = 1_700_000_000;
        }
    }
}

impl Machine {
    /// Handshakes, and endpoints that roam.
    pub(crate) fn live(&mut self) {
        for link in self.links.values_mut() {
            for (peer, number) in link.peers.values_mut().zip(1_u8..) {
                peer.handshake = 1_700_000_000;
                peer.endpoint = Some(SocketAddr::from(([100, 64, 0, number], 40000)));
            }
        }
    }

    /// Handshakes, with everybody where they are.
    pub(crate) fn shake(&mut self) {
        self.links.values_mut().for_each(Link::shake);
    }

    pub(crate) fn drift(&mut self, drift: &Drift) {
        let name: InterfaceName = "wg0".parse().expect("a name");
        match drift {
            Drift::NoFile => drop(self.files.remove(&conf::path(&name))),
            Drift::FileMode => self.files.values_mut().for_each(|file| file.mode = 0o640),
            Drift::FileText => {
                if let Some(file) = self.files.get_mut(&conf::path(&name)) {
                    file.text.push_str("# by hand\n");
                }
            }
            Drift::NoInterface => drop(self.links.remove(&name)),
            Drift::LoseRules => self.rules.clear(),
            Drift::Unit => self.units.values_mut().for_each(|unit| {
                *unit = UnitState { active: unit.active, ..UnitState::default() };
            }),
            Drift::OtherUnit => {
                let units: Vec<UnitName> = self.units.keys().cloned().collect();
                for unit in units {
                    let other = match unit.strip_prefix("wg-quick@") {
                        Some(rest) => format!("wgfleet-{rest}"),
                        None => unit.replacen("wgfleet-", "wg-quick@", 1),
                    };
                    let other = other.parse().expect("a unit");
                    self.units.insert(other, UnitState { enabled: true, ..UnitState::default() });
                }
            }
            Drift::Mask => self.units.values_mut().for_each(|unit| unit.masked = true),
            Drift::Firewall => {
                let stray = Table(Some("0123".to_owned()));
                self.tables.values_mut().for_each(|live| live.clone_from(&stray));
                self.tables.insert("wgfleet".to_owned(), stray);
            }
            Drift::NoForward => self.sysctls.clear(),
            _ => self.drift_link(&name, drift),
        }
    }

    fn drift_link(&mut self, name: &InterfaceName, drift: &Drift) {
        let Some(link) = self.links.get_mut(name) else {
            return;
        };
        let keys: Vec<PublicKey> = link.peers.keys().copied().collect();
        let pick = |index: &Index| (!keys.is_empty()).then(|| keys[index.index(keys.len())]);
        let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
        match drift {
            Drift::LosePeer(index) => {
                if let Some(key) = pick(index) {
                    link.peers.remove(&key);
                }
            }
            Drift::ForeignPeer(seed) => {
                let key = PublicKey::from_bytes(bytes(&["foreign", &seed.to_string()]));
                link.peer(&key);
                link.allow(&key, &[net("10.1.0.2/32")].into());
            }
            Drift::StealPrefix(index) => {
                if let Some(key) = pick(index) {
                    link.allow(&key, &[net("10.1.0.1/32"), net("172.31.0.0/24")].into());
                }
            }
            Drift::Psk(index) => {
                if let Some(key) = pick(index) {
                    link.peer(&key).psk = Some("by hand".to_owned());
                }
            }
            Drift::Keepalive(index) => {
                if let Some(key) = pick(index) {
                    link.peer(&key).keepalive = Keepalive::new(99);
                }
            }
            Drift::NoEndpoint(index) => {
                if let Some(key) = pick(index) {
                    link.peer(&key).endpoint = None;
                }
            }
            Drift::LoseAddress => {
                link.addresses.clear();
                link.connected.clear();
                link.routes.retain(|(_, net)| matches!(net, IpNet::V6(_)));
            }
            Drift::ForeignAddress => {
                let address = net("10.77.0.1/24");
                if !link.addresses.contains(&address) {
                    link.add_address(address);
                }
            }
            Drift::LoseRoutes => link.routes.clear(),
            Drift::LoseConnected => link.connected.clear(),
            Drift::ForeignRoute => {
                link.routes.insert((254, net("10.78.0.0/16")));
            }
            // Below 1280 the kernel takes IPv6 away.
            Drift::Mtu => {
                link.mtu = 1000;
                link.addresses.retain(|net| matches!(net, IpNet::V4(_)));
                link.connected.retain(|net| matches!(net, IpNet::V4(_)));
                link.routes.retain(|(_, net)| matches!(net, IpNet::V4(_)));
            }
            Drift::Down => {
                link.up = false;
                link.addresses.retain(|net| matches!(net, IpNet::V4(_)));
                link.connected.clear();
                link.routes.clear();
            }
            Drift::Port => link.port = 1,
            Drift::Mark => link.mark = 5,
            Drift::OwnKey => link.key = None,
            _ => {}
        }
    }
}

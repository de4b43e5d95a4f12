//! Which key each host is to have: the one that it has, but for those that a rotation moves on.
//!
//! An interrupted rotation leaves hosts with two keys in the vault. A command that wanted the
//! new one for all of them would take it to some hosts and not to others, and sessions would end.
//! So what is live decides, and only the rotation of a host itself moves it on. A host confirms its
//! new key before any neighbour does: a neighbour that keeps the new one proves that the host has it.

use std::collections::BTreeSet;

use crate::desired::PublicKeys;
use crate::model::{HostName, PublicKey};
use crate::observed::ObservedHost;
use crate::vault::Index;

/// The keys of hosts while rotations may be under way.
#[derive(Debug)]
pub struct LiveKeys<'a> {
    index: &'a Index,
    /// Hosts that have, or get, their next key.
    moved: BTreeSet<HostName>,
}

impl<'a> LiveKeys<'a> {
    /// The keys as far as they are known without looking at hosts; `turn` names those that get
    /// their next key.
    #[must_use]
    pub fn new(index: &'a Index, turn: &BTreeSet<HostName>) -> Self {
        Self { index, moved: turn.clone() }
    }

    /// The current keys.
    #[must_use]
    pub fn current(index: &'a Index) -> Self {
        Self::new(index, &BTreeSet::new())
    }

    /// Learns from what hosts have; says whether that changed anything.
    pub fn learn(&mut self, seen: &[(&HostName, &ObservedHost)]) -> bool {
        let before = self.moved.len();
        for name in self.index.names() {
            let Some(next) = self.index.next(name).filter(|_| !self.moved.contains(name)) else {
                continue;
            };
            if has_moved(name, self.index.current(name), next, seen) {
                self.moved.insert(name.clone());
            }
        }
        self.moved.len() != before
    }

    /// Hosts with a key that waits for a rotation to go on.
    pub fn interrupted(index: &Index) -> impl Iterator<Item = &HostName> {
        index.names().filter(|name| index.next(name).is_some())
    }
}

/// Whether a host uses its next key. What is armed and not yet confirmed proves nothing.
fn has_moved(
    name: &HostName,
    current: Option<PublicKey>,
    next: PublicKey,
    seen: &[(&HostName, &ObservedHost)],
) -> bool {
    let settled = seen.iter().filter(|(_, host)| host.armed.is_none());
    let own = settled.clone().find(|(host, _)| *host == name);
    let live: BTreeSet<PublicKey> = own
        .iter()
        .flat_map(|(_, host)| host.interfaces.values())
        .filter_map(|interface| interface.public_key)
        .collect();
    if live.contains(&next) {
        return true;
    }
    if current.is_some_and(|current| live.contains(&current)) {
        return false;
    }
    settled
        .filter(|(host, _)| *host != name)
        .flat_map(|(_, host)| host.interfaces.values())
        .any(|interface| interface.peers.contains_key(&next))
}

impl PublicKeys for LiveKeys<'_> {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let next = self.index.next(name).filter(|_| self.moved.contains(name));
        next.or_else(|| self.index.current(name))
    }

    fn psk_epoch(&self) -> Option<u32> {
        self.index.epoch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InterfaceName;
    use crate::observed::{LiveBackend, ObservedInterface, ObservedPeer, ObservedPsk};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    /// The hub's keys are 1 and 2, the spoke's is 3.
    fn index() -> Index {
        let line = |name: &str, state: &str, byte: u8| {
            serde_json::json!({
                "name": name, "state": state, "public_key": key(byte),
                "created": "2026-11-22T13:00:00Z",
            })
        };
        let keys = [line("hub", "current", 1), line("hub", "next", 2), line("spoke", "current", 3)];
        let index = serde_json::json!({
            "version": 1, "fleet": "acme", "recipients": [], "psk": [], "keys": keys,
        });
        Index::parse(index.to_string().as_bytes()).unwrap()
    }

    fn host(own: Option<u8>, peers: &[u8], armed: bool) -> ObservedHost {
        let peer = ObservedPeer {
            psk: ObservedPsk::None,
            endpoint: None,
            allowed_ips: BTreeSet::new(),
            latest_handshake: 0,
            received: 0,
            sent: 0,
            keepalive: None,
        };
        let interface = ObservedInterface {
            backend: LiveBackend::Kernel,
            up: true,
            mtu: 1420,
            public_key: own.map(key),
            listen_port: 0,
            fwmark: 0,
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: peers.iter().map(|byte| (key(*byte), peer.clone())).collect(),
        };
        let name: InterfaceName = "wg0".parse().unwrap();
        ObservedHost {
            interfaces: own.map(|_| (name, interface)).into_iter().collect(),
            armed: armed.then(|| "c0".to_owned()),
            ..ObservedHost::default()
        }
    }

    fn hub_key(turn: &[&str], seen: &[(&str, ObservedHost)]) -> PublicKey {
        let index = index();
        let name = |text: &str| text.parse::<HostName>().unwrap();
        let mut keys = LiveKeys::new(&index, &turn.iter().map(|text| name(text)).collect());
        let seen: Vec<_> = seen.iter().map(|(text, host)| (name(text), host)).collect();
        keys.learn(&seen.iter().map(|(name, host)| (name, *host)).collect::<Vec<_>>());
        assert_eq!(keys.of(&name("spoke")), Some(key(3)));
        keys.of(&name("hub")).unwrap()
    }

    #[test]
    fn a_host_keeps_the_key_that_it_has() {
        assert_eq!(hub_key(&[], &[("hub", host(Some(1), &[3], false))]), key(1));
        assert_eq!(hub_key(&[], &[("hub", host(Some(2), &[3], false))]), key(2));
        // What is not confirmed is rolled back.
        assert_eq!(hub_key(&[], &[("hub", host(Some(2), &[3], true))]), key(1));
        // Its own word counts for more than a neighbour's.
        let spoke = ("spoke", host(Some(3), &[2], false));
        assert_eq!(hub_key(&[], &[("hub", host(Some(1), &[3], false)), spoke.clone()]), key(1));
        // One without interfaces has none.
        assert_eq!(hub_key(&[], &[("hub", host(None, &[], false)), spoke]), key(2));
    }

    #[test]
    fn of_a_host_that_is_not_read_its_neighbours_tell() {
        assert_eq!(hub_key(&[], &[]), key(1));
        assert_eq!(hub_key(&[], &[("spoke", host(Some(3), &[1], false))]), key(1));
        assert_eq!(hub_key(&[], &[("spoke", host(Some(3), &[2], false))]), key(2));
        assert_eq!(hub_key(&[], &[("spoke", host(Some(3), &[2], true))]), key(1));
        let others = [("spoke", host(Some(3), &[1], false)), ("other", host(Some(4), &[2], false))];
        assert_eq!(hub_key(&[], &others), key(2));
    }

    #[test]
    fn only_its_own_turn_moves_a_host_on() {
        assert_eq!(hub_key(&["hub"], &[("hub", host(Some(1), &[3], false))]), key(2));
        assert_eq!(hub_key(&["spoke"], &[("hub", host(Some(1), &[3], false))]), key(1));
    }
}

//! What an embedded tunnel dropped since it started.

use std::collections::BTreeMap;
use std::str::SplitAsciiWhitespace;

use super::interface::ObservedInterface;
use super::word::word;
use crate::model::{DropCause, InterfaceName, PublicKey};

/// How much was dropped, by cause; nothing is left out.
pub type DropCounts = BTreeMap<DropCause, u64>;

/// What one interface dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedDrops {
    /// What belongs to no peer.
    pub interface: DropCounts,
    /// What belongs to one, by its key; peers without a loss are not in the map.
    pub peers: BTreeMap<PublicKey, DropCounts>,
}

/// The longest name of a cause that is read.
const LONGEST_NAME: usize = 32;

impl ObservedDrops {
    /// `dropped IF interface|PUBLIC-KEY CAUSE COUNT`, after the interface and its peers.
    pub(super) fn read(
        all: &mut BTreeMap<InterfaceName, Self>,
        interfaces: &BTreeMap<InterfaceName, ObservedInterface>,
        words: &mut SplitAsciiWhitespace<'_>,
    ) -> Option<()> {
        let name: InterfaceName = word(words)?;
        let live = interfaces.get(&name)?;
        let peer: Option<PublicKey> = match words.next()? {
            "interface" => None,
            key => Some(key.parse().ok()?),
        };
        let cause = words.next()?;
        let count = word(words)?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if cause.len() > LONGEST_NAME || !cause.bytes().all(is_name) || words.next().is_some() {
            return None;
        }
        // Peers come and go between two looks at an interface; a newer tunnel has other causes.
        let is_known = peer.is_none_or(|key| live.peers.contains_key(&key));
        let Some(cause) = DropCause::named(cause).filter(|_| is_known && count > 0) else {
            return Some(());
        };
        let drops = all.entry(name).or_default();
        let counts = match peer {
            Some(key) => drops.peers.entry(key).or_default(),
            None => &mut drops.interface,
        };
        counts.insert(cause, count);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    const OTHER: &str = "YSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn read(lines: &str) -> Option<BTreeMap<InterfaceName, ObservedDrops>> {
        let text = format!(
            "observe 3\ninterface wg0 embedded yes 1420\n\
             peer\twg0\t{KEY}\tnone\t(none)\t(none)\t0\t0\t0\toff\n{lines}end\n"
        );
        parse(&text).ok().map(|host| host.dropped)
    }

    #[test]
    fn counts_are_read_by_interface_and_peer() {
        let lines = format!(
            "dropped wg0 interface no_peer 3\ndropped wg0 {KEY} replay 18446744073709551615\n\
             dropped wg0 {OTHER} replay 7\ndropped wg0 interface of_tomorrow 5\n\
             dropped wg0 interface malformed 0\n"
        );
        let read = read(&lines).unwrap();
        let drops = &read[&"wg0".parse().unwrap()];
        assert_eq!(drops.interface, DropCounts::from([(DropCause::NoPeer, 3)]));
        let peers = [(KEY.parse().unwrap(), DropCounts::from([(DropCause::Replay, u64::MAX)]))];
        assert_eq!(drops.peers, BTreeMap::from(peers));
    }

    #[test]
    fn what_no_tunnel_says_is_refused() {
        for words in [
            "wg1 interface no_peer 3",
            "wg0 nobody no_peer 3",
            "wg0 interface no_peer -1",
            "wg0 interface no_peer 18446744073709551616",
            "wg0 interface no_peer",
            "wg0 interface no_peer 3 4",
            "wg0 interface No/Peer 3",
            "wg0 interface aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 3",
        ] {
            assert_eq!(read(&format!("dropped {words}\n")), None, "{words}");
        }
    }
}

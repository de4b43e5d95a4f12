//! What `wg show all dump` and `wg show IF dump` print.

use ipnet::IpNet;

use super::conf::number;
use super::known::{KnownInterface, KnownPeer};
use crate::model::{
    Endpoint, FwMark, HIDDEN, InterfaceName, Keepalive, Port, PresharedKey, PrivateKey, PublicKey,
    parse_net,
};

/// Fields of a line that tells of an interface, and of one that tells of a peer, behind the interface's name.
const INTERFACE: usize = 4;
const PEER: usize = 8;

/// The interfaces of a dump; nothing where the text is none.
pub(super) fn read(source: &str, text: &str) -> Option<Vec<KnownInterface>> {
    let mut all: Vec<KnownInterface> = Vec::new();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    // A dump of one interface does not name it.
    let named = lines.peek()?.split('\t').count() == INTERFACE + 1;
    for line in lines {
        let mut fields: Vec<&str> = line.split('\t').collect();
        let name = if named { Some(fields.remove(0).parse::<InterfaceName>().ok()?) } else { None };
        match fields[..] {
            [private, public, port, mark] => {
                let private_key = PrivateKey::parse(private).ok();
                all.push(KnownInterface {
                    source: source.to_owned(),
                    name,
                    public_key: public.parse().ok(),
                    private_key: private_key.filter(|key| *key.expose() != [0; 32]),
                    listen_port: port.parse().ok().and_then(Port::new),
                    fwmark: number(mark).filter(|mark| *mark > 0).map(FwMark),
                    is_live: true,
                    ..KnownInterface::default()
                });
            }
            _ if fields.len() == PEER => {
                let interface = all.last_mut().filter(|last| last.name == name)?;
                interface.peers.push(peer(&fields)?);
            }
            _ => return None,
        }
    }
    Some(all)
}

fn peer(fields: &[&str]) -> Option<KnownPeer> {
    let [key, psk, endpoint, allowed, _handshake, _received, _sent, keepalive] = *fields else {
        return None;
    };
    let key: PublicKey = key.parse().ok()?;
    let allowed_ips: Vec<IpNet> = match allowed {
        "(none)" => Vec::new(),
        list => list.split(',').map(|net| parse_net(net).ok()).collect::<Option<_>>()?,
    };
    let preshared_key = PresharedKey::parse(psk).ok().filter(|key| *key.expose() != [0; 32]);
    Some(KnownPeer {
        preshared_key,
        psk_is_hidden: psk == HIDDEN,
        endpoint: Endpoint::parse_with_zone(endpoint).ok(),
        allowed_ips,
        keepalive: keepalive.parse().ok().and_then(Keepalive::new),
        ..KnownPeer::new(key)
    })
}

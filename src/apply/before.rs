//! Whether a host has again what it had before a change.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::model::{Keepalive, PublicKey};
use crate::observed::{LiveBackend, ObservedHost, ObservedInterface, ObservedPsk};

/// Whether a host is as it was, in everything that an apply can change; traffic is not.
pub(super) fn same(before: &ObservedHost, now: &ObservedHost) -> bool {
    let interfaces = |host: &ObservedHost| -> BTreeMap<_, _> {
        let live = host.interfaces.iter();
        live.map(|(name, live)| (name.clone(), Settings::of(live))).collect()
    };
    // Whether a unit runs follows from its interface.
    let enabled = |host: &ObservedHost| -> BTreeSet<String> {
        let units = host.units.iter().filter(|(_, unit)| unit.enabled);
        units.map(|(name, _)| name.clone()).collect()
    };
    interfaces(before) == interfaces(now)
        && before.files == now.files
        && before.firewall == now.firewall
        && (before.forward_v4, before.forward_v6) == (now.forward_v4, now.forward_v6)
        && enabled(before) == enabled(now)
}

/// What is set on an interface.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    backend: LiveBackend,
    up: bool,
    mtu: u32,
    public_key: Option<PublicKey>,
    listen_port: u16,
    fwmark: u32,
    addresses: BTreeSet<IpNet>,
    routes: BTreeSet<(u32, IpNet)>,
    peers: BTreeMap<PublicKey, (ObservedPsk, BTreeSet<IpNet>, Option<Keepalive>)>,
}

impl Settings {
    fn of(live: &ObservedInterface) -> Self {
        let peers = live.peers.iter().map(|(key, peer)| {
            // Where it is reached is what the peer itself tells.
            (*key, (peer.psk, peer.allowed_ips.clone(), peer.keepalive))
        });
        Self {
            backend: live.backend,
            up: live.up,
            mtu: live.mtu,
            public_key: live.public_key,
            listen_port: live.listen_port,
            fwmark: live.fwmark,
            addresses: live.addresses.clone(),
            routes: live.routes.clone(),
            peers: peers.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{ObservedPeer, UnitState, parse};

    const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn host() -> ObservedHost {
        parse(&format!(
            "observe 1\nforward4 1\nforward6 0\nfirewall 0123\nunit wg-quick@wg0.service yes yes\n\
             interface wg0 kernel yes 1420\ndevice wg0 {KEY} 51820 off\naddress wg0 10.10.0.1/24\n\
             route wg0 4 main 192.168.7.0/24\n\
             peer\twg0\t{KEY}\tas-file\t192.0.2.1:1\t10.10.0.2/32\t0\t1\t2\t25\n\
             file 600 yes {} /etc/wireguard/wg0.conf\n| [Interface]\nend\n",
            "ab".repeat(32)
        ))
        .unwrap()
    }

    #[test]
    fn every_setting_counts_and_traffic_does_not() {
        type Change = fn(&mut ObservedHost);
        fn live(host: &mut ObservedHost) -> &mut ObservedInterface {
            host.interfaces.values_mut().next().unwrap()
        }
        fn peer(host: &mut ObservedHost) -> &mut ObservedPeer {
            live(host).peers.values_mut().next().unwrap()
        }
        let settings: [Change; 17] = [
            |host| host.interfaces.clear(),
            |host| host.files.clear(),
            |host| host.firewall = None,
            |host| host.forward_v4 = false,
            |host| host.forward_v6 = true,
            |host| host.units.clear(),
            |host| live(host).backend = LiveBackend::Embedded,
            |host| live(host).up = false,
            |host| live(host).mtu = 1280,
            |host| live(host).public_key = None,
            |host| live(host).listen_port = 1,
            |host| live(host).fwmark = 1,
            |host| live(host).addresses.clear(),
            |host| live(host).routes.clear(),
            |host| peer(host).psk = ObservedPsk::Other,
            |host| peer(host).allowed_ips.clear(),
            |host| peer(host).keepalive = None,
        ];
        for (index, change) in settings.into_iter().enumerate() {
            let mut now = host();
            change(&mut now);
            assert!(!same(&host(), &now), "setting {index}");
        }
        let traffic: [Change; 5] = [
            |host| peer(host).endpoint = None,
            |host| peer(host).latest_handshake = 9,
            |host| peer(host).received = 9,
            |host| host.now = 9,
            |host| {
                let unit = UnitState { enabled: true, active: false };
                host.units.values_mut().for_each(|own| *own = unit);
            },
        ];
        for (index, change) in traffic.into_iter().enumerate() {
            let mut now = host();
            change(&mut now);
            assert!(same(&host(), &now), "traffic {index}");
        }
    }
}

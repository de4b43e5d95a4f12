//! Whether a host has again what it had before a change.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::event::{HostPart, LiveSetting};
use crate::model::{Family, HostPath, Keepalive, PublicKey, Untrusted};
use crate::observed::{LiveBackend, ObservedHost, ObservedInterface, ObservedPsk};

/// Whether a host is as it was, in everything that an apply can change; traffic is not.
pub(super) fn same(before: &ObservedHost, now: &ObservedHost) -> bool {
    differences(before, now).is_empty()
}

/// What differs between two observations of a host, in everything that an apply can change.
pub(super) fn differences(before: &ObservedHost, now: &ObservedHost) -> Vec<HostPart> {
    let mut found = Vec::new();
    for name in union(&before.interfaces, &now.interfaces) {
        let interface = || name.clone();
        match (before.interfaces.get(name), now.interfaces.get(name)) {
            (Some(before), Some(now)) => {
                let (before, now) = (LiveSettings::of(before), LiveSettings::of(now));
                let settings = before.differences(&now);
                found.extend(
                    settings.map(|setting| HostPart::Setting { interface: interface(), setting }),
                );
            }
            _ => found.push(HostPart::Interface { interface: interface() }),
        }
    }
    let file = |path: &HostPath| HostPart::File { path: Untrusted::new(path.as_str()) };
    let files = union(&before.files, &now.files).into_iter();
    found.extend(files.filter(|path| before.files.get(*path) != now.files.get(*path)).map(file));
    let odd = union(&before.odd, &now.odd).into_iter();
    found.extend(odd.filter(|path| before.odd.get(*path) != now.odd.get(*path)).map(file));
    if before.firewalls != now.firewalls {
        found.push(HostPart::Masquerading);
    }
    if before.forward_v4 != now.forward_v4 {
        found.push(HostPart::Forwarding { family: Family::V4 });
    }
    if before.forward_v6 != now.forward_v6 {
        found.push(HostPart::Forwarding { family: Family::V6 });
    }
    // Whether a unit runs follows from its interface.
    let enabled = |host: &ObservedHost, unit: &str| {
        host.units.get(unit).map_or((false, false), |unit| (unit.enabled, unit.masked))
    };
    for unit in union(&before.units, &now.units) {
        if enabled(before, unit) != enabled(now, unit) {
            found.push(HostPart::Unit { unit: Untrusted::new(unit.as_str()) });
        }
    }
    found
}

/// The keys of two maps, each once, in order.
fn union<'a, K: Ord, V>(one: &'a BTreeMap<K, V>, other: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    one.keys().chain(other.keys()).collect()
}

/// What is set on an interface.
#[derive(Debug, PartialEq, Eq)]
struct LiveSettings {
    backend: LiveBackend,
    up: bool,
    mtu: u32,
    public_key: Option<PublicKey>,
    listen_port: u16,
    fwmark: u32,
    addresses: BTreeSet<IpNet>,
    routes: BTreeSet<(u32, IpNet)>,
    unrouted: BTreeSet<IpNet>,
    unruled: BTreeSet<Family>,
    peers: BTreeMap<PublicKey, (ObservedPsk, BTreeSet<IpNet>, Option<Keepalive>)>,
}

impl LiveSettings {
    /// What differs.
    fn differences(&self, other: &Self) -> impl Iterator<Item = LiveSetting> + use<> {
        [
            (LiveSetting::Backend, self.backend != other.backend),
            (LiveSetting::LinkState, self.up != other.up),
            (LiveSetting::Mtu, self.mtu != other.mtu),
            (LiveSetting::Key, self.public_key != other.public_key),
            (LiveSetting::ListenPort, self.listen_port != other.listen_port),
            (LiveSetting::Fwmark, self.fwmark != other.fwmark),
            (LiveSetting::Addresses, self.addresses != other.addresses),
            (
                LiveSetting::Routes,
                (&self.routes, &self.unrouted) != (&other.routes, &other.unrouted),
            ),
            (LiveSetting::PolicyRouting, self.unruled != other.unruled),
            (LiveSetting::Peers, self.peers != other.peers),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
    }

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
            unrouted: live.unrouted.clone(),
            unruled: live.unruled.clone(),
            peers: peers.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{ObservedPeer, PathKind, UnitState, parse};

    const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn host() -> ObservedHost {
        parse(&format!(
            "observe 3\nforward4 1\nforward6 0\nfirewall wgfleet-f 0123\nunit wg-quick@wg0.service yes yes\n\
             interface wg0 kernel yes 1420\ndevice wg0 {KEY} 51820 off\naddress wg0 10.10.0.1/24\n\
             route wg0 4 main 192.168.7.0/24\n\
             peer\twg0\t{KEY}\tas-file\t192.0.2.1:1\t10.10.0.2/32\t0\t1\t2\t25\n\
             file 600 yes {} /etc/wireguard/wg0.conf\n| [Interface]\nend\n",
            "ab".repeat(32)
        ))
        .unwrap()
    }

    #[test]
    fn what_differs_is_named_with_its_place() {
        let mut now = host();
        let live = now.interfaces.values_mut().next().unwrap();
        live.mtu = 1280;
        live.peers.clear();
        now.files.clear();
        now.forward_v6 = true;
        now.units.clear();
        let named = |now: &ObservedHost| -> Vec<String> {
            differences(&host(), now).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            named(&now),
            [
                "MTU of wg0",
                "peers of wg0",
                "/etc/wireguard/wg0.conf",
                "forwarding of IPv6",
                "unit wg-quick@wg0.service",
            ]
        );
        now.interfaces.clear();
        assert_eq!(named(&now)[0], "interface wg0");
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
        let settings: [Change; 21] = [
            |host| host.interfaces.clear(),
            |host| host.files.clear(),
            |host| host.firewalls.clear(),
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
            |host| live(host).unrouted.clear(),
            |host| live(host).unruled = [Family::V4].into(),
            |host| host.odd = [("/etc/x".parse().unwrap(), PathKind::Folder)].into(),
            |host| host.units.values_mut().for_each(|unit| unit.masked = true),
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
                let unit = UnitState { enabled: true, active: false, masked: false };
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

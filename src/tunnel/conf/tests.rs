//! The configuration file: what wg(8) takes, what it refuses, and what `syncconf` changes.

use std::net::SocketAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{Conf, ConfError, ConfReason, Dialect, PeerConf, strip, sync};
use crate::model::{Endpoint, PresharedKey, PrivateKey, PublicKey};
use crate::tunnel::{AllowedIpChange, DeviceChange, DeviceSnapshot, PeerSnapshot, Setting};

const EXAMPLE: &str = "\
# héllo
[interface]
 privatekey=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
ListenPort = 51820
FwMark = 0xca6c # the mark
Address = 10.0.0.1/24, fd00::1/64
DNS = 1.1.1.1, example.org
MTU = 1380
Table = off
PostUp = iptables -A FORWARD -i %i -j ACCEPT
SaveConfig = false

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.192.122.3/32, 10.192.124.1/24
AllowedIPs = fd00:1::/48
Endpoint = [2607:5300:60:6b0::c05f:543]:2468
PersistentKeepalive = off
";

fn literal(endpoint: &Endpoint) -> Result<SocketAddr, ConfError> {
    let unresolved = ConfError { line: 0, column: 0, reason: ConfReason::Form };
    endpoint.socket_addr().ok_or(unresolved)
}

#[test]
fn a_file_of_wg_quick_is_understood() {
    let conf = Conf::parse(EXAMPLE.as_bytes(), Dialect::Quick).unwrap();
    let quick = &conf.interface.quick;
    assert_eq!(conf.interface.fwmark, Some(0xca6c));
    assert_eq!(quick.addresses.len(), 2);
    assert_eq!(
        (quick.dns.len(), quick.dns_search.as_slice()),
        (1, &["example.org".to_owned()][..])
    );
    let hook = quick.post_up[0].as_text();
    assert_eq!(hook, Some("iptables -A FORWARD -i %i -j ACCEPT"));
    let peer = &conf.peers[0];
    assert_eq!((peer.keepalive, peer.allowed_ips.len(), peer.incremental), (Some(0), 3, false));
    let net: IpNet = "10.192.124.0/24".parse().unwrap();
    assert_eq!(peer.allowed_ips[1], AllowedIpChange::Add(net));
}

#[test]
fn setconf_takes_no_setting_of_wg_quick() {
    let error = Conf::parse(EXAMPLE.as_bytes(), Dialect::Wg).unwrap_err();
    assert_eq!(error.to_string(), "line 6, column 1: [Interface] has no setting \"Address\"");
    let stripped = strip(EXAMPLE.as_bytes()).unwrap();
    let conf = Conf::parse(&stripped, Dialect::Wg).unwrap();
    assert_eq!(conf.peers.len(), 1);
    assert!(String::from_utf8(stripped).unwrap().starts_with("# héllo\n"));
}

#[test]
fn an_error_says_where_and_never_repeats_a_key() {
    let refused =
        |text: &str| Conf::parse(text.as_bytes(), Dialect::Quick).unwrap_err().to_string();
    let secret = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk";
    for (text, place) in [
        (format!("[Interface]\nPrivateKey = {secret}\n"), "line 2, column 14: "),
        (format!("[Interface]\nPrivatKey = {secret}=\n"), "line 2, column 1: "),
        (format!("[Interface]\n{secret}=\n"), "line 2, column 1: "),
        (format!("[Peer]\nPresharedKey = {secret}==\n"), "line 2, column 16: "),
    ] {
        let error = refused(&text);
        assert!(error.starts_with(place), "{error}");
        assert!(!error.contains(&secret[..12]), "{error}");
    }
    assert!(refused("ListenPort = 1\n").starts_with("line 1, column 1: a setting before"));
    assert!(refused("[Peer]\n").contains("has no PublicKey"));
    assert!(refused("[Interface]\nMTU = ten\n").starts_with("line 2, column 7: "));
    assert!(refused("[Interface]\nDNS = 1.1.1.1; reboot\n").contains("cannot contain ';'"));
}

fn bytes() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>().prop_filter("zeros mean none", |bytes| *bytes != [0; 32])
}

fn net() -> impl Strategy<Value = IpNet> {
    // Few, so that peers compete for them.
    (0_u8..6, 8_u8..=10).prop_map(|(a, length)| {
        IpNet::new([a << 5, 0, 0, 0].into(), length).expect("the length fits").trunc()
    })
}

fn preshared() -> impl Strategy<Value = Setting<PresharedKey>> {
    proptest::option::of(bytes()).prop_map(|bytes| match bytes {
        None => Setting::Keep,
        Some(bytes) => Setting::To(PresharedKey::from_bytes(Zeroizing::new(bytes))),
    })
}

fn peer() -> impl Strategy<Value = PeerConf> {
    let fields = (
        0_u8..5,
        preshared(),
        proptest::option::of((1_u8..9).prop_map(|host| format!("192.0.2.{host}:51820"))),
        proptest::option::of(0_u16..3),
        proptest::collection::vec(net(), 0..4),
    );
    fields.prop_map(|(key, preshared_key, endpoint, keepalive, nets)| PeerConf {
        preshared_key,
        endpoint: endpoint.map(|text| text.parse().expect("an endpoint")),
        keepalive,
        allowed_ips: nets.into_iter().map(AllowedIpChange::Add).collect(),
        ..PeerConf::new(PublicKey::from_bytes([key + 1; 32]))
    })
}

fn conf() -> impl Strategy<Value = Conf> {
    let fields = (
        proptest::option::of(bytes()),
        proptest::option::of(1_u16..4),
        proptest::option::of(0_u32..4),
        proptest::collection::vec(peer(), 0..6),
    );
    fields.prop_map(|(key, port, mark, peers)| {
        let mut conf = Conf { peers, ..Conf::default() };
        conf.interface.private_key = key.map(|key| PrivateKey::from_random(Zeroizing::new(key)));
        conf.interface.listen_port = port;
        conf.interface.fwmark = mark;
        conf
    })
}

/// A slow reference of what an interface does with a change.
fn simulate(device: &mut DeviceSnapshot, change: DeviceChange) {
    match change.private_key {
        Setting::Keep => {}
        Setting::Clear => (device.private_key, device.public_key) = (None, None),
        Setting::To(key) => {
            device.public_key = Some(key.public());
            device.private_key = Some(key);
        }
    }
    device.listen_port = change.listen_port.unwrap_or(device.listen_port);
    device.fwmark = change.fwmark.unwrap_or(device.fwmark);
    if change.replace_peers {
        device.peers.clear();
    }
    for change in change.peers {
        let at = device.peers.iter().position(|peer| peer.public_key == change.public_key);
        if change.remove {
            at.map(|at| device.peers.remove(at));
            continue;
        }
        let at = at.unwrap_or_else(|| {
            device.peers.push(PeerSnapshot::new(change.public_key));
            device.peers.len() - 1
        });
        let peer = &mut device.peers[at];
        match change.preshared_key {
            Setting::Keep => {}
            Setting::Clear => peer.preshared_key = None,
            Setting::To(key) => peer.preshared_key = Some(key),
        }
        peer.endpoint = change.endpoint.or(peer.endpoint);
        peer.keepalive = change.keepalive.unwrap_or(peer.keepalive);
        if change.replace_allowed_ips {
            peer.allowed_ips.clear();
        }
        for step in change.allowed_ips {
            let (AllowedIpChange::Add(net) | AllowedIpChange::Remove(net)) = step;
            let adds = matches!(step, AllowedIpChange::Add(_));
            for (other, peer) in device.peers.iter_mut().enumerate() {
                if adds || other == at {
                    peer.allowed_ips.retain(|have| *have != net);
                }
            }
            if adds {
                device.peers[at].allowed_ips.push(net);
            }
        }
    }
}

/// Everything about an interface but the order of things.
fn essence(device: &DeviceSnapshot) -> Vec<String> {
    let mut lines: Vec<String> = device
        .peers
        .iter()
        .map(|peer| {
            let mut nets: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            nets.sort();
            let key = peer.preshared_key.as_ref().map(|key| *key.expose());
            format!("{} {key:?} {:?} {} {nets:?}", peer.public_key, peer.endpoint, peer.keepalive)
        })
        .collect();
    lines.sort();
    lines.push(format!("{:?} {} {}", device.public_key, device.listen_port, device.fwmark));
    lines
}

fn running(conf: Conf) -> DeviceSnapshot {
    let mut device = DeviceSnapshot::default();
    let change = conf.setconf(literal).expect("every endpoint is an address");
    simulate(&mut device, change);
    device
}

fn reparse(text: &str) -> Result<Conf, ConfError> {
    Conf::parse(text.as_bytes(), Dialect::Quick)
}

proptest! {
    #[test]
    fn what_is_written_is_read(conf in conf()) {
        let text = conf.render();
        prop_assert_eq!(&*reparse(&text)?.render(), &*text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Conf::parse(&bytes, Dialect::Quick);
        let _ = strip(&bytes);
    }

    #[test]
    fn no_lines_make_it_panic(text in "(\\[(interface|peer)\\]\n|(publickey|allowedips|endpoint|mtu|table|dns|address|fwmark|postup)( )?=( )?[-+0-9a-z.:/,%\\[\\]=]{0,50}\n){0,12}") {
        let outcome = reparse(&text);
        if let Err(ConfError { line, column, reason }) = outcome {
            prop_assert!(line >= 1 && column >= 1 && !matches!(reason, ConfReason::Text));
        }
    }

    /// The law of `syncconf`: afterwards the interface is what `setconf` would have made of it,
    /// and a second time there is nothing to do.
    #[test]
    fn sync_ends_where_setconf_ends(have in conf(), want in conf()) {
        let text = want.render();
        let mut device = running(have);
        let file = || -> Result<DeviceChange, ConfError> {
            reparse(&text)?.setconf(literal)
        };
        let mut goal = running(reparse(&text)?);
        if reparse(&text)?.interface.listen_port.is_none() {
            goal.listen_port = device.listen_port;
        }
        // An endpoint that the file does not name stays, as with wg(8).
        for peer in &mut goal.peers {
            let before = device.peers.iter().find(|have| have.public_key == peer.public_key);
            peer.endpoint = peer.endpoint.or(before.and_then(|before| before.endpoint));
        }
        let change = sync(file()?, &device);
        simulate(&mut device, change);
        prop_assert_eq!(essence(&device), essence(&goal));
        let again = sync(file()?, &device);
        prop_assert!(again.peers.is_empty() && again.private_key.is_keep());
        prop_assert!(again.listen_port.is_none() && again.fwmark.is_none());
    }
}

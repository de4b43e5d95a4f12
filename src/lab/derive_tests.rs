//! Twins of inventories that are built in code.

use super::*;
use crate::inventory::{
    HostSettings, InterfaceSettings, LinkShape, Network, PeerSettings, Presence, RolloutPolicy,
    Setting, Site, Underlay, UnmanagedPeer,
};
use crate::model::{Located, Location, Mtu, SourceMap, SshTarget};

fn at<T>(value: T) -> Located<T> {
    let mut sources = SourceMap::default();
    Located::new(value, Location::start_of(sources.add("fleet.yaml".into(), String::new())))
}

fn on(on: bool) -> Setting<bool> {
    on.then(|| Declared::from(at(true))).into()
}

fn nets(list: &[&str]) -> Vec<Located<IpNet>> {
    list.iter().map(|net| at(net.parse().unwrap())).collect()
}

fn site(name: &str, subnets: &[&str], mtu: Option<u32>) -> Site {
    let mtu = mtu.map(|mtu| at(Mtu::new(mtu).unwrap()).into());
    Site {
        name: at(name.parse().unwrap()),
        subnets: nets(subnets),
        underlay: Underlay { mtu, name: None },
    }
}

fn host(name: &str, site: usize, endpoint: Option<&str>) -> Host {
    let here = at(()).at;
    Host {
        name: at(name.parse().unwrap()),
        site: Some(site),
        groups: Vec::new(),
        ssh: at(format!("{name}.example.com").parse::<SshTarget>().unwrap()),
        presence: Presence::default(),
        settings: HostSettings {
            nat: on(endpoint.is_none()),
            gateway: on(true),
            ..HostSettings::default()
        },
        subnets: Vec::new(),
        interfaces: vec![HostInterface {
            network: 0,
            at: here,
            settings: InterfaceSettings {
                endpoint: endpoint.map(|text| at(text.parse().unwrap()).into()),
                ..InterfaceSettings::default()
            },
            full_tunnel_via: None,
            peers: Vec::new(),
        }],
    }
}

fn three_sites() -> Inventory {
    Inventory {
        fleet: at("acme".parse().unwrap()),
        networks: vec![Network {
            name: at("backbone".parse().unwrap()),
            interface: at("wg0".parse().unwrap()),
            prefixes: nets(&["10.10.0.0/24"]),
            links: vec![LinkShape::Mesh { members: None, at: at(()).at }],
            psk: Setting::default(),
            mtu: None,
        }],
        sites: vec![
            site("paris", &["192.168.1.0/24", "fd01::/64"], Some(1492)),
            site("oslo", &["192.168.2.0/24"], None),
            site("branch", &["192.168.7.0/24"], None),
        ],
        hosts: vec![
            host("paris-gw", 0, Some("paris.example.com:51820")),
            host("oslo-gw", 1, Some("203.0.113.5:51820")),
            host("branch-gw", 2, None),
        ],
        peers: Vec::new(),
        expects: Vec::new(),
        moved: Vec::new(),
        rollout: RolloutPolicy::default(),
        absent: Vec::new(),
        now: None,
        sources: SourceMap::default(),
    }
}

fn phone(endpoint: Option<&str>) -> UnmanagedPeer {
    UnmanagedPeer {
        name: at("phone".parse().unwrap()),
        network: 0,
        via: vec![at("paris-gw".parse().unwrap())],
        presence: Presence::default(),
        settings: PeerSettings {
            endpoint: endpoint.map(|text| at(text.parse().unwrap()).into()),
            full_tunnel: on(true),
            ..PeerSettings::default()
        },
    }
}

#[test]
fn three_sites_have_routers_lans_and_names() {
    let spec = Spec::from_inventory(&three_sites()).unwrap();
    insta::assert_json_snapshot!(spec);
}

#[test]
fn a_phone_is_behind_a_nat_of_its_own_and_has_no_sshd() {
    let mut inventory = three_sites();
    inventory.peers.push(phone(None));
    let spec = Spec::from_inventory(&inventory).unwrap();
    let phone = &spec.hosts[3];
    assert_eq!(phone.ssh, None);
    assert!(phone.uplink.nat);
    assert_eq!(spec.routers[phone.uplink.router].name, "router-roaming");
}

#[test]
fn a_declared_endpoint_behind_nat_is_a_port_forward() {
    let mut inventory = three_sites();
    inventory.hosts[2] = host("branch-gw", 2, Some("198.51.100.7:4500"));
    inventory.hosts[2].settings.nat = on(true);
    let spec = Spec::from_inventory(&inventory).unwrap();
    let router = &spec.routers[3];
    assert_eq!(router.gateways[0], "198.51.100.7".parse::<IpAddr>().unwrap());
    let forward = &router.forwards[0];
    assert_eq!(forward.from, router.gateways[0]);
    assert_eq!(Some(forward.to), spec.hosts[2].uplink.source(Family::V4));
    insta::assert_snapshot!(super::super::nat::rules(&spec, 3).unwrap());
}

#[test]
fn hosts_that_cannot_be_told_apart_are_refused() {
    let mut inventory = three_sites();
    inventory.hosts[0] = host("paris-gw", 0, Some("203.0.113.5:51821"));
    let error = Spec::from_inventory(&inventory).unwrap_err();
    assert!(matches!(error, SpecError::SharedAddress { .. }), "{error}");
    let mut inventory = three_sites();
    inventory.hosts[0].ssh = at("ops@oslo-gw.example.com:2222".parse().unwrap());
    let error = Spec::from_inventory(&inventory).unwrap_err();
    assert!(matches!(error, SpecError::SharedSsh { .. }), "{error}");
}

#[test]
fn a_fleet_that_uses_the_management_prefix_gets_another() {
    let mut inventory = three_sites();
    inventory.networks[0].prefixes = nets(&["100.64.0.0/10"]);
    let spec = Spec::from_inventory(&inventory).unwrap();
    assert_eq!(spec.management, "198.19.0.0/16".parse().unwrap());
}

#[test]
fn two_gateways_of_a_site_share_its_lan() {
    let mut inventory = three_sites();
    let mut second = host("paris-gw2", 0, Some("203.0.113.9:51820"));
    second.interfaces[0].settings.local_endpoint =
        Some(at("192.168.1.1:51820".parse().unwrap()).into());
    inventory.hosts.push(second);
    let spec = Spec::from_inventory(&inventory).unwrap();
    let addr = |host: usize| spec.hosts[host].lans[0].1.to_string();
    assert_eq!((addr(3), addr(0)), ("192.168.1.1/24".into(), "192.168.1.2/24".into()));
}

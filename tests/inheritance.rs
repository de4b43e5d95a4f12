//! What a host inherits, from whom, and what each of its interfaces ends up with.

use std::path::PathBuf;

use wgfleet::inventory::keys::{Inheritance, KeySpec, SECTIONS, Section, Shape};
use wgfleet::inventory::{self, Host, Inventory, Level, Selector};
use wgfleet::report::findings;

fn read(text: &str) -> Inventory {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let shown = findings::human(&parsed.findings, &parsed.sources, false);
    parsed.inventory.unwrap_or_else(|| panic!("{shown}"))
}

fn host<'i>(inventory: &'i Inventory, name: &str) -> &'i Host {
    inventory.hosts.iter().find(|host| host.name.value.as_str() == name).expect("the host")
}

const LEVELS: &str = "
fleet: f
defaults: { mtu: 1300, keepalive: 10, become: sudo, post_up: from-defaults, dns: [10.0.0.1] }
networks:
  n: { prefixes: [10.0.0.0/24], mtu: 1310, table: off }
groups:
  one: { mtu: 1320, nat: true, post_up: from-one, keepalive: 11 }
  two: { mtu: 1330, post_up: from-two }
sites:
  s:
    defaults: { mtu: 1340, become: doas, post_up: from-site }
    hosts:
      a: { groups: [one, two], mtu: 1350, post_up: [from-a, from-a-too], nat: false, dns: [] }
      b: { groups: [one, two] }
hosts:
  c: { groups: [one, two] }
  d: { groups: [two, one] }
  e: { keepalive: off }
";

#[test]
fn the_nearest_level_wins_and_hooks_add_up() {
    let fleet = read(LEVELS);
    let mtu =
        |name| host(&fleet, name).interfaces[0].settings.mtu.as_ref().map(|mtu| mtu.value.get());
    assert_eq!(["a", "b", "c", "d", "e"].map(mtu), [1350, 1340, 1330, 1320, 1310].map(Some));
    let up = |name| -> Vec<String> {
        let settings = &host(&fleet, name).interfaces[0].settings;
        settings.post_up.iter().map(|hook| hook.value.to_string()).collect()
    };
    assert_eq!(
        up("a"),
        ["from-defaults", "from-one", "from-two", "from-site", "from-a", "from-a-too"]
    );
    assert_eq!(up("d"), ["from-defaults", "from-two", "from-one"]);
    let nat = |name| host(&fleet, name).settings.nat.get();
    assert_eq!(["a", "b", "e"].map(nat), [false, true, false]);
    let dns = |name| {
        host(&fleet, name).interfaces[0].settings.dns.as_ref().map_or(0, |dns| dns.value.len())
    };
    assert_eq!(["a", "b"].map(dns), [0, 1]);
    let keepalive =
        |name| host(&fleet, name).interfaces[0].settings.keepalive.clone().map(|k| k.value);
    assert_eq!(keepalive("b").flatten().map(wgfleet::model::Keepalive::get), Some(11));
    assert_eq!(keepalive("e"), Some(None));
    assert_eq!(host(&fleet, "b").settings.r#become.get(), wgfleet::model::Become::Doas);
    assert_eq!(
        host(&fleet, "c").interfaces[0].settings.table.get(),
        wgfleet::model::RouteTable::Off
    );
}

#[test]
fn a_host_with_several_interfaces_has_each_setting_where_it_belongs() {
    let fleet = read(
        "
fleet: f
networks:
  prod: { prefixes: [10.1.0.0/24], listen_port: 51820, links: { hub: gate } }
  test: { prefixes: [10.2.0.0/24, 'fd02::/64'], links: { hub: gate } }
hosts:
  gate:
    address: [10.1.0.9, 'fd02::9']
    mtu: 1400
    networks:
      test: { endpoint: 'gate.example.com:4000', mtu: 1380, interface: wg-t }
      prod: {}
  exit: { networks: test, nat: true, listen_port: 7 }
  roamer: { networks: [prod, test], full_tunnel: exit }
peers:
  phone: { network: prod, via: gate }
",
    );
    let gate = host(&fleet, "gate");
    let [prod, test] = &gate.interfaces[..] else { panic!("two interfaces") };
    assert_eq!((prod.network, test.network), (0, 1));
    assert_eq!(prod.addresses()[0].value.to_string(), "10.1.0.9");
    assert_eq!(test.addresses()[0].value.to_string(), "fd02::9");
    assert_eq!(prod.settings.mtu.as_ref().map(|mtu| mtu.value.get()), Some(1400));
    assert_eq!(test.settings.mtu.as_ref().map(|mtu| mtu.value.get()), Some(1380));
    // The network's port is for members that say nothing; an endpoint says something.
    assert_eq!(prod.settings.listen_port.as_ref().map(|port| port.value.get()), Some(51820));
    assert!(test.settings.listen_port.is_none());
    assert_eq!(fleet.networks[0].interface.value.as_str(), "prod");
    let roamer = host(&fleet, "roamer");
    assert!(roamer.interfaces[0].full_tunnel_via.is_none());
    assert!(roamer.interfaces[1].full_tunnel_via.is_some());
}

#[test]
fn selectors_stand_for_the_hosts_of_their_kind() {
    let fleet = read(LEVELS);
    let index = fleet.index();
    let names = |selector: &Selector| -> Vec<&str> {
        index.select(selector).iter().map(|at| fleet.hosts[*at].name.value.as_str()).collect()
    };
    assert_eq!(names(&Selector::Site("s".parse().expect("a name"))), ["a", "b"]);
    assert_eq!(names(&Selector::Group("two".parse().expect("a name"))), ["a", "b", "c", "d"]);
    assert_eq!(names(&Selector::Host("e".parse().expect("a name"))), ["e"]);
    let network = Selector::Network("n".parse().expect("a name"));
    assert_eq!(names(&network), ["a", "b", "c", "d", "e"]);
    assert_eq!(fleet.select(&network).len(), 5);
    assert!(names(&Selector::Internet).is_empty());
}

/// A file that writes a key at some of the levels that a host has it from, the lowest first: each on
/// a line that ends with the level.
fn written(key: &KeySpec, value: &str, levels: &[&str]) -> String {
    let at = |level: &str| {
        if levels.contains(&level) {
            format!("{}: {value} # {level}", key.name)
        } else {
            String::new()
        }
    };
    let membership = if levels.contains(&"membership") {
        format!("networks:\n          n:\n            {}", at("membership"))
    } else {
        String::new()
    };
    format!(
        "
fleet: f
defaults:
  {}
networks:
  n:
    prefixes: [10.0.0.0/24]
    {}
groups:
  first:
    {}
  last:
    {}
sites:
  s:
    subnets: 192.168.1.0/24
    defaults:
      {}
    hosts:
      b: {{}}
      a:
        groups: [first, last]
        {}
        {membership}
",
        at("defaults"),
        at("network"),
        at("first"),
        at("last"),
        at("site"),
        at("host"),
    )
}

/// A value of a shape, for host `a` beside host `b` in network `n`.
fn value(shape: &Shape) -> String {
    match shape {
        Shape::Name => "b".to_owned(),
        Shape::InterfaceName => "wg7".to_owned(),
        Shape::Address => "10.0.0.9".to_owned(),
        Shape::Endpoint => "vpn.example.com:51820".to_owned(),
        Shape::Hook => "touch /run/x".to_owned(),
        Shape::Dns => "10.0.0.53".to_owned(),
        Shape::Bool => "true".to_owned(),
        Shape::Int(low, _) | Shape::IntOr(low, ..) => low.to_string(),
        Shape::Choice(words) => words[0].to_owned(),
        Shape::OrFalse(shape) | Shape::OneOrMany(shape) => value(shape),
        Shape::NamesOr(_) => "n".to_owned(),
        Shape::Prefix
        | Shape::Ssh
        | Shape::Until
        | Shape::Part
        | Shape::Window
        | Shape::PublicKey
        | Shape::Path
        | Shape::Selector
        | Shape::Section(_)
        | Shape::Named(_)
        | Shape::Links
        | Shape::Renames
        | Shape::Expect => panic!("no key of this shape is inherited: {shape:?}"),
    }
}

/// The levels from the lowest on, the sections that have their keys, and what a host says of them.
const ORDER: [(&str, &str, Level); 7] = [
    ("defaults", "defaults", Level::Fleet),
    ("network", "network", Level::Network),
    ("first", "group", Level::Group(0)),
    ("last", "group", Level::Group(1)),
    ("site", "defaults", Level::Site),
    ("host", "host", Level::Own),
    ("membership", "membership", Level::Own),
];

fn section(id: &str) -> &'static Section {
    SECTIONS.iter().find(|section| section.id == id).expect("a section")
}

#[test]
fn each_key_is_inherited_as_its_row_says_at_every_level() {
    let mut tried = 0;
    for key in section("host").all().filter(|key| key.inheritance != Inheritance::Own) {
        let has = |id: &str| {
            let mut keys = section(id).all();
            keys.any(|other| other.name == key.name && other.inheritance == key.inheritance)
        };
        let order: Vec<_> = ORDER.into_iter().filter(|(_, id, _)| has(id)).collect();
        assert!(order.len() > 1, "{} has one level", key.name);
        for top in 0..=order.len() {
            let levels: Vec<&str> = order[..top].iter().map(|(level, ..)| *level).collect();
            let text = written(key, &value(&key.shape), &levels);
            let fleet = read(&text);
            let host = host(&fleet, "a");
            let lines: Vec<&str> = text.lines().collect();
            let label = |line: u32| {
                let line = lines[usize::try_from(line).expect("a line") - 1];
                line.split_once("# ").map_or("nowhere", |(_, level)| level)
            };
            let interface = &host.interfaces[0];
            let mut found: Vec<(&str, Level)> = host
                .places()
                .into_iter()
                .chain(interface.places())
                .filter(|(row, _)| row.name == key.name)
                .map(|(_, place)| (label(place.at.line), place.level))
                .collect();
            if key.inheritance == Inheritance::Merged {
                // Memberships are resolved: an interface knows where its own is written.
                found = vec![(label(interface.at.line), Level::Own)];
            }
            let wanted: Vec<(&str, Level)> = match (key.inheritance, &order[..top]) {
                (Inheritance::Added, all) => all.iter().map(|(name, _, at)| (*name, *at)).collect(),
                (Inheritance::Replaced, [.., (name, _, at)]) => vec![(*name, *at)],
                (Inheritance::Merged, [.., (name, ..)]) => vec![(*name, Level::Own)],
                (Inheritance::Merged, []) => vec![("nowhere", Level::Own)],
                (Inheritance::Replaced, []) => Vec::new(),
                (Inheritance::Own, _) => unreachable!("{} is not inherited", key.name),
            };
            assert_eq!(found, wanted, "{}: {text}", key.name);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried} cases");
}

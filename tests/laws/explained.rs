//! `wgfleet explain`: it tells what is rendered, no more and no less, and its places are the right ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;
use wgfleet::desired;
use wgfleet::inventory::{Inventory, LockFile, allocate, parse};
use wgfleet::model::{FwMark, HIDDEN, HostName, NetworkName};
use wgfleet::report::settings::{Explanation, Reason, Setting, explain};
use wgfleet::topology::{self, NodeId, Topology};

use crate::vault::{Vault, render};

const VAULT: Vault = Vault { generation: 0, epoch: 1 };

/// What decides which settings are written where: a stream of numbers.
struct Dice<'d>(std::iter::Cycle<std::slice::Iter<'d, u8>>);

impl Dice<'_> {
    fn below(&mut self, number: u8) -> u8 {
        self.0.next().map_or(0, |one| one % number)
    }
}

/// The settings that one level writes, each on a line of its own.
fn settings(dice: &mut Dice<'_>, level: usize, indent: &str, network: bool) -> String {
    let mut text = String::new();
    let mut say = |dice: &mut Dice<'_>, key: &str, value: String| {
        if dice.below(4) == 0 {
            let _ = writeln!(text, "{indent}{key}: {value}");
        }
    };
    say(dice, "mtu", format!("{}", 1300 + level));
    say(dice, "keepalive", if level == 2 { "off".to_owned() } else { format!("{}", 10 + level) });
    say(dice, "table", if level == 3 { "off".to_owned() } else { format!("{}", 100 + level) });
    say(dice, "fwmark", if level == 1 { "off".to_owned() } else { format!("{}", 16 + level) });
    say(dice, "dns", format!("[10.9.0.{level}, l{level}.example.com]"));
    say(dice, "listen_port", format!("{}", 51000 + level));
    if network {
        return text;
    }
    for key in ["pre_up", "post_up", "pre_down", "post_down"] {
        say(dice, key, format!("[logger {key}-{level}, \"true\"]"));
    }
    say(dice, "become", ["auto", "none", "sudo", "doas"][level % 4].to_owned());
    say(dice, "backend", ["kernel", "embedded", "auto"][level % 3].to_owned());
    for key in ["nat", "transit", "exit", "masquerade", "gateway"] {
        let on = dice.below(2) == 0;
        say(dice, key, on.to_string());
    }
    say(dice, "full_tunnel", if level == 1 { "false".to_owned() } else { "h0".to_owned() });
    text
}

/// A fleet in which every level says something.
fn yaml(bytes: &[u8]) -> String {
    let dice = &mut Dice(bytes.iter().cycle());
    let links = ["mesh", "{ hub: h0 }", "[[h0, h1], [h1, h2]]"][usize::from(dice.below(3))];
    let psk = ["none", "pairwise"][usize::from(dice.below(2))];
    let mut text = String::from("fleet: laws\ndefaults:\n");
    text += &settings(dice, 0, "  ", false);
    text += "groups:\n  one:\n";
    text += &settings(dice, 1, "    ", false);
    text += "  two:\n";
    text += &settings(dice, 2, "    ", false);
    text += "networks:\n  n:\n    prefixes: [10.9.0.0/24, \"fd09::/64\"]\n";
    let _ = writeln!(text, "    links: {links}\n    psk: {psk}");
    text += &settings(dice, 3, "    ", true);
    text += "sites:\n  s:\n    subnets: [192.168.1.0/24]\n";
    if dice.below(2) == 0 {
        text += "    underlay:\n      mtu: 1492\n";
    }
    text += "    defaults:\n";
    text += &settings(dice, 4, "      ", false);
    text += "hosts:\n";
    for host in 0..4_usize {
        let _ = writeln!(text, "  h{host}:");
        if dice.below(2) == 0 {
            text += "    site: s\n";
        }
        text += ["", "    groups: [one]\n", "    groups: [two, one]\n"][usize::from(dice.below(3))];
        if dice.below(2) == 0 {
            let _ = writeln!(text, "    endpoint: \"192.0.2.{host}:51820\"");
        }
        if dice.below(3) == 0 {
            let _ = writeln!(text, "    local_endpoint: 192.168.1.{host}:51820");
        }
        if dice.below(2) == 0 {
            let _ = writeln!(text, "    address: [10.9.0.{}]", host + 10);
        }
        let more = if dice.below(2) == 0 {
            format!(", \"fd99:{}::/48\"", host + 1)
        } else {
            String::new()
        };
        let _ = writeln!(text, "    subnets: [172.16.{host}.0/24{more}]");
        if dice.below(4) == 0 {
            let _ = writeln!(text, "    ssh: root@h{host}.example.com");
        }
        text += &settings(dice, 5 + host, "    ", false);
        if dice.below(3) == 0 {
            let other = (host + 1) % 4;
            let _ = writeln!(text, "    peers:\n      h{other}:");
            let _ =
                writeln!(text, "        allowed_ips: [10.9.0.{}/32, 172.20.0.0/16]", other + 10);
            if dice.below(2) == 0 {
                text += "        keepalive: 7\n";
            }
            if dice.below(2) == 0 {
                text += "        endpoint: \"other.example.com:7\"\n";
            }
        }
    }
    let _ = writeln!(text, "peers:\n  p0:\n    via: [h0]\n    full_tunnel: {}", dice.below(2) == 0);
    if dice.below(2) == 0 {
        text += "    keepalive: 22\n    mtu: 1290\n    dns: 10.9.0.1\n";
    }
    text
}

struct Fleet {
    text: String,
    inventory: Inventory,
    topology: Topology,
}

fn fleet(bytes: &[u8]) -> Fleet {
    let text = yaml(bytes);
    let parsed = parse("fleet.yaml".into(), text.clone());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings));
    let (lock, _) = allocate(&inventory, &LockFile::default());
    let addresses = |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
    let topology = topology::build(&inventory, &addresses);
    Fleet { text, inventory, topology }
}

impl Fleet {
    fn explained(&self, node: NodeId) -> Explanation {
        let keys = |name: &HostName| Some(VAULT.private(name).public());
        explain(&self.inventory, &self.topology, &keys, node, None)
    }
}

/// The key of wg-quick(8) that a setting becomes.
fn conf_key(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "private_key" => "PrivateKey",
        "address" => "Address",
        "listen_port" => "ListenPort",
        "fwmark" => "FwMark",
        "mtu" => "MTU",
        "dns" => "DNS",
        "table" => "Table",
        "pre_up" => "PreUp",
        "post_up" => "PostUp",
        "pre_down" => "PreDown",
        "post_down" => "PostDown",
        "preshared_key" => "PresharedKey",
        "allowed_ips" => "AllowedIPs",
        "endpoint" => "Endpoint",
        "keepalive" => "PersistentKeepalive",
        _ => return None,
    })
}

/// What a file has: each section by its public key, the interface's own by nothing.
type Conf = BTreeMap<String, Vec<(String, String)>>;

fn rendered(text: &str) -> Conf {
    let mut conf = Conf::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.split_once(" = ") {
            Some(("PublicKey", key)) => {
                key.clone_into(&mut section);
                conf.entry(section.clone()).or_default();
            }
            Some((key, value)) => {
                let parts = if matches!(key, "DNS" | "AllowedIPs") { ", " } else { "\n" };
                for value in value.split(parts) {
                    let entry = (key.to_owned(), value.to_owned());
                    conf.entry(section.clone()).or_default().push(entry);
                }
            }
            None => section.clear(),
        }
    }
    for entries in conf.values_mut() {
        entries.sort();
    }
    conf
}

fn told<'s>(settings: impl Iterator<Item = &'s Setting>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for setting in settings {
        let Some(key) = conf_key(setting.setting) else { continue };
        let value = match &setting.value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) if key == "FwMark" => {
                FwMark(u32::try_from(number.as_u64().expect("a mark")).expect("a mark")).to_string()
            }
            other => other.to_string(),
        };
        if (key, value.as_str()) != ("Table", "auto") {
            all.push((key.to_owned(), value));
        }
    }
    all.sort();
    all
}

/// Words of which the line of a place has at least one.
fn words(explanation: &Explanation, setting: &Setting, peer: Option<&HostName>) -> Vec<String> {
    let named = setting.of.clone().unwrap_or_else(|| explanation.host.to_string());
    let own = match setting.setting {
        "preshared_key" => "psk",
        "subnet" => "subnets",
        "forward_ipv4" | "forward_ipv6" => "transit",
        name => name,
    };
    let key = match setting.because {
        // Nothing is masqueraded where the file says so, at an exit too.
        Reason::Written if own == "masquerade" && setting.value == Value::Null => {
            return vec!["masquerade: false".to_owned()];
        }
        // An exit forwards and masquerades, and says neither.
        Reason::Written if setting.setting.starts_with("forward") || own == "masquerade" => {
            return vec![format!("{own}: true"), "exit: true".to_owned()];
        }
        Reason::Written | Reason::Override => own,
        Reason::PeerEndpoint | Reason::Endpoint => "endpoint",
        Reason::PeerLocalEndpoint | Reason::LocalEndpoint => "local_endpoint",
        Reason::Underlay => "mtu",
        Reason::Nat => "nat",
        Reason::Address => return vec!["address: ".to_owned(), format!("  {named}:")],
        Reason::Subnet | Reason::Routes => "subnets",
        Reason::Network => "prefixes",
        Reason::FullTunnel => return vec!["full_tunnel: ".to_owned(), "via: ".to_owned()],
        Reason::Hub => "links",
        Reason::Link => {
            let full = ["links: ", "full_tunnel: ", "via: "].map(str::to_owned);
            return full.to_vec();
        }
        Reason::OwnKey => "public_key",
        Reason::NetworkName
        | Reason::Pinned
        | Reason::Ethernet
        | Reason::Unknown
        | Reason::NoEndpoint
        | Reason::Derived
        | Reason::Vault
        | Reason::Seen
        | Reason::Default => panic!("{peer:?} {setting:?} has no place"),
    };
    vec![format!(" {key}: ")]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_explained_and_nothing_else(
        bytes in proptest::collection::vec(any::<u8>(), 97..=97),
    ) {
        let fleet = fleet(&bytes);
        let (state, _) = desired::build(&fleet.inventory, &fleet.topology, &VAULT);
        for host in state.hosts.iter().chain(&state.issued) {
            let node = fleet.topology.find(&host.name).expect("a node");
            let explanation = fleet.explained(node);
            let files = render(&state, host, &VAULT).files;
            prop_assert_eq!(files.len(), explanation.interfaces.len());
            for interface in &explanation.interfaces {
                let conf = rendered(&files[&interface.interface].public_text);
                let mut want = Conf::from([(String::new(), told(interface.settings.iter()))]);
                for peer in &interface.peers {
                    let key = peer.settings.iter().find(|one| one.setting == "public_key");
                    let key = key.and_then(|key| key.value.as_str()).expect("a key").to_owned();
                    want.insert(key, told(peer.settings.iter()));
                }
                prop_assert_eq!(&conf, &want, "{}\n{}", host.name, fleet.text);
            }
            let forwards = |name: &str| {
                let found = explanation.settings.iter().find(|one| one.setting == name);
                found.map_or(Value::Bool(false), |one| one.value.clone())
            };
            prop_assert_eq!(forwards("forward_ipv4"), Value::Bool(host.forwarding.v4));
            prop_assert_eq!(forwards("forward_ipv6"), Value::Bool(host.forwarding.v6));
        }
    }

    #[test]
    fn each_place_is_a_line_that_says_it(
        bytes in proptest::collection::vec(any::<u8>(), 97..=97),
    ) {
        let fleet = fleet(&bytes);
        let lines: Vec<&str> = fleet.text.lines().collect();
        let mut seen = 0;
        for node in (0..).map(NodeId).take(fleet.topology.nodes.len()) {
            let explanation = fleet.explained(node);
            let own = explanation.settings.iter().map(|one| (None, one));
            let interfaces = explanation.interfaces.iter().flat_map(|interface| {
                let own = interface.settings.iter().map(|one| (None, one));
                own.chain(interface.peers.iter().flat_map(|peer| {
                    peer.settings.iter().map(move |one| (Some(&peer.peer), one))
                }))
            });
            for (peer, setting) in own.chain(interfaces) {
                let Some(at) = &setting.at else { continue };
                let line = lines[at.line as usize - 1];
                let words = words(&explanation, setting, peer);
                prop_assert!(
                    words.iter().any(|word| line.contains(word.as_str())),
                    "{} {peer:?} {setting:?}\n{line}\n{}",
                    explanation.host,
                    fleet.text
                );
                // What is written has the very value there.
                let text = match &setting.value {
                    Value::String(text) if text != HIDDEN => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                if setting.because == Reason::Written && !setting.setting.starts_with("masq") {
                    let bare = text.split('/').next().unwrap_or_default();
                    prop_assert!(line.contains(bare), "{setting:?}\n{line}");
                }
                seen += 1;
            }
        }
        prop_assert!(seen > 10, "{seen}");
    }
}

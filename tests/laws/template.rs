//! Rendered files: what a template of the operator's may do, and what it may not.

use std::fmt::Write as _;

use wgfleet::desired::{DEFAULT_TEMPLATE, DesiredState, RenderError, Renderer};
use wgfleet::inventory::{LockFile, allocate, parse};
use wgfleet::model::{HostName, NetworkName};
use wgfleet::wgconf::{Document, Writer};
use wgfleet::{desired, topology};

use crate::vault::{Vault, leaks, secrets};

const VAULT: Vault = Vault { generation: 0, epoch: 2 };

/// A host with every parameter that wg-quick(8) knows.
const FULL: &str = r#"
fleet: acme
networks:
  backbone: { prefixes: [10.10.0.0/24, "fd10:10::/64"], links: mesh, psk: pairwise }
hosts:
  gate:
    subnets: [192.168.1.0/24]
    networks:
      backbone:
        address: [10.10.0.1, "fd10:10::1"]
        endpoint: "[2001:db8::1]:51820"
        mtu: 1380
        table: 77
        fwmark: 0x20
        dns: [10.10.0.53, acme.example.com]
        keepalive: 20
        pre_up: "echo a'; reboot .conf"
        post_up: ["iptables -A FORWARD -i %i -j ACCEPT", "true"]
        pre_down: "true"
        post_down: "false"
    peers:
      branch: { allowed_ips: [10.10.0.2/32, 172.16.0.0/12], endpoint: "branch.example.com:51999", keepalive: 7 }
  branch: { address: [10.10.0.2, "fd10:10::2"], nat: true }
peers:
  partner: { via: gate, address: 10.10.0.3, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
"#;

fn state(text: &str) -> DesiredState {
    let parsed = parse("fleet.yaml".into(), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    let (lock, _) = allocate(&inventory, &LockFile::default());
    let addresses = |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
    let topology = topology::build(&inventory, &addresses);
    desired::build(&inventory, &topology, &VAULT).0
}

/// Renders the first interface of the first host.
fn render(
    text: &str,
    template: &str,
) -> Result<desired::RenderedFile, RenderError<std::convert::Infallible>> {
    let state = state(text);
    let renderer = Renderer::new(state.fleet.clone(), template.to_owned()).expect("a template");
    renderer.render(&state.hosts[0], &state.hosts[0].interfaces[0], &VAULT)
}

#[test]
fn the_file_of_a_host_with_everything() {
    let file = render(FULL, DEFAULT_TEMPLATE).expect("it renders");
    insta::assert_snapshot!("wg0.conf", file.public_text);
    let state = state(FULL);
    assert!(!leaks(&file.public_text, &secrets(&state, &VAULT)));
    let hidden = file.public_text.matches("(hidden)").count();
    assert_eq!(hidden, 2, "the private key and one preshared key");
    let (public, whole) = (file.public_text.lines(), file.content.lines());
    for (public, whole) in public.zip(whole) {
        let start = public.trim_end_matches("(hidden)");
        assert!(whole.starts_with(start) && (public == whole || whole.len() == start.len() + 44));
    }
}

/// A template is text, for operators to change. What it is by default writes each line as everything
/// else does that writes such files.
#[test]
fn the_default_template_writes_settings_as_the_writer_does() {
    let file = render(FULL, DEFAULT_TEMPLATE).expect("it renders");
    let mut settings = 0;
    for section in Document::of(file.public_text.as_bytes()).sections {
        for line in section.lines {
            let mut writer = Writer::with_room(1000);
            if let Some(heading) = line.heading() {
                writer.heading(heading);
            } else if let Some((setting, value)) = line.setting() {
                assert_eq!(section.heading, Some(setting.heading()), "{}", line.text());
                writer.set(setting, value);
                settings += 1;
            } else {
                assert!(line.is_empty() || line.is_comment(), "{}", line.text());
                continue;
            }
            assert_eq!(writer.finish().as_bytes(), line.raw, "{}", line.text());
        }
    }
    assert!(settings > 20, "{settings} settings");
}

#[test]
fn a_template_that_does_something_else_with_a_secret_is_refused() {
    let private = "PrivateKey = {{ private_key }}";
    let psk = "PresharedKey = {{ peer.preshared_key }}";
    for (from, to) in [
        (private, ""),
        (private, "PrivateKey = {{ private_key }}\nPrivateKey = {{ private_key }}"),
        (private, "# was {{ private_key }}"),
        (private, "PostUp = echo {{ private_key }}"),
        (private, "PrivateKey = x{{ private_key }}"),
        (private, "PrivateKey = {{ private_key }} # mine"),
        (private, "PrivateKey = {{ private_key | upper }}"),
        (private, "PrivateKey = {{ private_key | trim | reverse }}"),
        (private, "PresharedKey = {{ private_key }}"),
        (psk, ""),
        (psk, "PresharedKey = {{ peer.preshared_key }}\nPresharedKey = {{ peer.preshared_key }}"),
        (psk, "PrivateKey = {{ peer.preshared_key }}"),
        (psk, "# {{ peer.preshared_key }}"),
        (psk, "PresharedKey = {{ peers[0].preshared_key }}{{ peer.preshared_key }}"),
    ] {
        let template = DEFAULT_TEMPLATE.replace(from, to);
        assert_ne!(template, DEFAULT_TEMPLATE);
        let error = render(FULL, &template).expect_err(to);
        assert!(matches!(error, RenderError::Markers { .. }), "{to}: {error:?}");
    }
    for fine in ["privatekey={{ private_key }}", "\tPRIVATEKEY  =  {{ private_key }}"] {
        render(FULL, &DEFAULT_TEMPLATE.replace(private, fine)).expect(fine);
    }
}

#[test]
fn line_ends_are_settled_and_control_characters_refused() {
    let windows = DEFAULT_TEMPLATE.replace('\n', "\r\n");
    let (one, two) = (render(FULL, DEFAULT_TEMPLATE), render(FULL, windows.trim_end()));
    let (one, two) = (one.expect("it renders"), two.expect("it renders"));
    assert_eq!(one.public_text, two.public_text);
    assert_eq!(one.fingerprint, two.fingerprint);
    let odd = DEFAULT_TEMPLATE.replace("[Interface]", "[Interface]\u{b}");
    let error = render(FULL, &odd).expect_err("a vertical tab");
    assert!(matches!(error, RenderError::Control { found: '\u{b}', .. }), "{error:?}");
}

#[test]
fn an_error_of_a_template_has_no_secret() {
    let all = secrets(&state(FULL), &VAULT);
    for bad in ["{{ private_key + 1 }}", "{{ missing.field }}", "{{ private_key.a.b }}"] {
        let error = render(FULL, &DEFAULT_TEMPLATE.replace("[Interface]", bad)).expect_err(bad);
        let text = format!("{error:?} {error}");
        assert!(!leaks(&text, &all), "{text}");
    }
}

/// A template of a stranger's does not run for ever, nor fill the memory, nor the stack.
#[test]
fn a_template_that_does_not_end_is_refused() {
    let grow = |what: &str| {
        format!(
            "{{% set ns = namespace(a='xx') %}}{{% for i in range(99) %}}{{% set ns.a = {what} %}}{{% endfor %}}"
        )
    };
    let macros = |body: &str| format!("{{% macro f(n) %}}{body}{{% endmacro %}}{{{{ f(99) }}}}");
    let templates = [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}".to_owned(),
        macros("{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"),
        macros("{{ f(n + 1) }}"),
        "{% for a in [[]] recursive %}{{ loop([[]]) }}{% endfor %}".to_owned(),
        grow("ns.a ~ ns.a"),
        grow("ns.a + ns.a"),
        grow("ns.a * 2"),
        grow("ns.a | replace('x', 'xx')"),
        grow("ns.a | replace('', ns.a)"),
        grow("[ns.a, ns.a] | join"),
        grow("[ns.a, ns.a] | string"),
        grow("ns.a | indent(ns.a | length, true)"),
        "{{ 'x' * 4000000000 }}".to_owned(),
        "{{ 'x' * 90000000 }}".to_owned(),
        "{{ ([1] * 90000000) | length }}{{ ([1] * 90000000) | list | length }}".to_owned(),
        "{{ (range(99999) | list | string) * 999 }}".to_owned(),
        "{{ '%999999999d' | format(1) }}".to_owned(),
        "{{ '%*d' | format(999999999, 1) }}".to_owned(),
        "{{ '%.999999999f' | format(1.5) }}".to_owned(),
        "{{ 'x' | indent(4000000000, true) }}".to_owned(),
        "{{ [1] | batch(4000000000, 'x') }}".to_owned(),
        "{{ [1] | slice(4000000000, 'x') }}".to_owned(),
        "{% for a in range(100000) %}{{ range(100000) | list | sort | unique | length }}{% endfor %}".to_owned(),
        "{% for a in range(100000) %}{% set _ = range(100000) | sum %}{% endfor %}".to_owned(),
        "{% for a in range(100000) %}{% if -1 in range(100000) %}{% endif %}{% endfor %}".to_owned(),
        format!("{{% for a in range(99999) %}}# {}\n{{% endfor %}}", "x".repeat(200)),
        // Nothing is read from anywhere either.
        "{% include '/proc/self/environ' %}".to_owned(),
        "{% include 'wg0.conf.j2' %}".to_owned(),
        "{% extends '/etc/passwd' %}".to_owned(),
        "{% import '/etc/passwd' as x %}".to_owned(),
    ];
    let mut fine = Vec::new();
    for template in &templates {
        let whole = format!("{DEFAULT_TEMPLATE}{template}");
        let last = whole.lines().count();
        // Many end at once, at their first line, as syntax that there is not.
        let error = if let Err(error) = Renderer::new("acme".parse().unwrap(), whole.clone()) {
            error.to_string()
        } else if let Err(error) = render(FULL, &whole).map(drop) {
            words(&error)
        } else {
            fine.push(template);
            continue;
        };
        assert!(error.contains("wg0.conf.j2"), "{template}: {error}");
        let line = error
            .split(&[':', ' ', ')'][..])
            .any(|word| word.parse().is_ok_and(|line: usize| line + 1 >= last && line <= last + 1));
        assert!(line, "{template}: {error}");
    }
    assert!(fine.is_empty(), "these end: {fine:#?}");
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 1 << 20, "{peak} KiB");
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn an_error_of_a_limit_says_it_and_names_the_line() {
    let long = |times| {
        let text = "x".repeat(200);
        format!("{DEFAULT_TEMPLATE}\n{{% for i in range({times}) %}}# {text}\n{{% endfor %}}")
    };
    let line = DEFAULT_TEMPLATE.lines().count() + 2;
    let error = render(FULL, &long(9000)).map(drop).unwrap_err();
    let expected = "the template wg0.conf.j2 writes more than 1051136 bytes";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(matches!(error, RenderError::TooLong { line: Some(at), .. } if at == line), "{error}");
    let endless = DEFAULT_TEMPLATE.to_owned()
        + "\n{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let error = render(FULL, &endless).map(drop).unwrap_err();
    assert!(error.to_string().contains("takes more than 1000"), "{error}");
    assert!(matches!(error, RenderError::Endless { line: Some(at), .. } if at == line), "{error}");
    // What one file may cost, ten thousand may not.
    let fine = long(1000);
    let state = state(FULL);
    let of = |files| {
        let renderer = Renderer::new(state.fleet.clone(), fine.clone()).unwrap().for_files(files);
        renderer.render(&state.hosts[0], &state.hosts[0].interfaces[0], &VAULT).map(drop)
    };
    of(1).unwrap();
    of(100).unwrap();
    let error = of(10_000).unwrap_err();
    assert!(matches!(error, RenderError::TooLong { .. }), "{error}");
}

/// The hub of two thousand spokes, each with eight prefixes, in a fleet of ten thousand is no template that does not end.
#[test]
fn a_large_fleet_is_within_the_budget() {
    let mut text = "fleet: acme\nnetworks:\n  n: { prefixes: [10.0.0.0/16, 'fd10::/64'], links: { hub: h }, psk: pairwise }\n\
                    hosts:\n  h: { endpoint: 'h.example.com:51820' }\n"
        .to_owned();
    for spoke in 0..2000_u32 {
        let lan = |net: u32| format!("'fd{:02x}:{:x}:{net:x}::/48'", spoke / 256 + 32, spoke % 256);
        let lans: Vec<String> = (0..8).map(lan).collect();
        let lans = lans.join(", ");
        let _ = writeln!(text, "  s{spoke}: {{ nat: true, gateway: true, subnets: [{lans}] }}");
    }
    let state = state(&text);
    let template = DEFAULT_TEMPLATE.to_owned();
    let renderer = Renderer::new(state.fleet.clone(), template).unwrap().for_files(10_001);
    let hub = &state.hosts[0];
    let file = renderer.render(hub, &hub.interfaces[0], &VAULT).unwrap();
    assert_eq!(file.public_text.matches("[Peer]").count(), 2000);
    assert_eq!(file.public_text.matches("::/48").count(), 16_000);
}

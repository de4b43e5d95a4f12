//! Rendered files: what a template of the operator's may do, and what it may not.

use wgfleet::desired::{DEFAULT_TEMPLATE, DesiredState, RenderError, Renderer};
use wgfleet::inventory::{Lock, allocate, parse};
use wgfleet::model::{HostName, NetworkName};
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
    let (lock, _) = allocate(&inventory, &Lock::default());
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

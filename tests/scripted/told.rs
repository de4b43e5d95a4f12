//! What a host tells of itself, in the words of `observe`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;
use wgfleet::model::{Fingerprint, FingerprintKey};
use wgfleet::observed::{ObservedHost, PROTOCOL};
use wgfleet::sys::sha256;
use zeroize::Zeroizing;

use super::state::{Interface, State};

/// Handshakes in seconds since the epoch, by interface and public key of the peer.
pub(crate) type Handshakes = BTreeMap<(String, String), u64>;

/// Everything that a host tells but its clock, an armed change and its records.
pub(crate) fn told(machine: &str, state: &State, shaken: &Handshakes) -> String {
    let mut out = String::from(
        "machine x86_64\nkernel 6.12.0\nsystemd no\nkernel-wireguard yes\ntun yes\ntool ip\n\
         tool nft\ntool wg\ntool wg-quick\n",
    );
    let _ = writeln!(out, "machine-id {}", sha256(format!("id {machine}").as_bytes()));
    let _ = writeln!(out, "host-key {}", sha256(format!("key {machine}").as_bytes()));
    let on = |name: &str| state.sysctls.get(name).is_some_and(|value| value == "1");
    let _ = writeln!(out, "forward4 {}", u8::from(on("net/ipv4/ip_forward")));
    let _ = writeln!(out, "forward6 {}", u8::from(on("net/ipv6/conf/all/forwarding")));
    let files = state.files.iter().filter(|(path, _)| !path.starts_with("/var/lib/wgfleet/"));
    for (path, (mode, content)) in files {
        let digest = sha256(content.as_bytes());
        let _ = writeln!(out, "file {mode} yes {digest} {path}");
        for line in content.lines() {
            let secret = ["PrivateKey = ", "PresharedKey = "];
            let secret = secret.into_iter().find(|name| line.starts_with(name));
            let _ = match secret {
                Some(name) => writeln!(out, "| {name}(hidden)"),
                None => writeln!(out, "| {line}"),
            };
        }
    }
    for (name, own) in &state.interfaces {
        let conf = state.files.get(&format!("/etc/wireguard/{name}.conf"));
        let psks = conf.map(|(_, text)| preshared(text)).unwrap_or_default();
        tell_interface(&mut out, name, own, &psks, shaken);
    }
    out
}

fn tell_interface(
    out: &mut String,
    name: &str,
    own: &Interface,
    psks: &BTreeMap<&str, &str>,
    shaken: &Handshakes,
) {
    let up = if own.up { "yes" } else { "no" };
    let _ = writeln!(out, "interface {name} kernel {up} {}", own.mtu);
    for address in &own.addresses {
        let _ = writeln!(out, "address {name} {address}");
    }
    let nets = own.addresses.iter().filter_map(|address| address.parse::<IpNet>().ok());
    for net in nets.map(|net| net.trunc()).collect::<BTreeSet<_>>() {
        let _ = writeln!(out, "connected {name} {net}");
    }
    for (table, prefix) in &own.routes {
        let family = if prefix.contains(':') { 6 } else { 4 };
        let _ = writeln!(out, "route {name} {family} {table} {prefix}");
    }
    let key = own.public.as_deref().unwrap_or("(none)");
    let _ = writeln!(out, "device {name} {key} {} {}", own.port, own.fwmark);
    for (key, peer) in &own.peers {
        let psk = match (&peer.psk, psks.get(key.as_str())) {
            (None, _) => "none",
            (Some(live), Some(file)) if live == file => "as-file",
            (Some(_), _) => "other",
        };
        let endpoint = peer.endpoint.as_deref().unwrap_or("(none)");
        let nets: Vec<&str> = peer.allowed.iter().map(String::as_str).collect();
        let nets = if nets.is_empty() { "(none)".to_owned() } else { nets.join(",") };
        let handshake = shaken.get(&(name.to_owned(), key.clone())).copied().unwrap_or_default();
        let keepalive = peer.keepalive.map_or_else(|| "off".to_owned(), |some| some.to_string());
        let _ = writeln!(
            out,
            "peer\t{name}\t{key}\t{psk}\t{endpoint}\t{nets}\t{handshake}\t0\t0\t{keepalive}"
        );
    }
}

/// The preshared keys of a file, by public key.
fn preshared(text: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    let mut key = "";
    for line in text.lines() {
        if let Some(public) = line.strip_prefix("PublicKey = ") {
            key = public;
        } else if let Some(psk) = line.strip_prefix("PresharedKey = ") {
            found.insert(key, psk);
        }
    }
    found
}

/// The digest of what is told; `question`: what `observe` reads, the key first.
pub(crate) fn digest(told: &str, question: &str) -> Fingerprint {
    let key: Fingerprint = question.lines().next().and_then(|key| key.parse().ok()).expect("a key");
    let key = FingerprintKey::from_bytes(Zeroizing::new(key.to_bytes()));
    let answer = format!("observe {PROTOCOL}\n{told}end\n");
    ObservedHost::read(&answer, &key).expect("an answer").digest.expect("a digest")
}

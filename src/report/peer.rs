//! An unmanaged peer, for people.

use std::fmt::Write as _;

use super::document::{Device, KeyHolder};
use crate::model::HostName;

/// What it means that a peer sends no keepalive.
const OFF: &str = "off: nobody reaches it until it sends something itself";

/// What a peer is to have; no secret is in it.
#[must_use]
pub fn human(name: &HostName, device: &Device) -> String {
    let joined = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let mut text = format!("{name}: a peer of network {}\n", device.network);
    let mut row = |what: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    row("address", joined(&mut device.addresses.iter().map(ToString::to_string)));
    row("public key", device.public_key.to_string());
    row(
        "private key",
        match device.private_key {
            KeyHolder::Vault => "in the vault".to_owned(),
            KeyHolder::Peer => "only the peer has it".to_owned(),
        },
    );
    if !device.dns.is_empty() {
        row("DNS", device.dns.join(", "));
    }
    row("MTU", device.mtu.to_string());
    for via in &device.via {
        let endpoint = via.endpoint.as_ref().map_or("no endpoint".to_owned(), ToString::to_string);
        row("linked to", format!("{} ({endpoint})", via.name));
        row("  sends it", joined(&mut via.allowed_ips.iter().map(ToString::to_string)));
        let keepalive = via.keepalive.map_or(OFF.to_owned(), |every| format!("{every} s"));
        row("  keepalive", keepalive);
    }
    text
}

//! Writing the protocol: snapshots on the server's side, changes on the client's.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::DROPPED;
use crate::tunnel::{AllowedIpChange, DeviceChange, DeviceSnapshot, Drops, PeerSnapshot, Setting};

/// Text of the protocol. It holds keys, so it is zeroed on drop, and it is as large as it gets
/// from the start, so that no copy is left behind by growing.
struct Text(Zeroizing<String>);

impl Text {
    fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(String::with_capacity(bytes)))
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{key}={value}");
    }

    fn key(&mut self, key: &str, bytes: &[u8; 32]) {
        self.0.push_str(key);
        self.0.push('=');
        for byte in bytes {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            self.0.push(digit(byte >> 4));
            self.0.push(digit(byte & 15));
        }
        self.0.push('\n');
    }

    /// Lines of our own, and only where there is something to tell: `wg` and other clients pass
    /// over keys that they do not know.
    fn drops(&mut self, drops: &Drops) {
        for (cause, count) in drops.counted() {
            let _ = writeln!(self.0, "{DROPPED}{}={count}", cause.name());
        }
    }

    fn setting<T>(&mut self, key: &str, setting: &Setting<T>, expose: impl Fn(&T) -> &[u8; 32]) {
        match setting {
            Setting::Keep => {}
            Setting::Clear => self.key(key, &[0; 32]),
            Setting::To(value) => self.key(key, expose(value)),
        }
    }
}

/// More than the longest of these lines has.
const LINE: usize = 96;
/// Lines of a peer that are not prefixes.
const PEER_LINES: usize = 10;

/// The answer to `get=1`, without its errno and the final empty line.
#[must_use]
pub fn render_snapshot(device: &DeviceSnapshot) -> Zeroizing<String> {
    let of_peer =
        |peer: &PeerSnapshot| peer.allowed_ips.len() + peer.drops.counted().count() + PEER_LINES;
    let lines = device.peers.iter().map(of_peer).sum::<usize>() + device.drops.counted().count();
    let mut text = Text::with_capacity((lines + 4) * LINE);
    if let Some(key) = &device.private_key {
        text.key("private_key", key.expose());
    }
    if device.listen_port != 0 {
        text.line("listen_port", device.listen_port);
    }
    if device.fwmark != 0 {
        text.line("fwmark", device.fwmark);
    }
    text.drops(&device.drops);
    for peer in &device.peers {
        text.key("public_key", peer.public_key.as_bytes());
        text.key("preshared_key", peer.preshared_key.as_ref().map_or(&[0; 32], |key| key.expose()));
        text.line("protocol_version", 1);
        if let Some(endpoint) = peer.endpoint {
            text.line("endpoint", endpoint);
        }
        text.line("last_handshake_time_sec", peer.last_handshake.as_secs());
        text.line("last_handshake_time_nsec", peer.last_handshake.subsec_nanos());
        text.line("tx_bytes", peer.tx_bytes);
        text.line("rx_bytes", peer.rx_bytes);
        text.line("persistent_keepalive_interval", peer.keepalive);
        for net in &peer.allowed_ips {
            text.line("allowed_ip", net);
        }
        text.drops(&peer.drops);
    }
    text.0
}

/// A `set=1` request with its final empty line.
#[must_use]
pub fn render_change(change: &DeviceChange) -> Zeroizing<String> {
    let lines = change.peers.iter().map(|peer| peer.allowed_ips.len() + PEER_LINES).sum::<usize>();
    let mut text = Text::with_capacity((lines + 6) * LINE);
    text.line("set", 1);
    text.setting("private_key", &change.private_key, |key| key.expose());
    if let Some(port) = change.listen_port {
        text.line("listen_port", port);
    }
    if let Some(mark) = change.fwmark {
        text.line("fwmark", mark);
    }
    if change.replace_peers {
        text.line("replace_peers", true);
    }
    for peer in &change.peers {
        text.key("public_key", peer.public_key.as_bytes());
        if peer.remove {
            text.line("remove", true);
            continue;
        }
        if peer.update_only {
            text.line("update_only", true);
        }
        text.setting("preshared_key", &peer.preshared_key, |key| key.expose());
        if let Some(endpoint) = peer.endpoint {
            text.line("endpoint", endpoint);
        }
        if let Some(seconds) = peer.keepalive {
            text.line("persistent_keepalive_interval", seconds);
        }
        if peer.replace_allowed_ips {
            text.line("replace_allowed_ips", true);
        }
        for step in &peer.allowed_ips {
            match step {
                AllowedIpChange::Add(net) => text.line("allowed_ip", net),
                AllowedIpChange::Remove(net) => text.line("allowed_ip", format_args!("-{net}")),
            }
        }
    }
    text.0.push('\n');
    text.0
}

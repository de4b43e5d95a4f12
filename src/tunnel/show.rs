//! What wg(8) prints: fields, dumps and configuration files to the byte, the rest closely.

use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{DeviceSnapshot, PeerSnapshot};
use crate::model::{PresharedKey, PrivateKey};
use crate::wgconf::{Heading, Setting, Writer};

/// A column of `wg show INTERFACE FIELD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `public-key`
    PublicKey,
    /// `private-key`
    PrivateKey,
    /// `listen-port`
    ListenPort,
    /// `fwmark`
    FwMark,
    /// `peers`
    Peers,
    /// `preshared-keys`
    PresharedKeys,
    /// `endpoints`
    Endpoints,
    /// `allowed-ips`
    AllowedIps,
    /// `latest-handshakes`
    LatestHandshakes,
    /// `transfer`
    Transfer,
    /// `persistent-keepalive`
    PersistentKeepalive,
    /// `dump`
    Dump,
    /// `dropped`, which wg(8) does not have: what was dropped by the interface and for each peer,
    /// by cause.
    Dropped,
}

impl std::str::FromStr for Field {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "public-key" => Self::PublicKey,
            "private-key" => Self::PrivateKey,
            "listen-port" => Self::ListenPort,
            "fwmark" => Self::FwMark,
            "peers" => Self::Peers,
            "preshared-keys" => Self::PresharedKeys,
            "endpoints" => Self::Endpoints,
            "allowed-ips" => Self::AllowedIps,
            "latest-handshakes" => Self::LatestHandshakes,
            "transfer" => Self::Transfer,
            "persistent-keepalive" => Self::PersistentKeepalive,
            "dump" => Self::Dump,
            "dropped" => Self::Dropped,
            _ => return Err(()),
        })
    }
}

/// An address as `inet_ntop(3)` writes it.
struct Address(IpAddr);

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(v6) if v6.segments()[..6] == [0; 6] && v6.segments()[6] != 0 => {
                let bits = v6.to_bits() & u128::from(u32::MAX);
                write!(f, "::{}", Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or_default()))
            }
            address => address.fmt(f),
        }
    }
}

struct Net<'n>(&'n IpNet);

impl Display for Net<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Address(self.0.addr()), self.0.prefix_len())
    }
}

/// An endpoint as getnameinfo(3) writes it; a link-local one has the name of its interface.
struct Place(SocketAddr);

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V4(v4) => v4.fmt(f),
            SocketAddr::V6(v6) => {
                write!(f, "[{}", Address(IpAddr::V6(*v6.ip())))?;
                if v6.scope_id() != 0 {
                    match interface_name(v6.scope_id()) {
                        Some(name) => write!(f, "%{name}")?,
                        None => write!(f, "%{}", v6.scope_id())?,
                    }
                }
                write!(f, "]:{}", v6.port())
            }
        }
    }
}

fn interface_name(index: u32) -> Option<String> {
    let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM);
    let probe = rustix::net::socket(family, kind, None).ok()?;
    rustix::net::netdevice::index_to_name(&probe, index).ok()
}

/// Values with something between.
fn join<T: Display>(values: impl Iterator<Item = T>, between: &str) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push_str(between);
        }
        let _ = write!(text, "{value}");
    }
    text
}

fn or_word(value: Option<impl Display>, word: &str) -> String {
    value.map_or_else(|| word.to_owned(), |value| value.to_string())
}

fn none(value: Option<impl Display>) -> String {
    or_word(value, "(none)")
}

fn secret(value: Option<Zeroizing<String>>) -> Zeroizing<String> {
    value.unwrap_or_else(|| Zeroizing::new("(none)".to_owned()))
}

fn mark(device: &DeviceSnapshot) -> String {
    or_word((device.fwmark != 0).then(|| format!("{:#x}", device.fwmark)), "off")
}

fn keepalive(peer: &PeerSnapshot) -> String {
    or_word((peer.keepalive != 0).then_some(peer.keepalive), "off")
}

fn nets(peer: &PeerSnapshot, between: &str) -> String {
    if peer.allowed_ips.is_empty() {
        return "(none)".to_owned();
    }
    join(peer.allowed_ips.iter().map(Net), between)
}

/// `wg show INTERFACE FIELD`; with the interface's name before each line for `wg show all FIELD`.
#[must_use]
pub fn show_field(device: &DeviceSnapshot, field: Field, name: Option<&str>) -> Zeroizing<String> {
    let prefixes: usize = device.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    let capacity = (device.peers.len() + 1) * 320 + prefixes * 48;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    let mut line = |columns: &[&str]| {
        if let Some(name) = name {
            text.push_str(name);
            text.push('\t');
        }
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                text.push('\t');
            }
            text.push_str(column);
        }
        text.push('\n');
    };
    let private = || secret(device.private_key.as_ref().map(PrivateKey::expose_base64));
    match field {
        Field::PublicKey => line(&[&none(device.public_key)]),
        Field::PrivateKey => line(&[&private()]),
        Field::ListenPort => line(&[&device.listen_port.to_string()]),
        Field::FwMark => line(&[&mark(device)]),
        Field::Dump => line(&[
            &private(),
            &none(device.public_key),
            &device.listen_port.to_string(),
            &mark(device),
        ]),
        Field::Dropped => {
            for (cause, count) in device.drops.counted() {
                line(&["interface", cause.name(), &count.to_string()]);
            }
        }
        _ => {}
    }
    for peer in &device.peers {
        let key = peer.public_key.to_string();
        let preshared = || secret(peer.preshared_key.as_ref().map(PresharedKey::expose_base64));
        let endpoint = || none(peer.endpoint.map(Place));
        let handshake = || peer.last_handshake.as_secs().to_string();
        let (rx, tx) = (peer.rx_bytes.to_string(), peer.tx_bytes.to_string());
        match field {
            Field::Peers => line(&[&key]),
            Field::PresharedKeys => line(&[&key, &preshared()]),
            Field::Endpoints => line(&[&key, &endpoint()]),
            Field::AllowedIps => line(&[&key, &nets(peer, " ")]),
            Field::LatestHandshakes => line(&[&key, &handshake()]),
            Field::Transfer => line(&[&key, &rx, &tx]),
            Field::PersistentKeepalive => line(&[&key, &keepalive(peer)]),
            Field::Dump => line(&[
                &key,
                &preshared(),
                &endpoint(),
                &nets(peer, ","),
                &handshake(),
                &rx,
                &tx,
                &keepalive(peer),
            ]),
            Field::Dropped => {
                for (cause, count) in peer.drops.counted() {
                    line(&[&key, cause.name(), &count.to_string()]);
                }
            }
            Field::PublicKey | Field::PrivateKey | Field::ListenPort | Field::FwMark => {}
        }
    }
    text
}

/// `wg showconf INTERFACE`.
#[must_use]
pub fn show_conf(device: &DeviceSnapshot) -> Zeroizing<String> {
    let mut conf = Writer::with_room(conf_room(device));
    conf.heading(Heading::Interface);
    write_conf(device, &mut conf);
    conf.finish()
}

/// Bytes that suffice for the configuration file of an interface.
pub(super) fn conf_room(device: &DeviceSnapshot) -> usize {
    let prefixes: usize = device.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    (device.peers.len() + 1) * 320 + prefixes * 48
}

/// Writes the configuration file of an interface from below its first heading.
pub(super) fn write_conf(device: &DeviceSnapshot, conf: &mut Writer) {
    if device.listen_port != 0 {
        conf.set(Setting::ListenPort, device.listen_port);
    }
    if device.fwmark != 0 {
        conf.set(Setting::FwMark, mark(device));
    }
    if let Some(key) = &device.private_key {
        conf.set(Setting::PrivateKey, &*key.expose_base64());
    }
    for peer in &device.peers {
        conf.blank();
        conf.heading(Heading::Peer);
        conf.set(Setting::PublicKey, peer.public_key);
        if let Some(key) = &peer.preshared_key {
            conf.set(Setting::PresharedKey, &*key.expose_base64());
        }
        if !peer.allowed_ips.is_empty() {
            conf.set(Setting::AllowedIps, nets(peer, ", "));
        }
        if let Some(endpoint) = peer.endpoint {
            conf.set(Setting::Endpoint, Place(endpoint));
        }
        if peer.keepalive != 0 {
            conf.set(Setting::PersistentKeepalive, peer.keepalive);
        }
    }
    if device.peers.is_empty() {
        conf.blank();
    }
}

/// The styles of `wg show`.
mod style {
    use anstyle::{AnsiColor, Effects, Style};

    pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);
    pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();
    pub(super) const GREEN: Style = AnsiColor::Green.on_default();
    pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
}

fn paint(style: anstyle::Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `wg show INTERFACE` for people, with colours; secrets only where `reveal` says so.
#[must_use]
pub fn show_human(
    name: &str,
    device: &DeviceSnapshot,
    now: Duration,
    reveal: bool,
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    let heading = |what: &str, style: anstyle::Style, value: &dyn Display| {
        let bold = style.effects(anstyle::Effects::BOLD);
        format!("{}: {}\n", paint(bold, what), paint(style, value))
    };
    let entry =
        |key: &str, value: &dyn Display| format!("  {}: {value}\n", paint(style::BOLD, key));
    let hidden = |key: Zeroizing<String>| {
        if reveal { key } else { Zeroizing::new("(hidden)".to_owned()) }
    };
    text.push_str(&heading("interface", style::GREEN, &name));
    if let Some(key) = device.public_key {
        text.push_str(&entry("public key", &key));
    }
    if let Some(key) = &device.private_key {
        text.push_str(&entry("private key", &*hidden(key.expose_base64())));
    }
    if device.listen_port != 0 {
        text.push_str(&entry("listening port", &device.listen_port));
    }
    if device.fwmark != 0 {
        text.push_str(&entry("fwmark", &mark(device)));
    }
    let mut peers: Vec<&PeerSnapshot> = device.peers.iter().collect();
    peers.sort_by_key(|peer| std::cmp::Reverse(peer.last_handshake));
    for peer in peers {
        text.push('\n');
        text.push_str(&heading("peer", style::YELLOW, &peer.public_key));
        if let Some(key) = &peer.preshared_key {
            text.push_str(&entry("preshared key", &*hidden(key.expose_base64())));
        }
        if let Some(endpoint) = peer.endpoint {
            text.push_str(&entry("endpoint", &Place(endpoint)));
        }
        text.push_str(&entry("allowed ips", &nets(peer, ", ")));
        if !peer.last_handshake.is_zero() {
            text.push_str(&entry("latest handshake", &ago(peer.last_handshake, now)));
        }
        if peer.rx_bytes != 0 || peer.tx_bytes != 0 {
            let transfer =
                format!("{} received, {} sent", amount(peer.rx_bytes), amount(peer.tx_bytes));
            text.push_str(&entry("transfer", &transfer));
        }
        if peer.keepalive != 0 {
            let every = format!("every {}", span(u64::from(peer.keepalive)));
            text.push_str(&entry("persistent keepalive", &every));
        }
    }
    text
}

fn ago(time: Duration, now: Duration) -> String {
    match now.as_secs().checked_sub(time.as_secs()) {
        Some(0) => "Now".to_owned(),
        Some(seconds) => format!("{} ago", span(seconds)),
        None => "(System clock wound backward; connection problems may ensue.)".to_owned(),
    }
}

/// `1 hour, 2 minutes, 3 seconds`
fn span(seconds: u64) -> String {
    let units = [
        ("year", seconds / 31_536_000),
        ("day", seconds % 31_536_000 / 86_400),
        ("hour", seconds % 86_400 / 3600),
        ("minute", seconds % 3600 / 60),
        ("second", seconds % 60),
    ];
    let parts = units.into_iter().filter(|(_, count)| *count > 0).map(|(unit, count)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {}", paint(style::CYAN, format_args!("{unit}{plural}")))
    });
    join(parts, ", ")
}

/// `1.50 KiB`
fn amount(bytes: u64) -> String {
    let unit = |unit: &str| paint(style::CYAN, unit);
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} {}", unit("B"));
    }
    let power = (bytes.ilog2() / 10).min(4);
    // Hundredths, without a detour through floating point.
    let half = 1_u128 << (10 * power - 1);
    let hundredths = (u128::from(bytes) * 100 + half) >> (10 * power);
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, unit(units[power as usize - 1]))
}

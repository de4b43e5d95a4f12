//! Reading the protocol: requests on the server's side, snapshots on the client's.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::DROPPED;
use crate::model::{PresharedKey, PrivateKey, PublicKey};
use crate::tunnel::{
    AllowedIpChange, Cause, DeviceChange, DeviceSnapshot, PeerChange, PeerSnapshot, Setting,
};

/// No line of the protocol is longer; a key is 64 digits.
pub(super) const LONGEST_LINE: usize = 512;
/// As many lines as 100,000 peers with a few prefixes each need.
const MOST_LINES: usize = 4_000_000;

/// What a client asks for.
#[derive(Debug)]
pub enum Request {
    /// The interface as it is.
    Get,
    /// A change of it.
    Set(DeviceChange),
}

/// Why a line was refused. Its text is never repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// Why.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is not `key=value`.
    #[error("not of the form key=value")]
    Form,
    /// The first line is neither `get=1` nor `set=1`.
    #[error("neither get=1 nor set=1")]
    Operation,
    /// The key is unknown, or does not belong there.
    #[error("a key that does not belong here")]
    Key,
    /// The value cannot be what the key needs.
    #[error("a value that the key does not take")]
    Value,
    /// The request is larger than any interface.
    #[error("more than a request may hold")]
    Budget,
}

/// 32 bytes in hexadecimal.
fn hex_key(text: &str) -> Result<Zeroizing<[u8; 32]>, Reason> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(Reason::Value);
    }
    let mut key = Zeroizing::new([0; 32]);
    let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(Reason::Value);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        *byte = u8::try_from(value).map_err(|_| Reason::Value)?;
    }
    Ok(key)
}

fn is_zero(key: &[u8; 32]) -> bool {
    key.iter().fold(0, |all, byte| all | byte) == 0
}

fn setting<T>(key: Zeroizing<[u8; 32]>, make: impl FnOnce(Zeroizing<[u8; 32]>) -> T) -> Setting<T> {
    if is_zero(&key) { Setting::Clear } else { Setting::To(make(key)) }
}

/// Digits only: no sign, no blank.
fn number<T: std::str::FromStr>(text: &str) -> Result<T, Reason> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().map_err(|_| Reason::Value) } else { Err(Reason::Value) }
}

/// A literal address with a port; an IPv6 zone, as `wg` writes one for a link-local endpoint, is
/// an index or the name of an interface.
fn endpoint(text: &str) -> Result<SocketAddr, Reason> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) =
        text.strip_prefix('[').and_then(|rest| rest.split_once("]:")).ok_or(Reason::Value)?;
    let (address, zone) = host.split_once('%').ok_or(Reason::Value)?;
    let address = address.parse().map_err(|_| Reason::Value)?;
    let scope = match number(zone) {
        Ok(index) => index,
        Err(_) => scope_of(zone).ok_or(Reason::Value)?,
    };
    Ok(std::net::SocketAddrV6::new(address, number(port)?, 0, scope).into())
}

fn scope_of(interface: &str) -> Option<u32> {
    // Of the family that a zone is for, and one that a running tunnel may open.
    let (family, kind) = (rustix::net::AddressFamily::INET6, rustix::net::SocketType::DGRAM);
    let probe = rustix::net::socket(family, kind, None).ok()?;
    rustix::net::netdevice::name_to_index(&probe, interface).ok()
}

fn truth(text: &str) -> Result<bool, Reason> {
    if text == "true" { Ok(true) } else { Err(Reason::Value) }
}

fn split(line: &str) -> Result<(&str, &str), Reason> {
    line.split_once('=').ok_or(Reason::Form)
}

/// Reads requests line by line. After an error the rest of that request is skipped.
#[derive(Debug, Default)]
pub struct RequestParser {
    line: usize,
    request: Option<Request>,
    error: Option<ParseError>,
}

impl RequestParser {
    /// Takes a line without its end. The empty line that ends a request gives it, or the first
    /// error in it; the next line starts another.
    pub fn line(&mut self, line: &str) -> Option<Result<Request, ParseError>> {
        if line.is_empty() {
            let done = std::mem::take(self);
            return match (done.error, done.request) {
                (Some(error), _) => Some(Err(error)),
                (None, Some(request)) => Some(Ok(request)),
                // A blank line between requests.
                (None, None) => None,
            };
        }
        self.line += 1;
        if self.error.is_none()
            && let Err(reason) = self.take(line)
        {
            self.error = Some(ParseError { line: self.line, reason });
            self.request = None;
        }
        None
    }

    /// Takes a line that is not text, or longer than any.
    pub fn refuse(&mut self) {
        self.line += 1;
        let error = ParseError { line: self.line, reason: Reason::Form };
        self.error.get_or_insert(error);
        self.request = None;
    }

    fn take(&mut self, line: &str) -> Result<(), Reason> {
        if line.len() > LONGEST_LINE || self.line > MOST_LINES {
            return Err(Reason::Budget);
        }
        match &mut self.request {
            None => {
                self.request = Some(match line {
                    "get=1" => Request::Get,
                    "set=1" => Request::Set(DeviceChange::default()),
                    _ => return Err(Reason::Operation),
                });
                Ok(())
            }
            Some(Request::Get) => Err(Reason::Key),
            Some(Request::Set(change)) => {
                let (key, value) = split(line)?;
                if key == "public_key" {
                    change.peers.push(PeerChange::new(PublicKey::from_bytes(*hex_key(value)?)));
                    return Ok(());
                }
                match change.peers.last_mut() {
                    Some(peer) => peer_line(peer, key, value),
                    None => device_line(change, key, value),
                }
            }
        }
    }
}

fn device_line(change: &mut DeviceChange, key: &str, value: &str) -> Result<(), Reason> {
    match key {
        "private_key" => {
            change.private_key = setting(hex_key(value)?, PrivateKey::from_random);
        }
        "listen_port" => change.listen_port = Some(number(value)?),
        "fwmark" => change.fwmark = Some(number(value)?),
        "replace_peers" => change.replace_peers = truth(value)?,
        _ => return Err(Reason::Key),
    }
    Ok(())
}

fn peer_line(peer: &mut PeerChange, key: &str, value: &str) -> Result<(), Reason> {
    match key {
        "remove" => peer.remove = truth(value)?,
        "update_only" => peer.update_only = truth(value)?,
        "preshared_key" => {
            peer.preshared_key = setting(hex_key(value)?, PresharedKey::from_bytes);
        }
        "endpoint" => peer.endpoint = Some(endpoint(value)?),
        "persistent_keepalive_interval" => peer.keepalive = Some(number(value)?),
        "replace_allowed_ips" => {
            peer.replace_allowed_ips = truth(value)?;
            peer.allowed_ips.clear();
        }
        "allowed_ip" => {
            let net = |text: &str| text.parse::<IpNet>().map_err(|_| Reason::Value);
            peer.allowed_ips.push(match value.strip_prefix('-') {
                Some(rest) => AllowedIpChange::Remove(net(rest)?),
                None => AllowedIpChange::Add(net(value.strip_prefix('+').unwrap_or(value))?),
            });
        }
        "protocol_version" if value == "1" => {}
        "protocol_version" => return Err(Reason::Value),
        _ => return Err(Reason::Key),
    }
    Ok(())
}

/// Reads the answer to `get=1`, or to `set=1`, line by line.
#[derive(Debug, Default)]
pub struct SnapshotParser {
    line: usize,
    device: DeviceSnapshot,
    errno: Option<i32>,
}

impl SnapshotParser {
    /// Takes a line without its end. The empty line gives the snapshot and the errno.
    ///
    /// # Errors
    /// [`ParseError`] at the first line that is not of the protocol, or where errno is missing.
    pub fn line(&mut self, line: &str) -> Result<Option<(DeviceSnapshot, i32)>, ParseError> {
        self.line += 1;
        let line_number = self.line;
        let at = |reason| ParseError { line: line_number, reason };
        if line.is_empty() {
            let errno = self.errno.ok_or(at(Reason::Form))?;
            return Ok(Some((std::mem::take(&mut self.device), errno)));
        }
        if self.line > MOST_LINES {
            return Err(at(Reason::Budget));
        }
        self.take(line).map(|()| None).map_err(at)
    }

    fn take(&mut self, line: &str) -> Result<(), Reason> {
        let (key, value) = split(line)?;
        match (key, self.device.peers.last_mut()) {
            ("errno", _) => self.errno = Some(value.parse().map_err(|_| Reason::Value)?),
            ("public_key", _) => {
                let key = PublicKey::from_bytes(*hex_key(value)?);
                self.device.peers.push(PeerSnapshot::new(key));
            }
            ("private_key", None) => {
                let key = hex_key(value)?;
                if !is_zero(&key) {
                    let key = PrivateKey::from_random(key);
                    self.device.public_key = Some(key.public());
                    self.device.private_key = Some(key);
                }
            }
            ("listen_port", None) => self.device.listen_port = number(value)?,
            ("fwmark", None) => self.device.fwmark = number(value)?,
            ("preshared_key", Some(peer)) => {
                let key = hex_key(value)?;
                peer.preshared_key = (!is_zero(&key)).then(|| PresharedKey::from_bytes(key));
            }
            ("endpoint", Some(peer)) => peer.endpoint = Some(endpoint(value)?),
            ("last_handshake_time_sec", Some(peer)) => {
                let nanos = peer.last_handshake.subsec_nanos();
                peer.last_handshake = Duration::new(number(value)?, nanos);
            }
            ("last_handshake_time_nsec", Some(peer)) => {
                let nanos = number(value)?;
                if nanos >= 1_000_000_000 {
                    return Err(Reason::Value);
                }
                peer.last_handshake = Duration::new(peer.last_handshake.as_secs(), nanos);
            }
            ("rx_bytes", Some(peer)) => peer.rx_bytes = number(value)?,
            ("tx_bytes", Some(peer)) => peer.tx_bytes = number(value)?,
            ("persistent_keepalive_interval", Some(peer)) => peer.keepalive = number(value)?,
            ("allowed_ip", Some(peer)) => {
                peer.allowed_ips.push(value.parse().map_err(|_| Reason::Value)?);
            }
            (key, peer) => {
                // Others may say more, and a newer tunnel may know more causes.
                if let Some(cause) = key.strip_prefix(DROPPED).and_then(Cause::named) {
                    let drops = peer.map_or(&mut self.device.drops, |peer| &mut peer.drops);
                    drops.set(cause, number(value)?);
                }
            }
        }
        Ok(())
    }
}

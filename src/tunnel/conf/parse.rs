//! Reading a configuration file.

use std::net::IpAddr;

use super::word::{allowed_ips, digits, fwmark, keepalive, preshared_key};
use super::{Conf, Dialect, InterfaceConf, PeerConf, QuickConf};
use crate::model::{
    AddressError, Endpoint, KeyError, Mtu, NameError, PrivateKey, SettingError, parse_net,
};

/// A line of thousands of prefixes is this long.
const LONGEST_LINE: usize = 1 << 20;
/// More peers than an interface holds (the kernel's limit is 2^20).
const MOST_PEERS: usize = 1 << 20;

/// What is wrong with a file, and where. Neither repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ConfError {
    /// Which line, from 1.
    pub line: usize,
    /// Which byte of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: ConfReason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfReason {
    /// Bytes that are no text, outside of comments.
    #[error("not UTF-8")]
    Text,
    /// More than any configuration has.
    #[error("more than a configuration may hold")]
    Budget,
    /// Neither a section nor a setting.
    #[error("expected [Interface], [Peer] or key = value")]
    Form,
    /// A key before any section.
    #[error("a setting before [Interface] or [Peer]")]
    NoSection,
    /// A key that the section does not have.
    #[error("{section} has no setting {key:?}")]
    Unknown {
        /// The section.
        section: &'static str,
        /// The key, as far as it is a word.
        key: String,
    },
    /// A key that is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A prefix or an endpoint that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A number or word outside of what the key takes.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A DNS search domain that is none.
    #[error(transparent)]
    Domain(#[from] NameError),
    /// A number outside of what the key takes.
    #[error("{key} is a number from 0 to {most}, or off")]
    Number {
        /// The key.
        key: &'static str,
        /// The largest value.
        most: u32,
    },
    /// Neither true nor false.
    #[error("SaveConfig is true or false")]
    Truth,
    /// A peer that is nobody.
    #[error("this [Peer] has no PublicKey")]
    NoPublicKey,
}

/// The section that a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Interface,
    Peer,
}

/// The settings that only wg-quick knows.
const QUICK_KEYS: [&str; 9] =
    ["Address", "DNS", "MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"];

/// A `[Peer]` section that is being read.
struct OpenPeer {
    line: usize,
    key_seen: bool,
    peer: PeerConf,
}

impl Conf {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfError`], the first.
    pub fn parse(text: &[u8], dialect: Dialect) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        let mut section = Section::None;
        let mut open: Option<OpenPeer> = None;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let number = number + 1;
            let at = |column: usize, reason| ConfError { line: number, column, reason };
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            if line.len() > LONGEST_LINE {
                return Err(at(1, ConfReason::Budget));
            }
            let line = std::str::from_utf8(line)
                .map_err(|error| at(error.valid_up_to() + 1, ConfReason::Text))?;
            let start = line.len() - line.trim_start().len();
            let body = line.trim();
            if body.is_empty() {
                continue;
            }
            if body.eq_ignore_ascii_case("[interface]") {
                section = Section::Interface;
                continue;
            }
            if body.eq_ignore_ascii_case("[peer]") {
                conf.close(open.take())?;
                if conf.peers.len() >= MOST_PEERS {
                    return Err(at(start + 1, ConfReason::Budget));
                }
                let nobody = crate::model::PublicKey::from_bytes([0; 32]);
                open =
                    Some(OpenPeer { line: number, key_seen: false, peer: PeerConf::new(nobody) });
                section = Section::Peer;
                continue;
            }
            let Some((key, value)) = body.split_once('=') else {
                return Err(at(start + 1, ConfReason::Form));
            };
            let (key, value) = (key.trim(), value.trim());
            let value_at = start + body.len() - value.len() + 1;
            let outcome = match (section, &mut open) {
                (Section::Interface, _) => interface_line(&mut conf.interface, key, value, dialect),
                (Section::Peer, Some(open)) => peer_line(open, key, value),
                _ => Err(ConfReason::NoSection),
            };
            outcome.map_err(|reason| {
                let of_key = matches!(reason, ConfReason::NoSection | ConfReason::Unknown { .. });
                at(if of_key { start + 1 } else { value_at }, reason)
            })?;
        }
        conf.close(open)?;
        Ok(conf)
    }

    fn close(&mut self, open: Option<OpenPeer>) -> Result<(), ConfError> {
        let Some(open) = open else { return Ok(()) };
        if !open.key_seen {
            return Err(ConfError { line: open.line, column: 1, reason: ConfReason::NoPublicKey });
        }
        self.peers.push(open.peer);
        Ok(())
    }
}

/// The file without what only wg-quick knows, as `wg-quick strip` prints it: comments stay.
#[must_use]
pub fn strip(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut in_interface = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let body = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if body.starts_with(b"[") {
            in_interface = body.eq_ignore_ascii_case(b"[interface]");
        }
        let key = body.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let quick = QUICK_KEYS.iter().any(|quick| key.eq_ignore_ascii_case(quick.as_bytes()));
        if !(in_interface && quick) {
            kept.extend_from_slice(line);
        }
    }
    kept
}

/// Text without any blanks: wg(8) ignores them everywhere.
fn squeeze(value: &str) -> zeroize::Zeroizing<String> {
    let mut squeezed = zeroize::Zeroizing::new(String::with_capacity(value.len()));
    squeezed.extend(value.chars().filter(|c| !c.is_ascii_whitespace()));
    squeezed
}

fn unknown(section: &'static str, key: &str) -> ConfReason {
    // A mistyped line may have a secret where the key should be.
    let word = key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ConfReason::Unknown { section, key: if word { key.to_owned() } else { String::new() } }
}

fn interface_line(
    interface: &mut InterfaceConf,
    key: &str,
    value: &str,
    dialect: Dialect,
) -> Result<(), ConfReason> {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    if is("PrivateKey") {
        interface.private_key = Some(PrivateKey::parse(&squeeze(value))?);
    } else if is("ListenPort") {
        let bad = ConfReason::Number { key: "ListenPort", most: 65535 };
        interface.listen_port = Some(digits(&squeeze(value)).ok_or(bad)?);
    } else if is("FwMark") {
        let bad = ConfReason::Number { key: "FwMark", most: u32::MAX };
        interface.fwmark = Some(fwmark(&squeeze(value)).ok_or(bad)?);
    } else if dialect == Dialect::Quick {
        return quick_line(&mut interface.quick, key, value);
    } else {
        return Err(unknown("[Interface]", key));
    }
    Ok(())
}

fn quick_line(quick: &mut QuickConf, key: &str, value: &str) -> Result<(), ConfReason> {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    let words = || value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    if is("Address") {
        for word in words() {
            quick.addresses.push(parse_net(word)?);
        }
    } else if is("DNS") {
        for word in words() {
            match word.parse::<IpAddr>() {
                Ok(server) => quick.dns.push(server),
                Err(_) => quick.dns_search.push(domain(word)?),
            }
        }
    } else if is("MTU") {
        let bad = ConfReason::Number { key: "MTU", most: 65535 };
        quick.mtu = Some(Mtu::new(digits(value).ok_or(bad)?)?);
    } else if is("Table") {
        quick.table = Some(value.parse()?);
    } else if is("PreUp") {
        quick.pre_up.push(value.parse()?);
    } else if is("PostUp") {
        quick.post_up.push(value.parse()?);
    } else if is("PreDown") {
        quick.pre_down.push(value.parse()?);
    } else if is("PostDown") {
        quick.post_down.push(value.parse()?);
    } else if is("SaveConfig") {
        quick.save_config = value.parse().map_err(|_| ConfReason::Truth)?;
    } else {
        return Err(unknown("[Interface]", key));
    }
    Ok(())
}

/// A DNS search domain goes into resolv.conf, so it is a name and nothing else.
fn domain(word: &str) -> Result<String, ConfReason> {
    let bad = word.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c)));
    match bad {
        None => Ok(word.to_owned()),
        Some(found) => Err(ConfReason::Domain(NameError::Character {
            what: "a DNS server or search domain",
            found,
            allowed: "an IP address, or a-z, 0-9, '-', '_' and '.'",
        })),
    }
}

fn peer_line(open: &mut OpenPeer, key: &str, value: &str) -> Result<(), ConfReason> {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    let value = squeeze(value);
    let peer = &mut open.peer;
    if is("PublicKey") {
        peer.public_key = value.parse()?;
        open.key_seen = true;
    } else if is("PresharedKey") {
        peer.preshared_key = preshared_key(&value)?;
    } else if is("AllowedIPs") {
        let (steps, incremental) = allowed_ips(&value)?;
        peer.allowed_ips.extend(steps);
        peer.incremental |= incremental;
    } else if is("Endpoint") {
        peer.endpoint = Some(Endpoint::parse_with_zone(&value)?);
    } else if is("PersistentKeepalive") {
        let bad = ConfReason::Number { key: "PersistentKeepalive", most: 65535 };
        peer.keepalive = Some(keepalive(&value).ok_or(bad)?);
    } else {
        return Err(unknown("[Peer]", key));
    }
    Ok(())
}

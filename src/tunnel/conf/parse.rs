//! Reading a configuration file.

use std::net::IpAddr;

use super::word::{allowed_ips, digits, fwmark, keepalive, preshared_key};
use super::{Conf, Dialect, InterfaceConf, PeerConf, QuickConf};
use crate::model::{
    AddressError, Endpoint, KeyError, Mtu, NameError, PrivateKey, PublicKey, SettingError,
    parse_net,
};
use crate::wgconf::{Content, Entry, Heading, Line, Setting, lines};

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
    #[error("expected {}, {} or key = value", Heading::Interface, Heading::Peer)]
    Form,
    /// A key before any section.
    #[error("a setting before {} or {}", Heading::Interface, Heading::Peer)]
    NoSection,
    /// A key that the section does not have.
    #[error("{section} has no setting {key:?}")]
    Unknown {
        /// The section.
        section: Heading,
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
        key: Setting,
        /// The largest value.
        most: u32,
    },
    /// Neither true nor false.
    #[error("{} is true or false", Setting::SaveConfig)]
    Truth,
    /// A peer that is nobody.
    #[error("this {} has no {}", Heading::Peer, Setting::PublicKey)]
    NoPublicKey,
}

/// The section of a peer that is being read.
struct OpenPeer {
    line: usize,
    key_seen: bool,
    peer: PeerConf,
}

impl OpenPeer {
    fn new(line: usize) -> Self {
        let nobody = PublicKey::from_bytes([0; 32]);
        Self { line, key_seen: false, peer: PeerConf::new(nobody) }
    }
}

impl Conf {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfError`], the first.
    pub fn parse(text: &[u8], dialect: Dialect) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        let mut section = None;
        // What wg-quick knows it only finds below a heading that is written as it is.
        let mut known = dialect;
        let mut open: Option<OpenPeer> = None;
        for line in lines(text) {
            let at = |column: usize, reason| ConfError { line: line.number, column, reason };
            if line.code > LONGEST_LINE {
                return Err(at(1, ConfReason::Budget));
            }
            match line.content {
                Content::Blank => {}
                Content::NotText { valid } => return Err(at(valid + 1, ConfReason::Text)),
                // As wg(8), which ignores blanks wherever they are.
                Content::Other => match Heading::of(&squeeze(&String::from_utf8_lossy(line.key())))
                {
                    None => return Err(at(line.indent + 1, ConfReason::Form)),
                    Some(heading) => {
                        (section, known) = (Some(heading), Dialect::Wg);
                        conf.open(heading, &line, &mut open)?;
                    }
                },
                Content::Heading(heading) => {
                    (section, known) = (Some(heading), dialect);
                    conf.open(heading, &line, &mut open)?;
                }
                Content::Entry(entry) => {
                    let outcome = match (section, &mut open) {
                        (Some(Heading::Interface), _) => {
                            interface_line(&mut conf.interface, entry, known)
                        }
                        (Some(Heading::Peer), Some(open)) => peer_line(open, entry),
                        _ => Err(ConfReason::NoSection),
                    };
                    outcome.map_err(|reason| {
                        let of_key =
                            matches!(reason, ConfReason::NoSection | ConfReason::Unknown { .. });
                        at(if of_key { line.indent } else { entry.value_at } + 1, reason)
                    })?;
                }
            }
        }
        conf.close(open)?;
        Ok(conf)
    }

    fn open(
        &mut self,
        heading: Heading,
        line: &Line<'_>,
        open: &mut Option<OpenPeer>,
    ) -> Result<(), ConfError> {
        if heading == Heading::Peer {
            self.close(open.take())?;
            if self.peers.len() >= MOST_PEERS {
                let (line, column) = (line.number, line.indent + 1);
                return Err(ConfError { line, column, reason: ConfReason::Budget });
            }
            *open = Some(OpenPeer::new(line.number));
        }
        Ok(())
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

/// Text without any blanks: wg(8) ignores them everywhere.
fn squeeze(value: &str) -> zeroize::Zeroizing<String> {
    let mut squeezed = zeroize::Zeroizing::new(String::with_capacity(value.len()));
    squeezed.extend(value.chars().filter(|c| !c.is_ascii_whitespace()));
    squeezed
}

/// The setting of a key. wg(8) ignores blanks within it, too; wg-quick(8) does not.
fn setting_of(entry: &Entry<'_>) -> Option<Setting> {
    let squeezed = || Setting::of(&squeeze(entry.key)).filter(|setting| !setting.is_quick());
    entry.setting.or_else(squeezed)
}

fn unknown(section: Heading, key: &str) -> ConfReason {
    // A mistyped line may have a secret where the key should be.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b' ';
    let word = key.len() <= 32 && key.bytes().all(plain);
    ConfReason::Unknown { section, key: if word { key.to_owned() } else { String::new() } }
}

/// A number that is missing or too large.
const fn number(key: Setting, most: u32) -> ConfReason {
    ConfReason::Number { key, most }
}

fn interface_line(
    interface: &mut InterfaceConf,
    entry: Entry<'_>,
    dialect: Dialect,
) -> Result<(), ConfReason> {
    let value = entry.value;
    match setting_of(&entry) {
        Some(Setting::PrivateKey) => {
            interface.private_key = Some(PrivateKey::parse(&squeeze(value))?);
        }
        Some(key @ Setting::ListenPort) => {
            let port = digits(&squeeze(value)).ok_or(number(key, 65535))?;
            interface.listen_port = Some(port);
        }
        Some(key @ Setting::FwMark) => {
            let mark = fwmark(&squeeze(value)).ok_or(number(key, u32::MAX))?;
            interface.fwmark = Some(mark);
        }
        Some(setting) if setting.is_quick() && dialect == Dialect::Quick => {
            quick_line(&mut interface.quick, setting, value)?;
        }
        _ => return Err(unknown(Heading::Interface, entry.key)),
    }
    Ok(())
}

fn quick_line(quick: &mut QuickConf, setting: Setting, value: &str) -> Result<(), ConfReason> {
    let words = || value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    match setting {
        Setting::Address => {
            for word in words() {
                quick.addresses.push(parse_net(word)?);
            }
        }
        Setting::Dns => {
            for word in words() {
                match word.parse::<IpAddr>() {
                    Ok(server) => quick.dns.push(server),
                    Err(_) => quick.dns_search.push(domain(word)?),
                }
            }
        }
        Setting::Mtu => {
            let mtu = digits(value).ok_or(number(setting, 65535))?;
            quick.mtu = Some(Mtu::new(mtu)?);
        }
        Setting::Table => quick.table = Some(value.parse()?),
        Setting::PreUp => quick.pre_up.push(value.parse()?),
        Setting::PostUp => quick.post_up.push(value.parse()?),
        Setting::PreDown => quick.pre_down.push(value.parse()?),
        Setting::PostDown => quick.post_down.push(value.parse()?),
        Setting::SaveConfig => {
            quick.save_config = value.parse().map_err(|_| ConfReason::Truth)?;
        }
        other => return Err(unknown(Heading::Interface, other.as_str())),
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

fn peer_line(open: &mut OpenPeer, entry: Entry<'_>) -> Result<(), ConfReason> {
    let value = squeeze(entry.value);
    let peer = &mut open.peer;
    match setting_of(&entry) {
        Some(Setting::PublicKey) => {
            peer.public_key = value.parse()?;
            open.key_seen = true;
        }
        Some(Setting::PresharedKey) => peer.preshared_key = preshared_key(&value)?,
        Some(Setting::AllowedIps) => {
            let (steps, incremental) = allowed_ips(&value)?;
            peer.allowed_ips.extend(steps);
            peer.incremental |= incremental;
        }
        Some(Setting::Endpoint) => peer.endpoint = Some(Endpoint::parse_with_zone(&value)?),
        Some(key @ Setting::PersistentKeepalive) => {
            peer.keepalive = Some(keepalive(&value).ok_or(number(key, 65535))?);
        }
        _ => return Err(unknown(Heading::Peer, entry.key)),
    }
    Ok(())
}

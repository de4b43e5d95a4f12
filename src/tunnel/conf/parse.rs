//! Reading a configuration file.

use ipnet::{IpNet, Ipv4Net};

use super::endpoint::endpoint;
use super::error::{ConfError, ConfReason};
use super::word::{allowed_ips, digits, fwmark, keepalive, preshared_key};
use super::{Conf, Dialect, HookLine, InterfaceConf, PeerConf, QuickConf, Table};
use crate::model::{AddressError, NameError, PrivateKey, PublicKey, parse_net};
use crate::wgconf::{Content, Entry, Heading, Line, Setting, lines};

/// A line of thousands of prefixes is this long.
const LONGEST_LINE: usize = 1 << 20;
/// More peers than an interface holds (the kernel's limit is 2^20).
const MOST_PEERS: usize = 1 << 20;

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
        Self::read(text, dialect, false)
    }

    /// Reads a file of wg-quick as far as it can be read: what is wrong is passed over, and among the
    /// warnings.
    #[must_use]
    pub fn parse_what_can_be(text: &[u8]) -> Self {
        Self::read(text, Dialect::Quick, true).unwrap_or_default()
    }

    fn read(text: &[u8], dialect: Dialect, passes: bool) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        let mut section = None;
        // What wg-quick knows it only finds below a heading that is written as it is.
        let mut known = dialect;
        let mut open: Option<OpenPeer> = None;
        for line in lines(text) {
            let before = (section, known);
            let taken = conf.take(&line, dialect, (&mut section, &mut known), &mut open);
            match taken {
                Err(error) if passes => {
                    (section, known) = before;
                    conf.warnings.push(error);
                }
                taken => taken?,
            }
        }
        match conf.close(open) {
            Err(error) if passes => conf.warnings.push(error),
            closed => closed?,
        }
        Ok(conf)
    }

    /// Takes a line.
    fn take(
        &mut self,
        line: &Line<'_>,
        dialect: Dialect,
        (section, known): (&mut Option<Heading>, &mut Dialect),
        open: &mut Option<OpenPeer>,
    ) -> Result<(), ConfError> {
        let at = |column: usize, reason| ConfError { line: line.number, column, reason };
        if line.code > LONGEST_LINE {
            return Err(at(1, ConfReason::Budget));
        }
        match line.content {
            Content::Blank => Ok(()),
            Content::NotText { valid } => {
                // A hook is for the shell to read.
                let key = std::str::from_utf8(line.key()).ok().and_then(Setting::of);
                let is_hook = *section == Some(Heading::Interface) && *known == Dialect::Quick;
                match key.filter(|key| is_hook && key.is_hook()) {
                    Some(key) => {
                        hook(&mut self.interface.quick, key, line.value());
                        Ok(())
                    }
                    None => Err(at(valid + 1, ConfReason::Text)),
                }
            }
            // As wg(8), which ignores blanks wherever they are.
            Content::Other => match Heading::of(&squeeze(&String::from_utf8_lossy(line.key()))) {
                None => Err(at(line.indent + 1, ConfReason::Form)),
                Some(heading) => {
                    (*section, *known) = (Some(heading), Dialect::Wg);
                    self.open(heading, line, open)
                }
            },
            Content::Heading(heading) => {
                (*section, *known) = (Some(heading), dialect);
                self.open(heading, line, open)
            }
            Content::Entry(entry) => {
                let is_quick = entry.setting.is_some_and(Setting::is_quick);
                let is_blank = entry.value.is_empty() && *section == Some(Heading::Interface);
                if is_quick && is_blank && *known == Dialect::Quick {
                    let key = entry.key.to_owned();
                    self.warnings.push(at(line.indent + 1, ConfReason::Blank { key }));
                    return Ok(());
                }
                let outcome = match (*section, open) {
                    (Some(Heading::Interface), _) => {
                        interface_line(&mut self.interface, entry, *known)
                    }
                    (Some(Heading::Peer), Some(open)) => peer_line(open, entry),
                    _ => Err(ConfReason::NoSection),
                };
                outcome.map_err(|reason| {
                    let of_key =
                        matches!(reason, ConfReason::NoSection | ConfReason::Unknown { .. });
                    at(if of_key { line.indent } else { entry.value_at } + 1, reason)
                })
            }
        }
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
                quick.addresses.push(address(word)?);
            }
        }
        Setting::Dns => {
            for word in words() {
                let is_v4 = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let is_server = is_v4 || word.contains(':');
                let list = if is_server { &mut quick.dns } else { &mut quick.dns_search };
                list.push(domain(word)?);
            }
        }
        Setting::Mtu => {
            quick.mtu = Some(digits(value).ok_or(number(setting, u32::MAX))?);
        }
        Setting::Table => quick.table = Table::of(value).ok_or(ConfReason::Table)?,
        Setting::SaveConfig => {
            let value = value.to_ascii_lowercase();
            quick.save_config = value.parse().map_err(|_| ConfReason::Truth)?;
        }
        key if key.is_hook() => hook(quick, key, value.as_bytes()),
        other => return Err(unknown(Heading::Interface, other.as_str())),
    }
    Ok(())
}

/// Keeps a hook.
fn hook(quick: &mut QuickConf, key: Setting, line: &[u8]) {
    let hooks = match key {
        Setting::PreUp => &mut quick.pre_up,
        Setting::PostUp => &mut quick.post_up,
        Setting::PreDown => &mut quick.pre_down,
        _ => &mut quick.post_down,
    };
    hooks.push(HookLine::new(line));
}

/// An address with its prefix's length, or with its netmask as ip(8) takes it.
fn address(word: &str) -> Result<IpNet, AddressError> {
    parse_net(word).or_else(|error| {
        let masked = word.split_once('/').and_then(|(address, mask)| {
            let mask = ipnet::ipv4_mask_to_prefix(mask.parse().ok()?).ok()?;
            Some(Ipv4Net::new(address.parse().ok()?, mask).ok()?.into())
        });
        masked.ok_or(error)
    })
}

/// A DNS server or search domain goes into resolv.conf, so it is a name and nothing else.
fn domain(word: &str) -> Result<String, ConfReason> {
    let bad = word.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.~:%+".contains(*c)));
    match bad {
        None => Ok(word.to_owned()),
        Some(found) => Err(ConfReason::Domain(NameError::Character {
            what: "a DNS server or search domain",
            found,
            allowed: "an IP address, or a-z, 0-9, '-', '_', '~' and '.'",
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
        Some(Setting::Endpoint) => peer.endpoint = Some(endpoint(&value)?),
        Some(key @ Setting::PersistentKeepalive) => {
            peer.keepalive = Some(keepalive(&value).ok_or(number(key, 65535))?);
        }
        _ => return Err(unknown(Heading::Peer, entry.key)),
    }
    Ok(())
}

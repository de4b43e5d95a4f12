//! Files of wg-quick(8) and what `wg showconf` prints.

use ipnet::IpNet;

use super::known::{KnownInterface, KnownPeer};
use super::remark::{Remark, Topic};
use crate::model::{
    Endpoint, FwMark, HIDDEN, Keepalive, Mtu, Port, PresharedKey, PrivateKey, Untrusted, parse_net,
};
use crate::wgconf::{Document, Heading, Line, Section, Setting};

/// The beginning of the first comment in a file that wgfleet has written, and what parts its words.
const OWN: [&str; 3] = [" on ", ", network ", " of fleet "];

/// An interface as a file has it, the host that a comment of wgfleet's own names, and what was passed over.
pub(super) struct Conf {
    pub(super) interface: KnownInterface,
    pub(super) host: Option<String>,
    pub(super) remarks: Vec<Remark>,
}

/// Whether a text is such a file: it has a section of an interface or of a peer.
pub(super) fn is_conf(text: &str) -> bool {
    Document::of(text.as_bytes()).sections.iter().any(|section| section.heading.is_some())
}

/// Reads a file. What cannot be read of it is passed over and told.
pub(super) fn read(source: &str, text: &str) -> Conf {
    let document = Document::of(text.as_bytes());
    let mut conf = Conf {
        interface: KnownInterface { source: source.to_owned(), ..KnownInterface::default() },
        host: None,
        remarks: Vec::new(),
    };
    if let Some((host, network)) = document.lines().filter_map(|line| line.comment()).find_map(own)
    {
        conf.host = Some(host.to_owned());
        conf.interface.network = Some(network.to_owned());
    }
    for section in &document.sections {
        match section.heading {
            Some(Heading::Interface) => conf.interface(section),
            Some(Heading::Peer) => conf.peer(section),
            None => {
                for entry in section.entries() {
                    conf.passed_over(entry.key, "it stands in no section that wg(8) knows");
                }
            }
        }
    }
    conf
}

/// The host and the network that the first line of a file of wgfleet's names.
fn own(comment: &str) -> Option<(&str, &str)> {
    let (_, rest) = comment.split_once(OWN[0])?;
    let (host, rest) = rest.split_once(OWN[1])?;
    let (network, _) = rest.split_once(OWN[2])?;
    Some((host, network))
}

impl Conf {
    fn passed_over(&mut self, what: &str, why: &str) {
        let text = format!(
            "`{}` of {} was passed over: {why}",
            Untrusted::new(what),
            self.interface.source
        );
        self.remarks.push(Remark::new(Topic::PassedOver, text));
    }

    fn interface(&mut self, section: &Section<'_>) {
        for (setting, value) in section.lines.iter().filter_map(Line::setting) {
            // wg-quick(8) takes a blank one for absent.
            if !value.is_empty() && !self.interface_setting(setting, value) {
                self.passed_over(setting.as_str(), "its value is none that wgfleet takes");
            }
        }
        for entry in section.entries().filter(|entry| entry.setting.is_none()) {
            self.passed_over(entry.key, "wg-quick(8) does not know it");
        }
    }

    /// Takes a setting; false where its value is none.
    fn interface_setting(&mut self, setting: Setting, value: &str) -> bool {
        let own = &mut self.interface;
        let hooks = &mut own.hooks;
        match setting {
            Setting::PrivateKey if value == HIDDEN => return true,
            Setting::PrivateKey => own.private_key = PrivateKey::parse(value).ok(),
            Setting::ListenPort => {
                let Ok(port) = value.parse::<u16>() else { return false };
                own.listen_port = Port::new(port);
                return true;
            }
            Setting::FwMark => {
                let Some(mark) = number(value) else { return value == "off" };
                own.fwmark = (mark > 0).then_some(FwMark(mark));
                return true;
            }
            Setting::Address => {
                let Some(nets) = prefixes(value) else { return false };
                own.addresses.get_or_insert_default().extend(nets);
                return true;
            }
            Setting::Dns => own.dns.extend(items(value).map(str::to_owned)),
            Setting::Mtu => own.mtu = value.parse().ok().and_then(|bytes| Mtu::new(bytes).ok()),
            Setting::Table => own.table = value.parse().ok(),
            Setting::PreUp => hooks.pre_up.push(value.to_owned()),
            Setting::PostUp => hooks.post_up.push(value.to_owned()),
            Setting::PreDown => hooks.pre_down.push(value.to_owned()),
            Setting::PostDown => hooks.post_down.push(value.to_owned()),
            Setting::SaveConfig => own.save_config = value.eq_ignore_ascii_case("true"),
            Setting::PublicKey
            | Setting::PresharedKey
            | Setting::AllowedIps
            | Setting::Endpoint
            | Setting::PersistentKeepalive => return false,
        }
        match setting {
            Setting::PrivateKey => own.private_key.is_some(),
            Setting::Mtu => own.mtu.is_some(),
            Setting::Table => own.table.is_some(),
            _ => true,
        }
    }

    fn peer(&mut self, section: &Section<'_>) {
        let Some(key) = section.last(Setting::PublicKey) else {
            self.passed_over(Heading::Peer.as_str(), "it has no key");
            return;
        };
        let Ok(key) = key.parse() else {
            self.passed_over(Setting::PublicKey.as_str(), "it is not 32 bytes in base64");
            return;
        };
        let mut peer = KnownPeer::new(key);
        peer.names = section.lines.iter().filter_map(Line::comment).filter_map(named).collect();
        for (setting, value) in section.lines.iter().filter_map(Line::setting) {
            if !value.is_empty() && !peer_setting(&mut peer, setting, value) {
                self.passed_over(setting.as_str(), "its value is none that wgfleet takes");
            }
        }
        // wg(8): of a key that stands there twice the later list replaces the first.
        let peers = &mut self.interface.peers;
        peers.retain(|other| other.public_key != key);
        peers.push(peer);
    }
}

fn peer_setting(peer: &mut KnownPeer, setting: Setting, value: &str) -> bool {
    match setting {
        Setting::PublicKey => true,
        Setting::PresharedKey if value == HIDDEN => {
            peer.psk_is_hidden = true;
            true
        }
        Setting::PresharedKey => {
            let Ok(key) = PresharedKey::parse(value) else { return false };
            // To the kernel a key of zeros is none.
            peer.preshared_key = (*key.expose() != [0; 32]).then_some(key);
            true
        }
        Setting::AllowedIps => {
            let Some(nets) = prefixes(value) else { return value == "(none)" };
            peer.allowed_ips.extend(nets.iter().map(IpNet::trunc));
            true
        }
        Setting::Endpoint => {
            peer.endpoint = Endpoint::parse_with_zone(value).ok();
            peer.endpoint.is_some()
        }
        Setting::PersistentKeepalive => {
            let Ok(seconds) = value.parse::<u16>() else { return value == "off" };
            peer.keepalive = Keepalive::new(seconds);
            true
        }
        _ => false,
    }
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn prefixes(value: &str) -> Option<Vec<IpNet>> {
    items(value).map(|item| parse_net(item).ok()).collect()
}

pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Words that stand before a name in the comments of well-known scripts and panels.
const BEFORE_NAMES: [&str; 12] = [
    "friendly_name",
    "begin_peer",
    "client:",
    "client",
    "peer:",
    "peer",
    "name:",
    "name",
    "host:",
    "host",
    "user:",
    "device:",
];

/// The name that a comment gives.
fn named(comment: &str) -> Option<String> {
    let mut text = comment.trim_matches(|c: char| c == '#' || c == '-' || c.is_whitespace());
    for word in BEFORE_NAMES {
        let Some(start) = text.get(..word.len()) else { continue };
        let rest = &text[word.len()..];
        if start.eq_ignore_ascii_case(word) && rest.starts_with([' ', '=', ':', '\t']) {
            text = rest.trim_start_matches([' ', '=', ':', '\t']);
            break;
        }
    }
    // What follows is a remark: "alice (phone), added 2024".
    let text = text.split([',', ';', '(']).next().unwrap_or_default().trim();
    let is_name = !text.is_empty()
        && text.len() <= 40
        && text.split_whitespace().count() <= 3
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains(['=', '/', '+'])
        && !text.to_ascii_lowercase().starts_with("end_peer");
    is_name.then(|| text.to_owned())
}

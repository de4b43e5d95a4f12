//! Values of settings that are compared, as programs read them.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde::Serialize;

use super::name::SettingName;
use crate::desired::Masquerade;
use crate::model::{Family, FwMark, NetworkName, PublicKey, Untrusted};

/// What a setting is. Which of these it is follows from the setting; where a template writes what the
/// setting cannot be, it is its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Value {
    /// A number: of bytes or seconds, a port or a table.
    Number(u32),
    /// A mark of packets.
    Mark(FwMark),
    /// A public key in its own field, which is no secret.
    Key(PublicKey),
    /// A word, a target of ssh(1), an endpoint, or what only a template knows.
    Text(Untrusted),
    /// Addresses, prefixes, DNS servers or commands.
    List(Vec<Untrusted>),
    /// Address families.
    Families(Vec<Family>),
    /// Routes.
    Routes(Vec<ComparedRoute>),
    /// What is masqueraded.
    Masquerade(Vec<Masquerade>),
    /// A whole interface.
    Interface {
        /// The network that it belongs to.
        network: NetworkName,
    },
    /// A whole peer: each of its settings.
    Peer(BTreeMap<SettingName, Self>),
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComparedRoute {
    /// Where it leads.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
    pub prefix: IpNet,
    /// The routing table that it is in; 254 is `main`.
    pub table: u32,
}

/// What a peer is called: its name, or its key where it has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum PeerName {
    /// A key that the inventory does not have.
    Key(PublicKey),
    /// A name, or what a template writes instead of a key.
    Name(Untrusted),
}

impl PeerName {
    pub(super) fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(Untrusted::new(text)), Self::Key)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Value {
    /// What the lines of a file say of a setting.
    pub(super) fn of_lines(setting: &SettingName, lines: &[String]) -> Self {
        let text = |text: &String| Untrusted::new(text.as_str());
        match (setting, lines) {
            (SettingName::Address | SettingName::AllowedIps | SettingName::Dns, _) => {
                let items = lines.iter().flat_map(|line| line.split(','));
                let mut items: Vec<Untrusted> =
                    items.map(|item| Untrusted::new(item.trim())).collect();
                items.sort();
                Self::List(items)
            }
            (setting, [one]) if !setting.is_hook() => {
                Self::typed(setting, one).unwrap_or_else(|| Self::Text(text(one)))
            }
            _ => Self::List(lines.iter().map(text).collect()),
        }
    }

    /// The value of a setting that is more than a text, where it is written as wgfleet writes it.
    fn typed(setting: &SettingName, text: &str) -> Option<Self> {
        let number = || text.parse().ok().filter(|number: &u32| number.to_string() == text);
        match setting {
            SettingName::ListenPort
            | SettingName::Mtu
            | SettingName::Table
            | SettingName::Keepalive => number().map(Self::Number),
            SettingName::FwMark => {
                mark(text).map(Self::Mark).or_else(|| number().map(Self::Number))
            }
            SettingName::PublicKey => text.parse().ok().map(Self::Key),
            _ => None,
        }
    }

    /// A word of the inventory.
    pub(super) fn word(text: impl Into<String>) -> Self {
        Self::Text(Untrusted::new(text))
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Number(_) | Self::Mark(_) => 4,
            Self::Key(_) => 44,
            Self::Text(text) => text.raw().len(),
            Self::List(texts) => texts.iter().map(|text| text.raw().len()).sum(),
            Self::Families(families) => families.len(),
            Self::Routes(routes) => routes.len() * 20,
            Self::Masquerade(rules) => rules.iter().map(|rule| 20 * (1 + rule.except.len())).sum(),
            Self::Interface { network } => network.as_str().len(),
            Self::Peer(settings) => {
                settings.iter().map(|(name, value)| name.as_str().len() + value.bytes()).sum()
            }
        }
    }
}

/// A mark, where the text is one as wgfleet writes it.
fn mark(text: &str) -> Option<FwMark> {
    let number = u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    Some(FwMark(number)).filter(|mark| mark.to_string() == text)
}

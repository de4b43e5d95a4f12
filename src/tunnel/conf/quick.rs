//! What wg-quick(8) adds to an `[Interface]` section, as freely as it takes it.

use std::fmt;

use ipnet::IpNet;

/// The settings that only wg-quick knows.
#[derive(Debug, Default)]
pub struct QuickConf {
    /// `Address`, with their host bits.
    pub addresses: Vec<IpNet>,
    /// `DNS`: servers, also with the zone of a link.
    pub dns: Vec<String>,
    /// `DNS`: search domains, also those that a `~` makes routes.
    pub dns_search: Vec<String>,
    /// `MTU`: what the kernel takes is for it to say.
    pub mtu: Option<u32>,
    /// `Table`
    pub table: Table,
    /// `PreUp`
    pub pre_up: Vec<HookLine>,
    /// `PostUp`
    pub post_up: Vec<HookLine>,
    /// `PreDown`
    pub pre_down: Vec<HookLine>,
    /// `PostDown`
    pub post_down: Vec<HookLine>,
    /// `SaveConfig`
    pub save_config: bool,
}

/// Where routes go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Table {
    /// The main table; a default route gets policy routing.
    #[default]
    Auto,
    /// No routes are added.
    Off,
    /// A table by its number or its name, as ip(8) takes it: one word.
    Named(Box<str>),
}

impl Table {
    /// The table of a word; `None` where it is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "off" => Some(Self::Off),
            // Each is a word of a line that ip(8) reads.
            _ => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
                word.bytes().all(plain).then(|| Self::Named(word.into()))
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Named(name) => name,
        })
    }
}

/// The operator's own shell text: any bytes but what ends a line or begins a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookLine(Box<[u8]>);

impl HookLine {
    /// A line of a file.
    #[must_use]
    pub fn new(line: &[u8]) -> Self {
        Self(line.into())
    }

    /// As it is in the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, where it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for HookLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

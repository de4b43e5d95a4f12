//! The headings and settings that wg(8) and wg-quick(8) know, by their names.

use std::fmt;

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heading {
    /// The interface itself.
    Interface,
    /// One of its peers.
    Peer,
}

impl Heading {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Interface, Self::Peer];

    /// The line that begins such a section.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interface => "[Interface]",
            Self::Peer => "[Peer]",
        }
    }

    /// The heading that a line without its comment is; case does not matter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|heading| text.eq_ignore_ascii_case(heading.as_str()))
    }
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A setting of an interface or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// The interface's key.
    PrivateKey,
    /// Its UDP port.
    ListenPort,
    /// The mark of its encrypted packets.
    FwMark,
    /// Addresses, for wg-quick(8).
    Address,
    /// DNS servers and search domains, for wg-quick(8).
    Dns,
    /// The MTU, for wg-quick(8).
    Mtu,
    /// Where routes go, for wg-quick(8).
    Table,
    /// A command before the interface comes up, for wg-quick(8).
    PreUp,
    /// A command after it came up, for wg-quick(8).
    PostUp,
    /// A command before it goes down, for wg-quick(8).
    PreDown,
    /// A command after it went down, for wg-quick(8).
    PostDown,
    /// Whether wg-quick(8) writes the file anew.
    SaveConfig,
    /// A peer's key.
    PublicKey,
    /// The key that a pair shares.
    PresharedKey,
    /// What is sent to a peer and accepted from it.
    AllowedIps,
    /// Where a peer is found.
    Endpoint,
    /// Seconds between packets that keep a NAT's mapping.
    PersistentKeepalive,
}

impl Setting {
    /// All of them, those of an interface first.
    pub const ALL: [Self; 17] = [
        Self::PrivateKey,
        Self::ListenPort,
        Self::FwMark,
        Self::Address,
        Self::Dns,
        Self::Mtu,
        Self::Table,
        Self::PreUp,
        Self::PostUp,
        Self::PreDown,
        Self::PostDown,
        Self::SaveConfig,
        Self::PublicKey,
        Self::PresharedKey,
        Self::AllowedIps,
        Self::Endpoint,
        Self::PersistentKeepalive,
    ];

    /// Its name, as the manual pages write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKey => "PrivateKey",
            Self::ListenPort => "ListenPort",
            Self::FwMark => "FwMark",
            Self::Address => "Address",
            Self::Dns => "DNS",
            Self::Mtu => "MTU",
            Self::Table => "Table",
            Self::PreUp => "PreUp",
            Self::PostUp => "PostUp",
            Self::PreDown => "PreDown",
            Self::PostDown => "PostDown",
            Self::SaveConfig => "SaveConfig",
            Self::PublicKey => "PublicKey",
            Self::PresharedKey => "PresharedKey",
            Self::AllowedIps => "AllowedIPs",
            Self::Endpoint => "Endpoint",
            Self::PersistentKeepalive => "PersistentKeepalive",
        }
    }

    /// The setting of a name; case does not matter.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| name.eq_ignore_ascii_case(setting.as_str()))
    }

    /// The sections that it stands in.
    #[must_use]
    pub const fn heading(self) -> Heading {
        match self {
            Self::PublicKey
            | Self::PresharedKey
            | Self::AllowedIps
            | Self::Endpoint
            | Self::PersistentKeepalive => Heading::Peer,
            _ => Heading::Interface,
        }
    }

    /// Whether wg-quick(8) knows it and wg(8) does not.
    #[must_use]
    pub const fn is_quick(self) -> bool {
        matches!(self, Self::Address | Self::Dns | Self::Mtu | Self::Table | Self::SaveConfig)
            || self.is_hook()
    }

    /// Whether its value is a command that wg-quick(8) runs.
    #[must_use]
    pub const fn is_hook(self) -> bool {
        matches!(self, Self::PreUp | Self::PostUp | Self::PreDown | Self::PostDown)
    }

    /// Whether its value has commas between items.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Address | Self::Dns | Self::AllowedIps)
    }

    /// Whether its value is secret.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::PrivateKey | Self::PresharedKey)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

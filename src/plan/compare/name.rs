//! The names of settings that are compared.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::model::Untrusted;
use crate::wgconf::{Entry, Setting};

/// A setting that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingName {
    /// How ssh(1) reaches the host.
    Ssh,
    /// How the login user becomes root.
    Become,
    /// What runs its tunnels.
    Backend,
    /// Families that it forwards.
    Forwarding,
    /// What it masquerades.
    Masquerade,
    /// A whole interface.
    Interface,
    /// Routes through an interface.
    Routes,
    /// Addresses of an interface.
    Address,
    /// The UDP port of an interface.
    ListenPort,
    /// The mark of encrypted packets.
    FwMark,
    /// The MTU of an interface.
    Mtu,
    /// DNS servers and search domains.
    Dns,
    /// Where the routes of an interface go.
    Table,
    /// Commands before it comes up.
    PreUp,
    /// Commands after it came up.
    PostUp,
    /// Commands before it goes down.
    PreDown,
    /// Commands after it went down.
    PostDown,
    /// The private key of an interface, which is never told.
    PrivateKey,
    /// A whole peer.
    Peer,
    /// The key of a peer.
    PublicKey,
    /// The preshared key of a pair, of which only is told whether it is there.
    PresharedKey,
    /// What is sent to a peer and accepted from it.
    AllowedIps,
    /// Where a peer is found.
    Endpoint,
    /// Seconds between packets that keep a NAT's mapping.
    Keepalive,
    /// What else a template writes, by its key in lower case.
    Other(Untrusted),
}

impl SettingName {
    /// The setting that a line of a file names.
    pub(super) fn of_entry(entry: &Entry<'_>) -> Self {
        match entry.setting {
            Some(Setting::Address) => Self::Address,
            Some(Setting::AllowedIps) => Self::AllowedIps,
            Some(Setting::Dns) => Self::Dns,
            Some(Setting::Endpoint) => Self::Endpoint,
            Some(Setting::FwMark) => Self::FwMark,
            Some(Setting::ListenPort) => Self::ListenPort,
            Some(Setting::Mtu) => Self::Mtu,
            Some(Setting::PersistentKeepalive) => Self::Keepalive,
            Some(Setting::PostDown) => Self::PostDown,
            Some(Setting::PostUp) => Self::PostUp,
            Some(Setting::PreDown) => Self::PreDown,
            Some(Setting::PresharedKey) => Self::PresharedKey,
            Some(Setting::PreUp) => Self::PreUp,
            Some(Setting::PrivateKey) => Self::PrivateKey,
            Some(Setting::PublicKey) => Self::PublicKey,
            Some(Setting::Table) => Self::Table,
            Some(Setting::SaveConfig) | None => {
                Self::Other(Untrusted::new(entry.key.to_ascii_lowercase()))
            }
        }
    }

    /// Its name for people: wg(8)'s where that has one. As it came, so only to be compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ssh => "ssh",
            Self::Become => "become",
            Self::Backend => "backend",
            Self::Forwarding => "forwarding",
            Self::Masquerade => "masquerade",
            Self::Interface => "interface",
            Self::Routes => "routes",
            Self::Address => "address",
            Self::ListenPort => "listen port",
            Self::FwMark => "fwmark",
            Self::Mtu => "mtu",
            Self::Dns => "dns",
            Self::Table => "table",
            Self::PreUp => "pre up",
            Self::PostUp => "post up",
            Self::PreDown => "pre down",
            Self::PostDown => "post down",
            Self::PrivateKey => "private key",
            Self::Peer => "peer",
            Self::PublicKey => "public key",
            Self::PresharedKey => "preshared key",
            Self::AllowedIps => "allowed ips",
            Self::Endpoint => "endpoint",
            Self::Keepalive => "persistent keepalive",
            Self::Other(key) => key.raw(),
        }
    }

    /// Its name in JSON.
    fn word(&self) -> String {
        match self {
            Self::Keepalive => "keepalive".to_owned(),
            _ => self.to_string().replace(' ', "_"),
        }
    }

    /// Whether its values are commands, which run as root.
    #[must_use]
    pub const fn is_hook(&self) -> bool {
        matches!(self, Self::PreUp | Self::PostUp | Self::PreDown | Self::PostDown)
    }

    /// Whether it is a list, of which only what comes and goes has to be told.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(
            self,
            Self::AllowedIps | Self::Address | Self::Routes | Self::Dns | Self::Masquerade
        )
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(key) => key.fmt(f),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl Ord for SettingName {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_other = |name: &Self| matches!(name, Self::Other(_));
        // As people read them; what only looks like a known one is another.
        (self.as_str(), is_other(self)).cmp(&(other.as_str(), is_other(other)))
    }
}

impl PartialOrd for SettingName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for SettingName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.word())
    }
}

#[cfg(test)]
impl schemars::JsonSchema for SettingName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SettingName".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let known = [
            Self::Ssh,
            Self::Become,
            Self::Backend,
            Self::Forwarding,
            Self::Masquerade,
            Self::Interface,
            Self::Routes,
            Self::Address,
            Self::ListenPort,
            Self::FwMark,
            Self::Mtu,
            Self::Dns,
            Self::Table,
            Self::PreUp,
            Self::PostUp,
            Self::PreDown,
            Self::PostDown,
            Self::Peer,
            Self::PublicKey,
            Self::PresharedKey,
            Self::AllowedIps,
            Self::Endpoint,
            Self::Keepalive,
        ]
        .map(|name| name.word());
        let other = generator.subschema_for::<Untrusted>();
        schemars::json_schema!({
            "description": "A setting. What else a template writes has its key in lower case.",
            "anyOf": [{ "enum": known }, other],
        })
    }
}

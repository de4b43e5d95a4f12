//! The settings of peers and interfaces that change in place, and how they change.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{PublicKey, Untrusted};

/// A setting, and how its values may be shown.
pub trait Field: Copy + PartialEq + fmt::Display {
    /// A value as it may be shown.
    fn shown(self, value: &str) -> String {
        Untrusted::new(value).to_string()
    }
}

impl Field for PeerField {}

impl Field for DeviceField {
    fn shown(self, value: &str) -> String {
        match (self, value.parse::<PublicKey>()) {
            // In its own field it is no secret.
            (Self::PublicKey, Ok(key)) => key.to_string(),
            _ => Untrusted::new(value).to_string(),
        }
    }
}

/// A setting of a peer, by wg(8)'s name of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeerField {
    /// What is sent to it and accepted from it.
    #[serde(rename = "allowed ips")]
    AllowedIps,
    /// Where it is found.
    #[serde(rename = "endpoint")]
    Endpoint,
    /// Seconds between packets that keep a NAT's mapping.
    #[serde(rename = "persistent keepalive")]
    Keepalive,
    /// The preshared key of the pair; its values are words, never the key.
    #[serde(rename = "preshared key")]
    PresharedKey,
}

impl PeerField {
    /// wg(8)'s name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowedIps => "allowed ips",
            Self::Endpoint => "endpoint",
            Self::Keepalive => "persistent keepalive",
            Self::PresharedKey => "preshared key",
        }
    }
}

impl fmt::Display for PeerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A setting of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeviceField {
    /// The public half of its key.
    #[serde(rename = "public key")]
    PublicKey,
    /// Its UDP port.
    #[serde(rename = "listen port")]
    ListenPort,
    /// The mark of its encrypted packets.
    #[serde(rename = "fwmark")]
    FwMark,
    /// Its MTU in bytes.
    #[serde(rename = "mtu")]
    Mtu,
    /// Whether the link is up.
    #[serde(rename = "link")]
    Link,
}

impl DeviceField {
    /// wg(8)'s or ip(8)'s name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "public key",
            Self::ListenPort => "listen port",
            Self::FwMark => "fwmark",
            Self::Mtu => "mtu",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for DeviceField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A setting that changes in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange<F> {
    /// The setting.
    pub field: F,
    /// What it is; `None` where it is not set.
    pub from: Option<String>,
    /// What it is to be; `None` where it is to be unset.
    pub to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_shown_in_its_own_field_and_nowhere_else() {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(DeviceField::PublicKey.shown(key), key);
        assert_eq!(DeviceField::Mtu.shown(key), "(hidden)");
        assert_eq!(PeerField::Endpoint.shown(key), "(hidden)");
        assert_eq!(DeviceField::PublicKey.shown("a\u{1b}b"), "a\\u{1b}b");
    }

    #[test]
    fn json_has_the_words_that_people_read() {
        for field in [PeerField::AllowedIps, PeerField::Endpoint, PeerField::Keepalive] {
            assert_eq!(serde_json::to_value(field).unwrap(), field.as_str());
        }
        assert_eq!(serde_json::to_value(PeerField::PresharedKey).unwrap(), "preshared key");
        let device = [DeviceField::PublicKey, DeviceField::ListenPort, DeviceField::FwMark];
        for field in device.into_iter().chain([DeviceField::Mtu, DeviceField::Link]) {
            assert_eq!(serde_json::to_value(field).unwrap(), field.as_str());
        }
    }
}

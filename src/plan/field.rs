//! The settings of peers and interfaces that change in place, and how they change.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::FieldValue;
use crate::model::{PublicKey, Untrusted};

/// A setting, and how its values may be shown.
pub trait Field: Copy + PartialEq + fmt::Display {
    /// A value as it may be shown.
    fn shown(self, value: &str) -> String {
        Untrusted::new(value).to_string()
    }

    /// A value as it is in JSON.
    fn value(self, text: &str) -> FieldValue;

    /// What [`Field::value`] was made of.
    fn text(self, value: FieldValue) -> String;
}

impl Field for PeerField {
    fn value(self, text: &str) -> FieldValue {
        match self {
            Self::AllowedIps => FieldValue::list(text),
            Self::Keepalive => FieldValue::number(text),
            Self::PresharedKey => FieldValue::word(text, PSK_WORDS),
            Self::Endpoint => FieldValue::Text(text.to_owned()),
        }
    }

    fn text(self, value: FieldValue) -> String {
        match self {
            Self::PresharedKey => value.of_word(PSK_WORDS),
            _ => value.into_text(),
        }
    }
}

/// What plans say of a preshared key, and how JSON says it.
const PSK_WORDS: &[(&str, &str)] = &[("another", "other"), ("the vault's", "vault")];

impl Field for DeviceField {
    fn shown(self, value: &str) -> String {
        match (self, value.parse::<PublicKey>()) {
            // In its own field it is no secret.
            (Self::PublicKey, Ok(key)) => key.to_string(),
            _ => Untrusted::new(value).to_string(),
        }
    }

    fn value(self, text: &str) -> FieldValue {
        match self {
            Self::ListenPort | Self::Mtu => FieldValue::number(text),
            Self::FwMark => FieldValue::mark(text),
            Self::PublicKey | Self::Link => FieldValue::Text(text.to_owned()),
        }
    }

    fn text(self, value: FieldValue) -> String {
        match self {
            Self::FwMark => value.into_mark(),
            _ => value.into_text(),
        }
    }
}

/// A setting of a peer, by wg(8)'s name of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PeerField {
    /// What is sent to it and accepted from it.
    #[serde(rename = "allowed_ips")]
    AllowedIps,
    /// Where it is found.
    #[serde(rename = "endpoint")]
    Endpoint,
    /// Seconds between packets that keep a NAT's mapping.
    #[serde(rename = "keepalive")]
    Keepalive,
    /// The preshared key of the pair; its values are words, never the key.
    #[serde(rename = "preshared_key")]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum DeviceField {
    /// The public half of its key.
    #[serde(rename = "public_key")]
    PublicKey,
    /// Its UDP port.
    #[serde(rename = "listen_port")]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldChange<F> {
    /// The setting.
    pub field: F,
    /// What it is; `None` where it is not set.
    pub from: Option<String>,
    /// What it is to be; `None` where it is to be unset.
    pub to: Option<String>,
}

/// A setting that changes, as it is in JSON.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "{F}Change"))]
#[serde(deny_unknown_fields)]
struct Form<F> {
    /// The setting.
    field: F,
    /// What it is; null where it is not set.
    from: Option<FieldValue>,
    /// What it is to be; null where it is to be unset.
    to: Option<FieldValue>,
}

impl<F: Field + Serialize> Serialize for FieldChange<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |text: &Option<String>| text.as_deref().map(|text| self.field.value(text));
        let (from, to) = (value(&self.from), value(&self.to));
        Form { field: self.field, from, to }.serialize(serializer)
    }
}

impl<'a, F: Field + Deserialize<'a>> Deserialize<'a> for FieldChange<F> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let Form { field, from, to } = Form::<F>::deserialize(deserializer)?;
        let text = |value: Option<FieldValue>| value.map(|value| field.text(value));
        Ok(Self { field, from: text(from), to: text(to) })
    }
}

#[cfg(test)]
impl<F: schemars::JsonSchema> schemars::JsonSchema for FieldChange<F> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        Form::<F>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Form<F>>()
    }
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

    /// A value in JSON, which reads back as it was.
    fn json<F>(field: F, from: &str) -> String
    where
        F: Field + Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let change = FieldChange { field, from: Some(from.to_owned()), to: None };
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!(serde_json::from_value::<FieldChange<F>>(json.clone()).unwrap(), change);
        json["from"].to_string()
    }

    #[test]
    fn json_has_numbers_lists_and_words() {
        let peer = [
            json(PeerField::AllowedIps, "10.9.0.2/32, fd00::/64"),
            json(PeerField::AllowedIps, ""),
            json(PeerField::Endpoint, "192.0.2.1:51820"),
            json(PeerField::Keepalive, "25"),
            json(PeerField::Keepalive, "025"),
            json(PeerField::PresharedKey, "another"),
            json(PeerField::PresharedKey, "the vault's"),
            json(PeerField::PresharedKey, "set"),
        ];
        insta::assert_snapshot!(peer.join("\n"), @r#"
        ["10.9.0.2/32","fd00::/64"]
        []
        "192.0.2.1:51820"
        25
        "025"
        "other"
        "vault"
        "set"
        "#);
        let device = [
            json(DeviceField::ListenPort, "51820"),
            json(DeviceField::FwMark, "0x20"),
            json(DeviceField::Mtu, "1420"),
            json(DeviceField::Link, "down"),
        ];
        insta::assert_snapshot!(device.join("\n"), @r#"
        51820
        32
        1420
        "down"
        "#);
    }
}

//! How the words of the trade look in JSON: for the schemas that a test compares with schemas/.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    Document, Endpoint, Fingerprint, FleetName, FwMark, HostName, InterfaceName, Keepalive, Kind,
    Moment, Mtu, NetworkName, Port, PublicKey, SiteName, SshTarget, Untrusted, Version,
};

/// A type whose form in JSON is told here.
macro_rules! shape {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// An address, or the prefix of a net, with its length.
pub(crate) struct Prefix;

/// Where the routes of an interface go.
pub(crate) struct Table;

/// One value of a setting.
pub(crate) struct Scalar;

/// A name, an address or another word: never a sentence, and never several joined.
pub(crate) struct Word;

/// What stands before a line of a difference.
pub(crate) struct Sign;

/// A path.
pub(crate) struct AnyPath;

/// Who can open a vault.
pub(crate) struct Recipient;

/// `a-z`, `0-9`, `-` and `.`.
macro_rules! name {
    ($type:ty, $name:literal, $what:literal) => {
        shape!($type, $name, {
            "description": $what,
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$",
        });
    };
}

name!(FleetName, "FleetName", "The name of a fleet.");
name!(HostName, "HostName", "The name of a host or of an unmanaged peer.");
name!(SiteName, "SiteName", "The name of a site.");
name!(NetworkName, "NetworkName", "The name of a network.");
shape!(InterfaceName, "InterfaceName", {
    "description": "The name of a network interface.",
    "type": "string",
    "pattern": "^[A-Za-z0-9_=+.-]{1,15}$",
});
shape!(PublicKey, "PublicKey", {
    "description": "A WireGuard public key in base64.",
    "type": "string",
    "pattern": "^[A-Za-z0-9+/]{43}=$",
});
shape!(Fingerprint, "Fingerprint", {
    "description": "A digest of 32 bytes in hexadecimal.",
    "type": "string",
    "pattern": "^[0-9a-f]{64}$",
});
shape!(Endpoint, "Endpoint", {
    "description": "HOST:PORT; an IPv6 address stands in brackets.",
    "type": "string",
    "pattern": "^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]]+):[0-9]{1,5}$",
});
shape!(SshTarget, "SshTarget", {
    "description": "Where ssh(1) logs in: HOST, USER@HOST, or with :PORT.",
    "type": "string",
    "minLength": 1,
});
shape!(Port, "Port", {
    "description": "A UDP port.",
    "type": "integer",
    "minimum": 1,
    "maximum": 65535,
});
shape!(Keepalive, "Keepalive", {
    "description": "A keepalive in seconds.",
    "type": "integer",
    "minimum": 1,
    "maximum": 65535,
});
shape!(Mtu, "Mtu", {
    "description": "An MTU in bytes.",
    "type": "integer",
    "minimum": 576,
    "maximum": 65535,
});
shape!(FwMark, "FwMark", {
    "description": "A mark of packets.",
    "type": "integer",
    "minimum": 0,
    "maximum": 4_294_967_295_u32,
});
shape!(Untrusted, "Untrusted", {
    "description": "Text of a host or of a file: secrets are replaced by (hidden), and what a terminal would obey or an eye misread is escaped.",
    "type": "string",
});
shape!(Prefix, "Prefix", {
    "description": "An address or the prefix of a net, with its length.",
    "type": "string",
    "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
});
shape!(Table, "Table", {
    "description": "auto, off, or the number of a routing table.",
    "anyOf": [
        { "enum": ["auto", "off"] },
        { "type": "integer", "minimum": 1, "maximum": 4_294_967_295_u32 },
    ],
});
shape!(Scalar, "Scalar", {
    "description": "A number, a boolean, a text, or null where nothing is set.",
    "type": ["integer", "boolean", "string", "null"],
});
shape!(Word, "Word", {
    "description": "A name, an address or another word.",
    "type": "string",
    "pattern": "^[^\\s`]*$",
});
shape!(Sign, "Sign", {
    "description": "What becomes of a line: it comes, goes or stays.",
    "enum": ["+", "-", " "],
});
shape!(AnyPath, "Path", {
    "description": "A path.",
    "type": "string",
});
shape!(Recipient, "Recipient", {
    "description": "A recipient, as age(1) or ssh-keygen(1) writes it.",
    "type": "string",
    "pattern": "^(age1[0-9a-z]+|ssh-[0-9a-z-]+ [A-Za-z0-9+/=]+)$",
});
shape!(Moment, "Moment", {
    "description": "A moment in UTC, as RFC 3339 writes it.",
    "type": "string",
    "format": "date-time",
});

impl<D: Document> JsonSchema for Kind<D> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Kind of {}", D::KIND).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": D::KIND })
    }
}

impl<D: Document> JsonSchema for Version<D> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Version of {}", D::KIND).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": D::VERSION })
    }
}

/// The kinds of a reason, as its schema has them.
pub(crate) fn kinds<T: JsonSchema>() -> Vec<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let alternatives = schema.as_value()["oneOf"].as_array().expect("alternatives").clone();
    let kind = |one: &serde_json::Value| {
        let kind = &one["properties"]["kind"];
        kind["const"].as_str().expect("each has a kind").to_owned()
    };
    alternatives.iter().map(kind).collect()
}

/// Panics unless each kind of a reason is there once, is told in docs/json.md, and survives its JSON with
/// its words in it; `samples` has one of each.
pub(crate) fn assert_reasons<T>(samples: &[T])
where
    T: JsonSchema + serde::Serialize + serde::de::DeserializeOwned + PartialEq,
    T: std::fmt::Debug + std::fmt::Display,
{
    let docs = include_str!("../../docs/json.md");
    let mut kinds = kinds::<T>();
    for kind in &kinds {
        assert!(docs.contains(&format!("`{kind}`")), "docs/json.md does not tell `{kind}`");
    }
    let mut found = Vec::new();
    for sample in samples {
        let mut text = Vec::new();
        let mut to = serde_json::Serializer::new(&mut text);
        super::worded::serialize(sample, &mut to).expect("it is JSON");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        assert_eq!(json["text"], sample.to_string());
        found.push(json["kind"].as_str().expect("a kind").to_owned());
        let mut from = serde_json::Deserializer::from_slice(&text);
        assert_eq!(&super::worded::deserialize::<T, _>(&mut from).expect("it is read"), sample);
    }
    kinds.sort();
    found.sort();
    assert_eq!(found, kinds);
    kinds.dedup();
    assert_eq!(found, kinds, "each is there once");
}

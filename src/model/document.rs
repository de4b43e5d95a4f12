//! What a JSON text says first: which document it is, and in which version.

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// A JSON text that programs read. Its struct begins with `kind: Kind<Self>` and
/// `version: Version<Self>`; docs/json.md describes it, and schemas/ has its schema.
pub trait Document {
    /// What it is, as the argument of `wgfleet schema` and the name of its schema.
    const KIND: &'static str;
    /// Its version: one more after each change that a reader can notice.
    const VERSION: u32;
}

/// The `kind` of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind<D>(PhantomData<D>);

/// The `version` of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<D>(PhantomData<D>);

impl<D> Default for Kind<D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<D> Default for Version<D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<D: Document> Serialize for Kind<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(D::KIND)
    }
}

impl<D: Document> Serialize for Version<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(D::VERSION)
    }
}

impl<'a, D: Document> Deserialize<'a> for Kind<D> {
    fn deserialize<De: Deserializer<'a>>(deserializer: De) -> Result<Self, De::Error> {
        let found = String::deserialize(deserializer)?;
        if found == D::KIND { Ok(Self::default()) } else { Err(De::Error::custom("another kind")) }
    }
}

impl<'a, D: Document> Deserialize<'a> for Version<D> {
    fn deserialize<De: Deserializer<'a>>(deserializer: De) -> Result<Self, De::Error> {
        let found = u32::deserialize(deserializer)?;
        if found == D::VERSION {
            Ok(Self::default())
        } else {
            Err(De::Error::custom("another version"))
        }
    }
}

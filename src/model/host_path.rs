//! Places of files on a host, and names of its units.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::is_deceptive;

/// Bytes of the longest path that a kernel takes. Units of a host have their limit here, too: a host that
/// has a file with a long name is to be read all the same.
const LONGEST: usize = 4096;

/// Why a text is no place or no unit of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPathError {
    /// Not from the root on, or up again with `..`.
    #[error("a path on a host begins with `/` and has no part `..`, unlike {0:?}")]
    Place(String),
    /// With a line end, or something else that is not seen.
    #[error("a path on a host has at most {LONGEST} bytes that are all seen, unlike {0:?}")]
    Unseen(String),
    /// Not the name of a unit.
    #[error("a unit is called like `wg-quick@wg0.service`, unlike {0:?}")]
    Unit(String),
}

macro_rules! text {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                super::schema::Word::schema_name()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                super::schema::Word::json_schema(generator)
            }
            fn inline_schema() -> bool {
                super::schema::Word::inline_schema()
            }
        }

        impl TryFrom<String> for $name {
            type Error = HostPathError;
            fn try_from(text: String) -> Result<Self, HostPathError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into()
            }
        }

        impl $name {
            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        /// It has the order of its text, so that maps are looked up by either.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text! {
    /// Where a file lies on a host: from the root on, without `..`, and nothing in it that is not seen.
    ///
    /// A host may tell of one with blanks. What wgfleet writes has none: its parts are names.
    HostPath
}

text! {
    /// The name of a unit of a host's service manager.
    UnitName
}

impl FromStr for HostPath {
    type Err = HostPathError;

    fn from_str(text: &str) -> Result<Self, HostPathError> {
        if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(HostPathError::Place(text.to_owned()));
        }
        if text.len() > LONGEST || text.chars().any(is_deceptive) {
            return Err(HostPathError::Unseen(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for UnitName {
    type Err = HostPathError;

    fn from_str(text: &str) -> Result<Self, HostPathError> {
        // An interface may have `=` and `+` in its name, which systemd refuses in a unit's.
        let plain = |c: char| c.is_ascii_alphanumeric() || ":_.@-\\=+".contains(c);
        let parts = text.rsplit_once('.').is_some_and(|(stem, kind)| {
            !stem.is_empty() && !kind.is_empty() && !text.starts_with('-')
        });
        if !parts || text.len() > LONGEST || !text.chars().all(plain) {
            return Err(HostPathError::Unit(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl HostPath {
    /// A path that wgfleet makes of names, which can hold nothing else.
    ///
    /// # Panics
    /// Where it is none: a mistake of the program.
    pub(crate) fn made(text: &str) -> Self {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }
}

impl UnitName {
    /// A unit that wgfleet makes of the name of an interface.
    ///
    /// # Panics
    /// Where it is none: a mistake of the program.
    pub(crate) fn made(text: &str) -> Self {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_where_it_reads() {
        for good in ["/etc/wireguard/wg0.conf", "/etc/wire guard/é", "/x..y/..z", "/"] {
            assert_eq!(good.parse::<HostPath>().unwrap(), *good);
        }
        for bad in ["", "etc/x", "/etc/../x", "/..", "/a\nb", "/a\0b", "/a\u{202e}b", "/\u{7}"] {
            assert!(bad.parse::<HostPath>().is_err(), "{bad:?}");
        }
        assert!("/x".repeat(2048).parse::<HostPath>().is_ok());
        assert!("/x".repeat(2049).parse::<HostPath>().is_err());
        assert!(serde_json::from_str::<HostPath>("\"../x\"").is_err());
    }

    #[test]
    fn a_unit_is_one_word_with_its_kind() {
        for good in [
            "wg-quick@wg0.service",
            "wgfleet-wg0.100.service",
            "a\\x2db.mount",
            "wg-quick@a=+.service",
        ] {
            assert_eq!(good.parse::<UnitName>().unwrap(), *good);
        }
        for bad in ["", "wg0", ".service", "wg0.", "--now.service", "a b.service", "a/b.service"] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?}");
        }
    }
}

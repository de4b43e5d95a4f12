//! Names that reach paths, shells and configuration files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused, in words that say what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("{what} cannot be empty")]
    Empty {
        /// What kind of name it is, with its article.
        what: &'static str,
    },
    /// The name is longer than its kind allows.
    #[error("{what} has at most {limit} characters, this one has {length}")]
    TooLong {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The most characters it may have.
        limit: usize,
        /// The characters it has.
        length: usize,
    },
    /// A character that the kind does not allow.
    #[error("{what} cannot contain {found:?}; use {allowed}")]
    Character {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The first character that is refused.
        found: char,
        /// The characters that are allowed, in words.
        allowed: &'static str,
    },
    /// A first or last character that the kind does not allow there.
    #[error("{what} cannot start or end with {found:?}")]
    Edge {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The character at the edge.
        found: char,
    },
    /// A name that the kernel or a path would read as something else.
    #[error("{what} cannot be {name:?}: {why}")]
    Reserved {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The refused name.
        name: String,
        /// Who reserves it.
        why: &'static str,
    },
}

/// Letters of a DNS-like name: `a-z`, `0-9`, `-`, `.`, at most 63 characters.
fn parse_label(text: &str, what: &'static str) -> Result<Box<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    let length = text.chars().count();
    if length > 63 {
        return Err(NameError::TooLong { what, limit: 63, length });
    }
    if let Some(found) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '.')) {
        return Err(NameError::Character { what, found, allowed: "a-z, 0-9, '-' and '.'" });
    }
    if let Some(found) = [text.chars().next(), text.chars().last()]
        .into_iter()
        .flatten()
        .find(|c| matches!(c, '-' | '.'))
    {
        return Err(NameError::Edge { what, found });
    }
    if text.contains("..") {
        return Err(NameError::Reserved { what, name: text.to_owned(), why: "'..' is a path" });
    }
    Ok(text.into())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// `a-z`, `0-9`, `-` and `.`, at most 63 characters, no `-` or `.` at either end, no `..`.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                parse_label(text, $what).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

label!(
    /// The name of a fleet: one inventory.
    FleetName,
    "a fleet name"
);
label!(
    /// The name of a managed host or of an unmanaged peer; both share one name space.
    HostName,
    "a host name"
);
label!(
    /// The name of a site: a place with LAN subnets and an underlay.
    SiteName,
    "a site name"
);
label!(
    /// The name of an overlay network.
    NetworkName,
    "a network name"
);
label!(
    /// The name of a group whose settings hosts inherit.
    GroupName,
    "a group name"
);

/// The name of a network interface: 1 to 15 characters of `a-z A-Z 0-9 _ = + . -`, as wg-quick(8)
/// takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(Box<str>);

impl InterfaceName {
    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "an interface name";
        if text.is_empty() {
            return Err(NameError::Empty { what: WHAT });
        }
        let length = text.chars().count();
        if length > 15 {
            return Err(NameError::TooLong { what: WHAT, limit: 15, length });
        }
        if let Some(found) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '.' | '-')))
        {
            return Err(NameError::Character {
                what: WHAT,
                found,
                allowed: "a-z, A-Z, 0-9, '_', '=', '+', '.' and '-'",
            });
        }
        // The first would be an option, the second hides its files.
        if let Some(found) = text.chars().next().filter(|c| matches!(c, '-' | '.')) {
            return Err(NameError::Edge { what: WHAT, found });
        }
        if matches!(text, "all" | "default" | "lo" | "interfaces") {
            return Err(NameError::Reserved {
                what: WHAT,
                name: text.to_owned(),
                why: "the kernel or wg(8) reads it as something else",
            });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_says_what_to_write() {
        let error = "b_7".parse::<HostName>().unwrap_err();
        assert_eq!(error.to_string(), "a host name cannot contain '_'; use a-z, 0-9, '-' and '.'");
        let error = "wg0123456789abcdef".parse::<InterfaceName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "an interface name has at most 15 characters, this one has 18"
        );
    }

    #[test]
    fn names_that_would_escape_a_path_or_a_shell_are_refused() {
        for bad in ["", "..", "a/b", "a b", "a\nb", "$(reboot)", "a'b", "-x", ".hidden", "a..b"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
            assert!(bad.parse::<InterfaceName>().is_err() || bad == "a..b", "{bad:?}");
        }
    }
}

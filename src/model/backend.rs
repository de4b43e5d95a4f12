//! What runs a tunnel, and the word for each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::plural::list;
use super::settings::SettingError;

macro_rules! backends {
    ($(
        $(#[$meta:meta])* $name:ident = $word:literal;
    )*) => {
        /// What runs a host's tunnels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum Backend {
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl Backend {
            /// The words of the file format, in the order in which they are told.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word of the file format, of messages and of documents.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

backends! {
    /// The kernel where it has `WireGuard`, otherwise the embedded tunnel.
    #[default]
    Auto = "auto";
    /// The kernel's `WireGuard`, or a plan that says why not.
    Kernel = "kernel";
    /// wgfleet's own userspace tunnel.
    Embedded = "embedded";
    /// The host's own `wireguard-go`.
    WireguardGo = "wireguard-go";
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let found = Self::ALL.iter().find(|backend| backend.as_str() == text);
        found.copied().ok_or_else(|| SettingError::Choice {
            what: "backend",
            choices: list(Self::WORDS),
            found: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_gets_all_words() {
        for (backend, word) in Backend::ALL.iter().zip(Backend::WORDS) {
            assert_eq!(word.parse(), Ok(*backend));
            assert_eq!(serde_json::to_value(backend).unwrap(), *word);
        }
        let said = "xen".parse::<Backend>().unwrap_err().to_string();
        assert_eq!(said, "backend is one of auto, kernel, embedded and wireguard-go, not \"xen\"");
    }
}

//! Numbers and small choices with a range.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::is_deceptive;

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A number outside its range.
    #[error("{what} is a number from {low} to {high}, not {found}")]
    Range {
        /// What the number is.
        what: &'static str,
        /// Smallest value.
        low: u32,
        /// Largest value.
        high: u32,
        /// What was written.
        found: String,
    },
    /// A word that is none of the choices.
    #[error("{what} is one of {choices}, not {found:?}")]
    Choice {
        /// What the word chooses.
        what: &'static str,
        /// The words that are allowed.
        choices: String,
        /// What was written.
        found: String,
    },
    /// A hook that could end its line in the rendered file.
    #[error(
        "a hook is one line of at most 4096 bytes without '#', where wg-quick(8) begins a comment \
         whatever the quotes; put more into a script and call that"
    )]
    Hook,
    /// A hook that reads otherwise than it runs.
    #[error(
        "a hook cannot contain {0:?}, which is not seen or changes how the text around it reads; leave \
         it out, or put it into a script and call that"
    )]
    HookCharacter(char),
}

/// A UDP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port(NonZeroU16);

impl Port {
    /// The port that examples of `WireGuard` use, and ours where a host listens without saying.
    pub const DEFAULT: Self = Self(NonZeroU16::new(51820).unwrap());

    /// `None` for 0.
    #[must_use]
    pub fn new(port: u16) -> Option<Self> {
        NonZeroU16::new(port).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The MTU of a tunnel interface in bytes, 576 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mtu(u16);

impl Mtu {
    /// What wg-quick(8) sets over an underlay of 1500 bytes.
    pub const DEFAULT: Self = Self(1420);

    /// Checks the range.
    ///
    /// # Errors
    /// Below 576 (no IPv4 host need accept less) or above 65535.
    pub fn new(bytes: u32) -> Result<Self, SettingError> {
        u16::try_from(bytes).ok().filter(|b| *b >= 576).map(Self).ok_or_else(|| {
            SettingError::Range { what: "an MTU", low: 576, high: 65535, found: bytes.to_string() }
        })
    }

    /// Bytes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `PersistentKeepalive` in seconds, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Keepalive(NonZeroU16);

impl Keepalive {
    /// Below the 30 s after which common NATs forget a UDP flow; the value that wg(8) names.
    pub const DEFAULT: Self = Self(NonZeroU16::new(25).unwrap());

    /// `None` for 0, which means off.
    #[must_use]
    pub fn new(seconds: u16) -> Option<Self> {
        NonZeroU16::new(seconds).map(Self)
    }

    /// Seconds.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The mark that the kernel puts on encrypted packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FwMark(pub u32);

impl fmt::Display for FwMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// wg-quick's `Table`: which routing table the routes of an interface go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum RouteTable {
    /// The main table; a default route gets wg-quick's policy routing.
    #[default]
    Auto,
    /// No routes are added.
    Off,
    /// The table of that number.
    Number(u32),
}

impl FromStr for RouteTable {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "main" => Ok(Self::Number(254)),
            _ => text.parse().ok().filter(|n| *n > 0).map(Self::Number).ok_or_else(|| {
                SettingError::Choice {
                    what: "table",
                    choices: "auto, off, main or a table number".to_owned(),
                    found: text.to_owned(),
                }
            }),
        }
    }
}

impl fmt::Display for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// How the login user of a host becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// As it is where the login user is root, otherwise sudo, otherwise doas.
    #[default]
    Auto,
    /// The login user is root.
    None,
    /// `sudo -n`.
    Sudo,
    /// `doas -n`.
    Doas,
}

impl Become {
    /// The word of the file format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Sudo => "sudo",
            Self::Doas => "doas",
        }
    }
}

impl FromStr for Become {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "sudo" => Ok(Self::Sudo),
            "doas" => Ok(Self::Doas),
            _ => Err(SettingError::Choice {
                what: "become",
                choices: "auto, none, sudo and doas".to_owned(),
                found: text.to_owned(),
            }),
        }
    }
}

/// A command of wg-quick's `PreUp`, `PostUp`, `PreDown` or `PostDown`: one line; `%i` is the interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hook(Box<str>);

impl Hook {
    /// The command line as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hook {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let text = text.trim();
        if text.is_empty() || text.len() > 4096 || text.contains(['#', '\n', '\r']) {
            return Err(SettingError::Hook);
        }
        // A blank that is none to the shell, too.
        let misread =
            |c: &char| is_deceptive(*c) || (c.is_whitespace() && *c != ' ') || *c == '\u{2800}';
        if let Some(found) = text.chars().find(misread) {
            return Err(SettingError::HookCharacter(found));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Hook {
    type Error = SettingError;
    fn try_from(text: String) -> Result<Self, SettingError> {
        text.parse()
    }
}

impl From<Hook> for String {
    fn from(hook: Hook) -> Self {
        hook.0.into()
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_runs_as_it_reads() {
        for good in ["touch é漢🚀", "ip route add default via 10.0.0.1", "echo a; b"] {
            assert_eq!(good.parse::<Hook>().unwrap().as_str(), good);
        }
        for bad in
            ["a\u{202e}b", "a\u{200b}b", "a\u{a0}b", "a\u{feff}b", "a\tb", "a\u{1b}b", "❤\u{fe0f}"]
        {
            let error = bad.parse::<Hook>().unwrap_err();
            assert!(matches!(error, SettingError::HookCharacter(_)), "{bad:?}");
            assert!(error.to_string().contains("\\u{") || bad.contains('\t'), "{error}");
        }
        for bad in ["", " ", "a # b", "a\nb", "a\rb"] {
            assert_eq!(bad.parse::<Hook>().unwrap_err(), SettingError::Hook, "{bad:?}");
        }
    }
}

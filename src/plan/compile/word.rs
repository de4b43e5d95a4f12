//! The words of an operation. None of them has a blank, so that a line is taken apart as it was put
//! together.

use std::fmt;

use crate::model::{Endpoint, HostPath, InterfaceName, Port, PublicKey, UnitName};
use crate::observed::LiveBackend;

/// A value that stands in the line of an operation: as no word, as one, or as several.
pub(super) trait Words {
    /// Writes each of its words behind a blank.
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! one_word {
    ($($kind:ty),*) => {
        $(impl Words for $kind {
            fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }
        })*
    };
}

// A path is made of names that can hold no blank, or was one word of what a host said of itself. A
// `String` is a table.
one_word!(
    InterfaceName,
    PublicKey,
    Endpoint,
    Port,
    HostPath,
    UnitName,
    u8,
    u32,
    String,
    Staged,
    Mode,
    Seconds,
    Sysctl
);

impl Words for LiveBackend {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.word())
    }
}

impl<T: Words> Words for Option<T> {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|word| word.put(f))
    }
}

impl<T: Words> Words for Vec<T> {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|word| word.put(f))
    }
}

/// The name of a file of the payload: a number and a word, nothing out of an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    pub(super) number: usize,
    pub(super) word: &'static str,
}

impl fmt::Display for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}.{}", self.number, self.word)
    }
}

/// Permission bits, written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:o}", self.0)
    }
}

/// The time between two keepalives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seconds {
    /// The word for none.
    Off,
    /// Seconds; 0 is none as well.
    Every(u16),
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Every(seconds) => seconds.fmt(f),
        }
    }
}

/// A setting of the kernel, by its path below /proc/sys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sysctl {
    /// Forwarding of IPv4.
    ForwardV4,
    /// Forwarding of IPv6.
    ForwardV6,
    /// Whether an interface hears the advertisements of routers.
    AcceptRa(InterfaceName),
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForwardV4 => f.write_str("net/ipv4/ip_forward"),
            Self::ForwardV6 => f.write_str("net/ipv6/conf/all/forwarding"),
            Self::AcceptRa(interface) => write!(f, "net/ipv6/conf/{interface}/accept_ra"),
        }
    }
}

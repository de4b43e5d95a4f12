//! What a plan must not do.

use std::fmt;
use std::str::FromStr;

/// A kind of change that is not to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// An interface that is stopped and made anew.
    Restart,
    /// A flow that works and ceases to, during the change or for good.
    LostFlow,
    /// An interface, a peer, an address, a route, a file or a firewall that goes.
    Removal,
    /// A command that runs as root in the course of the change.
    Hook,
}

/// Why a text is no such kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is nothing that can be forbidden; write restart, lost-flow, removal or hook")]
pub struct ForbiddenError;

impl Forbidden {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Restart, Self::LostFlow, Self::Removal, Self::Hook];
    /// The words for them, in the same order.
    pub const WORDS: &'static [&'static str] = &["restart", "lost-flow", "removal", "hook"];

    /// The word for it, as an operator writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::LostFlow => "lost-flow",
            Self::Removal => "removal",
            Self::Hook => "hook",
        }
    }
}

impl FromStr for Forbidden {
    type Err = ForbiddenError;

    fn from_str(text: &str) -> Result<Self, ForbiddenError> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or(ForbiddenError)
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_word() {
        assert_eq!(Forbidden::ALL.map(Forbidden::word), Forbidden::WORDS);
        for kind in Forbidden::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
        }
        assert_eq!("reboot".parse::<Forbidden>(), Err(ForbiddenError));
    }
}

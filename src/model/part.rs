//! A part of some hosts: a number, or so many of a hundred.

use std::fmt;
use std::str::FromStr;

/// A part of some hosts, as `5` or `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// So many hosts.
    Hosts(u32),
    /// So many of a hundred, at most all.
    Percent(u8),
}

/// Why a text is no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no part of the hosts; write a number like 5, or a percentage like 10%")]
pub struct PartError;

impl Part {
    /// No host.
    pub const NONE: Self = Self::Hosts(0);

    /// How many of `all` hosts it is, rounded up.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => usize::try_from(hosts).unwrap_or(usize::MAX),
            Self::Percent(percent) => all.saturating_mul(usize::from(percent)).div_ceil(100),
        }
    }
}

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PartError);
        }
        if digits.len() == text.len() {
            return digits.parse().map(Self::Hosts).map_err(|_| PartError);
        }
        let percent: u8 = digits.parse().map_err(|_| PartError)?;
        if percent <= 100 { Ok(Self::Percent(percent)) } else { Err(PartError) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => hosts.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentages_are_parts() {
        for (text, of_30) in
            [("0", 0), ("5", 5), ("50", 50), ("10%", 3), ("1%", 1), ("100%", 30), ("0%", 0)]
        {
            let part: Part = text.parse().unwrap();
            assert_eq!((part.to_string().as_str(), part.of(30)), (text, of_30));
        }
        for text in ["", "%", "-1", "101%", "1 %", "5.5", "0x5", "99999999999", "+3"] {
            assert_eq!(text.parse::<Part>(), Err(PartError), "{text}");
        }
    }
}

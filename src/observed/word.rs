//! The words of a line.

use std::str::{FromStr, SplitAsciiWhitespace};

/// The next word, as a value.
pub(super) fn word<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

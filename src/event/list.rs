//! Lists of any length in a sentence.

use std::fmt::Display;

/// Most that a reason lists.
pub const LISTED: usize = 64;

/// Most that a sentence names.
const NAMED: usize = 8;

/// The first of some, for a sentence.
pub(super) fn list<T: Display>(all: &[T]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if all.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

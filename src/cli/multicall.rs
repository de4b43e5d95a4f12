//! The names under which the binary is another tool: `wg`, `wg-quick` and `wgfleet-tunnel`.
//!
//! wgfleet is pushed to hosts without wireguard-tools and linked to under these names.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The words that come before the arguments of a tool, by the name that it was called with.
const TOOLS: [(&str, &[&str]); 3] =
    [("wg", &["wg"]), ("wg-quick", &["quick"]), ("wgfleet-tunnel", &["tunnel"])];

/// The arguments as if wgfleet itself had been called, its own name first.
pub(super) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.into_iter();
    let program = given.next().unwrap_or_default();
    let called = Path::new(&program).file_name().unwrap_or_default();
    let words = TOOLS.iter().find(|(name, _)| called == OsStr::new(name));
    let words = words.map_or(&[][..], |(_, words)| words);
    [OsString::from("wgfleet")]
        .into_iter()
        .chain(words.iter().map(OsString::from))
        .chain(given)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_the_tool_it_is_named_after() {
        let becomes =
            |given: &[&str]| arguments(given.iter().map(OsString::from)).join(OsStr::new(" "));
        assert_eq!(becomes(&["/run/x/wg", "show"]), "wgfleet wg show");
        assert_eq!(becomes(&["wg-quick", "up", "wg0"]), "wgfleet quick up wg0");
        assert_eq!(becomes(&["./wgfleet-tunnel", "wg0"]), "wgfleet tunnel wg0");
        assert_eq!(becomes(&["/opt/wgfleet-1f2e", "wg", "show"]), "wgfleet wg show");
    }
}

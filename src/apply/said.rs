//! What a host said, as it may be shown to a person.

use crate::model::{Untrusted, mask};

/// What a host said, as a line that can be shown to a person.
pub(super) fn said(stdout: &str, stderr: &str) -> String {
    let text = shown(&mask(&format!("{stdout} {stderr}")).replace('\n', " "));
    let text = text.trim();
    if text.is_empty() { "it ended without a word".to_owned() } else { text.to_owned() }
}

/// A host's text as it may be shown: a few lines, each of some length.
pub(super) fn shown(text: &str) -> String {
    let line = |line: &str| Untrusted::new(line.chars().take(400).collect::<String>()).to_string();
    // Masked first: a key may have several lines, and of one that is cut nobody knows what it was.
    let text = mask(text);
    text.lines().take(8).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_host_says() {
        let hostile = "failed 1 x: \u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\r\nreverted\n";
        assert_eq!(shown(hostile), "failed 1 x: \\u{1b}]0;owned\\u{7}\\u{202e}\\u{9b}2J\nreverted");
        assert_eq!(shown("done\n"), "done");
        assert_eq!(said("a\nb\u{1b}[1m\n", ""), "a b\\u{1b}[1m");
        assert_eq!(said(&"x".repeat(9000), "").len(), 400);
        assert_eq!(said("\n", " "), "it ended without a word");
    }
}

//! Text that somebody else wrote, as it may be shown.

use std::fmt;

use serde::{Serialize, Serializer};

/// Whether a character does something else than stand where it is written: a control, a mark that
/// turns the direction of what follows, one that takes no room, a separator of lines. What a
/// person reads in such text is not what it says ("Trojan Source").
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0xad                      // soft hyphen
            | 0x34f                   // combining grapheme joiner
            | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2
            | 0x115f..=0x1160 | 0x17b4..=0x17b5 // fillers that are not drawn
            | 0x180b..=0x180f
            | 0x200b..=0x200f         // zero widths, left-to-right and right-to-left marks
            | 0x2028..=0x202e         // separators of lines, embeddings, overrides
            | 0x2060..=0x206f         // joiners, isolates
            | 0x3164 | 0xffa0         // fillers
            | 0xfe00..=0xfe0f         // variation selectors
            | 0xfeff | 0xfff0..=0xfffb
            | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff       // tags, more selectors
        )
}

/// Text of a host, or of a file that a stranger may have written. Showing it is the only way out:
/// what a terminal would obey, or an eye misread, is shown as `\\u{202e}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Untrusted(String);

impl Untrusted {
    /// Takes a text as it came.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it came: to compare it, never to show it.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in self.0.char_indices().filter(|(_, c)| is_deceptive(*c)) {
            f.write_str(&self.0[plain..at])?;
            write!(f, "{}", c.escape_unicode())?;
            plain = at + c.len_utf8();
        }
        f.write_str(&self.0[plain..])
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_shown_is_what_is_written() {
        let show = |text: &str| Untrusted::new(text).to_string();
        for plain in ["wg0 is up", "é 漢 ü 🚀 ±", "a\\b", "::1/128"] {
            assert_eq!(show(plain), plain);
        }
        assert_eq!(show("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(show("touch x # \u{202e}y"), "touch x # \\u{202e}y");
        assert_eq!(show("1\n2\u{2028}3\u{200b}4"), "1\\u{a}2\\u{2028}3\\u{200b}4");
        assert_eq!(format!("{:?}", Untrusted::new("\u{9b}x")), "\"\\\\u{9b}x\"");
        let json = serde_json::to_string(&Untrusted::new("\u{2066}x")).unwrap();
        assert_eq!(json, "\"\\\\u{2066}x\"");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_comes_out(text in any::<String>()) {
            let shown = Untrusted::new(text).to_string();
            prop_assert!(!shown.chars().any(is_deceptive));
            prop_assert_eq!(Untrusted::new(shown.clone()).to_string(), shown);
        }
    }
}

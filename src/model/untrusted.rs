//! Text that somebody else wrote, as it may be shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::masking::mask;

/// Whether a character does something else than stand where it is written: a control, a mark that
/// turns the direction of what follows, one that takes no room or only chooses how its neighbour is
/// drawn, a separator of lines. What a person reads in such text is not what it says ("Trojan
/// Source", CVE-2021-42574).
///
/// It holds Cc, Cf, Zl, Zp and what Unicode calls default ignorable, variation selectors included.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
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
            | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff
            | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff       // tags, more selectors
        )
}

/// Whether a character turns the direction of what stands behind it, to the end of the line: an
/// embedding, an override or an isolate, or the end of one. No text of one line needs them.
#[must_use]
pub fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text of a host, or of a file that a stranger may have written. Showing it is the only way out:
/// what a terminal would obey, or an eye misread, is shown as `\u{202e}`. So is the first character
/// of what the log of a CI system would obey: `::error …::` where a line begins, and `##[…]`,
/// `##vso[…]` or `##teamcity[…]` wherever they stand. What has the form of a secret is hidden.
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

    /// The text as it may be shown on several lines: where it has a line end, a line ends.
    #[must_use]
    pub fn lines(&self) -> String {
        // Masked as a whole: a private key in PEM has several lines.
        let text = mask(&self.0);
        let lines: Vec<String> = text.lines().map(|line| Self::new(line).to_string()).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = mask(&self.0);
        let mut plain = 0;
        for (at, c) in unplain(&text) {
            f.write_str(&text[plain..at])?;
            write!(f, "{}", c.escape_unicode())?;
            plain = at + c.len_utf8();
        }
        f.write_str(&text[plain..])
    }
}

/// The characters of a text that must not be shown as they are, each with its byte: deceptive ones,
/// and the first of what the log of a CI system would take for a command. GitHub takes
/// `::name …::` at the beginning of a line, blanks before it aside, and `##[` anywhere; Azure takes
/// `##vso[` anywhere, `TeamCity` `##teamcity[`.
pub fn unplain(text: &str) -> impl Iterator<Item = (usize, char)> {
    let begins = text.len() - text.trim_start().len();
    // An address such as ::1 has no second pair of colons.
    let command = text[begins..].strip_prefix("::").is_some_and(|rest| rest.contains("::"));
    let hashes = |at: usize| {
        let word = text[at..].strip_prefix("##");
        let rest = word.map(|word| word.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
        rest.is_some_and(|rest| rest.starts_with('['))
    };
    text.char_indices().filter(move |(at, c)| {
        is_deceptive(*c) || (command && *at == begins) || (*c == '#' && hashes(*at))
    })
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

impl<'a> Deserialize<'a> for Untrusted {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_shown_is_what_is_written() {
        let show = |text: &str| Untrusted::new(text).to_string();
        for plain in ["wg0 is up", "é 漢 ü 🚀 ±", "a\\b", "::1/128", "# a ## b [c]", "a::b::c"]
        {
            assert_eq!(show(plain), plain);
        }
        assert_eq!(show("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(show("touch x # \u{202e}y"), "touch x # \\u{202e}y");
        assert_eq!(show("1\n2\u{2028}3\u{200b}4"), "1\\u{a}2\\u{2028}3\\u{200b}4");
        assert_eq!(format!("{:?}", Untrusted::new("\u{9b}x")), "\"\\\\u{9b}x\"");
        let json = serde_json::to_string(&Untrusted::new("\u{2066}x")).unwrap();
        assert_eq!(json, "\"\\\\u{2066}x\"");
    }

    #[test]
    fn no_secret_comes_out() {
        let show = |text: &str| Untrusted::new(text).to_string();
        let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
        assert_eq!(show(&format!("PostUp = echo {key} | wg")), "PostUp = echo (hidden) | wg");
        assert_eq!(show(&format!("PublicKey = {key}")), format!("PublicKey = {key}"));
        let pem =
            "a\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----\nb";
        let hidden = pem.replace("MC4CAQAwBQYDK2VwBCIE", "(hidden)");
        assert_eq!(Untrusted::new(pem).lines(), hidden);
    }

    #[test]
    fn the_log_of_a_ci_system_obeys_nothing() {
        let show = |text: &str| Untrusted::new(text).to_string();
        assert_eq!(show("::error file=a::b"), "\\u{3a}:error file=a::b");
        assert_eq!(show("  ::add-mask::x"), "  \\u{3a}:add-mask::x");
        assert_eq!(show("a ##vso[task.x]b"), "a \\u{23}#vso[task.x]b");
        assert_eq!(show("##[error]b"), "\\u{23}#[error]b");
        assert_eq!(show("###teamcity[x]"), "#\\u{23}#teamcity[x]");
        assert_eq!(
            Untrusted::new("a\n::stop-commands::x\n").lines(),
            "a\n\\u{3a}:stop-commands::x"
        );
        assert_eq!(Untrusted::new("a\r\n\u{1b}[1m").lines(), "a\n\\u{1b}[1m");
    }

    /// Any text, and more often than chance brings them: what is to be found.
    fn texts() -> impl Strategy<Value = String> {
        let found = "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{61c}\u{200b}-\u{200f}\u{2028}-\u{202e}\
                     \u{2060}-\u{2069}\u{fe00}-\u{fe0f}\u{feff}\u{e0001}é漢🚀a:#\\[ ]{0,40}";
        prop_oneof![any::<String>(), found, "( |::|##|vso|[a-z]|\\[|\\]){0,12}"]
    }

    proptest! {
        #[test]
        fn nothing_deceptive_comes_out(text in texts()) {
            let shown = Untrusted::new(text.as_str()).to_string();
            prop_assert!(!shown.chars().any(is_deceptive));
            prop_assert_eq!(unplain(&shown).next(), None);
            prop_assert_eq!(Untrusted::new(shown.clone()).to_string(), shown.clone());
            // Nothing is lost: what is plain stays, in order.
            let plain: String = text.chars().filter(|c| !is_deceptive(*c) && !":#".contains(*c)).collect();
            let mut rest = shown.chars();
            prop_assert!(plain.chars().all(|c| rest.any(|shown| shown == c)));
            if !text.chars().any(is_deceptive) && !text.contains("::") && !text.contains("##") {
                prop_assert_eq!(text, shown);
            }
        }
    }
}

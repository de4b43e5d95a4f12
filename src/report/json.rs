//! JSON that a terminal, an eye and the log of a CI system can take.

use serde::Serialize;
use serde_json::Error;

use crate::model::unplain;

/// A value as indented JSON with a line end. Characters that mislead are escaped as JSON escapes
/// them, so that a program still gets each text as it is.
///
/// # Errors
/// Where the value cannot be JSON.
pub fn pretty(value: &(impl Serialize + ?Sized)) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(|text| plain(&text))
}

/// The same on one line.
///
/// # Errors
/// Where the value cannot be JSON.
pub fn line(value: &(impl Serialize + ?Sized)) -> Result<String, Error> {
    serde_json::to_string(value).map(|text| plain(&text))
}

/// Outside of strings JSON is plain but for its line ends, and within them these are escaped already.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 1);
    let mut from = 0;
    for (at, c) in unplain(text).filter(|(_, c)| *c != '\n') {
        escaped.push_str(&text[from..at]);
        from = at + c.len_utf8();
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = std::fmt::Write::write_fmt(&mut escaped, format_args!("\\u{unit:04x}"));
        }
    }
    escaped.push_str(&text[from..]);
    escaped.push('\n');
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::is_deceptive;

    #[test]
    fn a_terminal_obeys_no_json() {
        let text = "a\u{202e}b\u{7f}\u{e0041}##vso[x]é\n";
        let shown = "\"a\\u202eb\\u007f\\udb40\\udc41\\u0023#vso[x]é\\n\"\n";
        assert_eq!(line(text).unwrap(), shown);
    }

    proptest! {
        #[test]
        fn a_program_gets_what_is_there(texts in prop::collection::vec(any::<String>(), 0..4)) {
            let shown = pretty(&texts).unwrap();
            prop_assert!(!shown.chars().any(|c| c != '\n' && is_deceptive(c)));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), texts);
        }
    }
}

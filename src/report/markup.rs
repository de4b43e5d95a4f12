//! Text that goes into HTML or XML: nothing of it becomes markup, and nothing misleads.

use crate::model::{mask, unplain};

/// Text for an element or a quoted attribute. What an eye would misread, and what the formats do not
/// have, is shown as `\u{202e}`; line ends and tabs stay.
pub(super) fn escape(text: &str) -> String {
    let text = &*mask(text);
    let mut escaped = String::with_capacity(text.len());
    let mut unplain = unplain(text).filter(|(_, c)| !matches!(c, '\n' | '\t')).peekable();
    for (at, c) in text.char_indices() {
        if unplain.next_if(|(next, _)| *next == at).is_some() {
            escaped.extend(c.escape_unicode());
            continue;
        }
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        let text = "<a b='c' d=\"e\">&\u{1b}\u{202e}\u{ffff}\té\n";
        let shown = "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\\u{1b}\\u{202e}\\u{ffff}\té\n";
        assert_eq!(escape(text), shown);
    }
}

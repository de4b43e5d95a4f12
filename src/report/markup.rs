//! Text that goes into HTML or XML: nothing of it becomes markup.

/// Text for an element or a quoted attribute; a character that the format does not have becomes
/// what `unfit` gives for it, or is left out.
pub(super) fn escape(text: &str, unfit: impl Fn(char) -> Option<char>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.extend(unfit(c)),
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
        let text = "<a b='c' d=\"e\">&\u{1b}\t\n";
        let shown = escape(text, |c| (c == '\t').then_some(' '));
        assert_eq!(shown, "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp; \n");
    }
}

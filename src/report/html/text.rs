//! Text that goes into a page: nothing of it becomes markup or script.

/// Text for an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    crate::report::markup::escape(text, |_| Some('\u{fffd}'))
}

/// A value as JSON within a script element, which no text of it can end.
pub(super) fn json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(escape("<a b='c'>&\u{1b}"), "&lt;a b=&#39;c&#39;&gt;&amp;\u{fffd}");
        assert!(!json(&serde_json::json!("</script><!--")).contains('<'));
    }
}

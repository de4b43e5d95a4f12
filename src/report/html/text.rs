//! Text that goes into a page: nothing of it becomes markup or script.

use serde_json::Value;

pub(super) use crate::report::markup::escape;

use crate::model::Untrusted;

/// A value whose texts, names of keys aside, are as they may be shown.
pub(super) fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(Untrusted::new(text).lines()),
        Value::Array(items) => Value::Array(items.into_iter().map(shown).collect()),
        Value::Object(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, shown(value))).collect())
        }
        plain => plain,
    }
}

/// A value as JSON within a script element, which no text of it can end.
pub(super) fn json(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(escape("<a b='c'>&\u{1b}"), "&lt;a b=&#39;c&#39;&gt;&amp;\\u{1b}");
        assert!(!super::json(&json!("</script><!--")).contains('<'));
        let value = json!({ "a": ["\u{202e}x\ny", 1] });
        assert_eq!(shown(value), json!({ "a": ["\\u{202e}x\ny", 1] }));
    }
}

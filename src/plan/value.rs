//! Values of settings in JSON: a plan has them as people read them.

use serde::{Deserialize, Serialize};

/// The value of a setting in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FieldValue {
    /// A number: of seconds, of bytes, a port or a mark.
    Number(u32),
    /// Prefixes.
    List(#[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))] Vec<String>),
    /// A word, a key or an endpoint.
    Text(#[cfg_attr(test, schemars(with = "crate::model::schema::Word"))] String),
}

/// What stands between the items of a list for people.
const BETWEEN: &str = ", ";

impl FieldValue {
    /// A number, where the text is one as wgfleet writes it.
    pub(super) fn number(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &u32| number.to_string() == text);
        number.map_or_else(|| Self::Text(text.to_owned()), Self::Number)
    }

    /// A mark, where the text is one as wgfleet writes it.
    pub(super) fn mark(text: &str) -> Self {
        let digits = text.strip_prefix("0x");
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let number = number.filter(|number| format!("{number:#x}") == text);
        number.map_or_else(|| Self::Text(text.to_owned()), Self::Number)
    }

    /// A list.
    pub(super) fn list(text: &str) -> Self {
        let items = text.split(BETWEEN).filter(|_| !text.is_empty());
        Self::List(items.map(str::to_owned).collect())
    }

    /// A word of a table that has, for each, what people read first.
    pub(super) fn word(text: &str, words: &[(&str, &str)]) -> Self {
        let known = words.iter().find(|(shown, _)| *shown == text);
        Self::Text(known.map_or(text, |(_, word)| word).to_owned())
    }

    /// What [`FieldValue::word`] was made of.
    pub(super) fn of_word(self, words: &[(&str, &str)]) -> String {
        let text = self.into_text();
        let known = words.iter().find(|(_, word)| *word == text);
        known.map_or(text.as_str(), |(shown, _)| shown).to_owned()
    }

    /// What [`FieldValue::mark`] was made of.
    pub(super) fn into_mark(self) -> String {
        match self {
            Self::Number(number) => format!("{number:#x}"),
            other => other.into_text(),
        }
    }

    /// What any other value was made of.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::List(items) => items.join(BETWEEN),
            Self::Text(text) => text,
        }
    }
}

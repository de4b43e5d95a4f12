//! How a reason stands in JSON: its kind, its values, and `text`, the same in words. For fields, as
//! `#[serde(with = "worded")]`.

use std::fmt::Display;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A reason, and the same in words.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Worded{R}"))]
pub(crate) struct Worded<R> {
    #[serde(flatten)]
    reason: R,
    /// The same in words, which may change with any release.
    text: String,
}

impl<R: Display> From<R> for Worded<R> {
    fn from(reason: R) -> Self {
        let text = reason.to_string();
        Self { reason, text }
    }
}

/// Writes a reason with its words.
pub(crate) fn serialize<R: Serialize + Display, S: Serializer>(
    reason: &R,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Worded::from(reason).serialize(serializer)
}

/// Reads a reason; its words have to be there, and say nothing that counts.
pub(crate) fn deserialize<'a, R: Deserialize<'a>, D: Deserializer<'a>>(
    deserializer: D,
) -> Result<R, D::Error> {
    Ok(Worded::deserialize(deserializer)?.reason)
}

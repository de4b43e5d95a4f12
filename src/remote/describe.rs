//! An error and its causes as text that may be shown.

use crate::model::{Untrusted, mask};

/// An error with its causes, on one line.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = std::iter::successors(Some(error), |error| error.source())
        .map(|error| {
            let text = mask(&error.to_string()).replace('\n', " ").trim().to_owned();
            Untrusted::new(text).to_string()
        })
        .collect();
    texts.dedup();
    texts.join(": ")
}

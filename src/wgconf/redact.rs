//! Secrets in the text of files, wherever they stand: as a setting, in a hook, in a comment, in a word
//! of a template.

use std::borrow::Cow;
use std::ops::Range;

use super::Setting;
use super::line::lines;
use crate::model::{HIDDEN, secrets_in};

/// What stands for a key in a comment, as the host's script writes it.
const HIDDEN_IN_COMMENT: &str = "(key)";

/// A configuration file's text with everything hidden that is a secret by its setting or has the form of
/// one, in the words that the host's script has for it. Public keys are told where they stand as such,
/// behind the name of their setting.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let found = secrets(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for range in found {
        redacted.push_str(&text[from..range.start]);
        let line = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
        let comment = text[line..range.start].contains('#');
        redacted.push_str(if comment { HIDDEN_IN_COMMENT } else { HIDDEN });
        from = range.end;
    }
    redacted.push_str(&text[from..]);
    Cow::Owned(redacted)
}

/// Where secrets stand, in order, and none within another.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let by_form = secrets_in(text);
    let mut found: Vec<Range<usize>> = by_name(text).collect();
    if found.is_empty() {
        return by_form;
    }
    found.extend(by_form);
    found.sort_by_key(|range| range.start);
    found.dedup_by(|next, last| {
        let within = next.start < last.end;
        if within {
            last.end = last.end.max(next.end);
        }
        within
    });
    found
}

/// The values of settings that are secret, whatever they look like.
fn by_name(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    lines(text.as_bytes()).filter_map(move |line| {
        let at = start;
        start += line.raw.len();
        let entry = line.entry()?;
        let secret = entry.setting.or_else(|| spaced(entry.key)).is_some_and(Setting::is_secret);
        let shown = entry.value.is_empty() || entry.value == HIDDEN;
        let from = at + entry.value_at;
        (secret && !shown).then(|| from..from + entry.value.len())
    })
}

/// The setting of a name with blanks in it: wg(8) ignores them.
fn spaced(name: &str) -> Option<Setting> {
    let blanks = name.contains(char::is_whitespace);
    let squeezed = || name.split_whitespace().collect::<String>();
    blanks.then(squeezed).and_then(|name| Setting::of(&name))
}

//! One line of a configuration file, and what stands on it.

use super::{Heading, Setting};

/// A line: any bytes are some.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which, from 1.
    pub number: usize,
    /// Its bytes, with those that end it.
    pub raw: &'a [u8],
    /// What stands there.
    pub content: Content<'a>,
    /// Bytes before the first that is no blank.
    pub indent: usize,
    /// Bytes before the comment, or before the end.
    pub code: usize,
    /// Whether there is a comment.
    pub commented: bool,
}

/// What stands on a line before its comment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing.
    Blank,
    /// The beginning of a section.
    Heading(Heading),
    /// A setting.
    Entry(Entry<'a>),
    /// Neither.
    Other,
    /// Bytes that are no text.
    NotText {
        /// How many bytes before them are.
        valid: usize,
    },
}

/// A key with its value, without the blanks around them. The value may be a secret, so none of this
/// has a `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key as it is written.
    pub key: &'a str,
    /// The setting that it names.
    pub setting: Option<Setting>,
    /// The value.
    pub value: &'a str,
    /// Bytes of the line before the value.
    pub value_at: usize,
}

impl<'a> Entry<'a> {
    /// The items of a value that is a list.
    pub fn items(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.split(',').map(str::trim)
    }
}

impl<'a> Line<'a> {
    /// Takes a line apart. What stands behind `#` is a comment, also in a hook, as for wg(8) and
    /// wg-quick(8).
    #[must_use]
    pub fn of(number: usize, raw: &'a [u8]) -> Self {
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let comment = text.iter().position(|byte| *byte == b'#');
        let code = comment.unwrap_or(text.len());
        let (content, indent) = match std::str::from_utf8(&text[..code]) {
            Ok(code) => (Content::of(code), code.len() - code.trim_start().len()),
            Err(error) => (Content::NotText { valid: error.valid_up_to() }, 0),
        };
        Self { number, raw, content, indent, code, commented: comment.is_some() }
    }

    /// The line with its comment, without what ends it; nothing where it is no text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        let text = std::str::from_utf8(self.raw).unwrap_or_default();
        text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
    }

    /// The comment, without its `#` and the blanks around it; nothing where it is no text.
    #[must_use]
    pub fn comment(&self) -> Option<&'a str> {
        let comment = self.commented.then(|| &self.raw[self.code + 1..])?;
        Some(std::str::from_utf8(comment).unwrap_or_default().trim())
    }

    /// Whether there is nothing, not even a comment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content == Content::Blank && !self.commented
    }

    /// Whether there is nothing but a comment.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.content == Content::Blank && self.commented
    }

    /// Whether it begins a section, known or not, and so ends the one before.
    #[must_use]
    pub fn opens_section(&self) -> bool {
        !matches!(self.content, Content::NotText { .. })
            && self.raw[self.indent..self.code].starts_with(b"[")
    }

    /// What stands before `=` and before the comment, as wg-quick(8) takes it: bytes, also where the
    /// value is no text.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let code = &self.raw[..self.code];
        let key = code.split(|byte| *byte == b'=').next().unwrap_or_default();
        let begin = key.iter().position(|byte| !is_blank(byte)).unwrap_or(key.len());
        let end = key.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |last| last + 1);
        &key[begin..end]
    }

    /// What stands behind `=` and before the comment, like [`key`](Self::key).
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        let code = &self.raw[..self.code];
        let at = code.iter().position(|byte| *byte == b'=').map_or(code.len(), |at| at + 1);
        code[at..].trim_ascii()
    }

    /// The heading on it.
    #[must_use]
    pub const fn heading(&self) -> Option<Heading> {
        match self.content {
            Content::Heading(heading) => Some(heading),
            _ => None,
        }
    }

    /// The key and value on it.
    #[must_use]
    pub const fn entry(&self) -> Option<Entry<'a>> {
        match self.content {
            Content::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    /// The known setting on it, and its value.
    #[must_use]
    pub fn setting(&self) -> Option<(Setting, &'a str)> {
        let entry = self.entry()?;
        Some((entry.setting?, entry.value))
    }
}

impl<'a> Content<'a> {
    /// What stands on a line without its comment.
    fn of(code: &'a str) -> Self {
        let body = code.trim();
        if body.is_empty() {
            return Self::Blank;
        }
        if let Some(heading) = Heading::of(body) {
            return Self::Heading(heading);
        }
        let Some((key, value)) = body.split_once('=') else { return Self::Other };
        let (key, value) = (key.trim(), value.trim());
        let value_at = code.trim_end().len() - value.len();
        Self::Entry(Entry { key, setting: Setting::of(key), value, value_at })
    }
}

/// The lines of a text, in order, as lazily as they are asked for.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let raw = text.split_inclusive(|byte| *byte == b'\n').zip(1..);
    raw.map(|(raw, number)| Line::of(number, raw))
}

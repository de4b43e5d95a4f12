//! Writing a configuration file.

use std::fmt::{Display, Write as _};

use zeroize::Zeroizing;

use super::{Heading, Setting};

/// Writes a file, with its secrets; the text is zeroed on drop.
pub struct Writer {
    text: Zeroizing<String>,
}

impl Writer {
    /// An empty text with room for so many bytes. More than that leaves copies behind, of what was
    /// there, that nobody zeroes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(bytes)) }
    }

    /// Begins a section.
    pub fn heading(&mut self, heading: Heading) {
        self.text.push_str(heading.as_str());
        self.text.push('\n');
    }

    /// Writes an empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Writes a setting.
    pub fn set(&mut self, setting: Setting, value: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{setting} = {value}");
    }

    /// Writes a setting that is a list, unless it has no items.
    pub fn list(&mut self, setting: Setting, items: impl IntoIterator<Item = impl Display>) {
        let mut before = None;
        for item in items {
            let _ = match before.replace(", ") {
                None => write!(self.text, "{setting} = {item}"),
                Some(comma) => write!(self.text, "{comma}{item}"),
            };
        }
        if before.is_some() {
            self.text.push('\n');
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Zeroizing<String> {
        self.text
    }
}

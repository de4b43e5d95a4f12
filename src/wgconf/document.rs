//! A configuration file as its sections, without losing a byte.

use super::line::{Entry, Line, lines};
use super::{Heading, Setting};

/// A file, section by section.
#[derive(Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// Its sections; the first is what stands before any heading.
    pub sections: Vec<Section<'a>>,
}

/// What stands below a heading, with the heading's line and the comments right above that.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Section<'a> {
    /// What it is about; nothing before the first heading, and below one that is unknown.
    pub heading: Option<Heading>,
    /// Its lines.
    pub lines: Vec<Line<'a>>,
}

impl<'a> Document<'a> {
    /// Takes a text apart. Whatever it is, it is some document.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        let mut sections = Vec::new();
        let mut open = Section::default();
        for line in lines(text) {
            if line.opens_section() {
                let comments = open.lines.iter().rev().take_while(|line| line.is_comment()).count();
                let lines = open.lines.split_off(open.lines.len() - comments);
                let next = Section { heading: line.heading(), lines };
                sections.push(std::mem::replace(&mut open, next));
            }
            open.lines.push(line);
        }
        sections.push(open);
        Self { sections }
    }

    /// Its lines, in order: what was taken apart.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> {
        self.sections.iter().flat_map(|section| &section.lines).copied()
    }
}

impl<'a> Section<'a> {
    /// The value of a setting; the last one where it stands there more than once.
    #[must_use]
    pub fn last(&self, setting: Setting) -> Option<&'a str> {
        self.entries()
            .filter(|entry| entry.setting == Some(setting))
            .last()
            .map(|entry| entry.value)
    }

    /// Its keys and values, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        self.lines.iter().filter_map(Line::entry)
    }
}

//! What a line of a plan does, and the styles of its text.

use anstyle::{AnsiColor, Style};

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sign {
    Add,
    Remove,
    Change,
}

impl Sign {
    /// How the line looks.
    pub(super) const fn style(self) -> Style {
        let colour = match self {
            Self::Add => AnsiColor::Green,
            Self::Remove => AnsiColor::Red,
            Self::Change => AnsiColor::Yellow,
        };
        colour.on_default()
    }

    /// What the line begins with.
    pub(super) const fn glyph(self) -> char {
        match self {
            Self::Add => '+',
            Self::Remove => '-',
            Self::Change => '~',
        }
    }
}

/// What a section is about.
pub(super) const BOLD: Style = Style::new().bold();
/// What matters less.
pub(super) const DIM: Style = Style::new().dimmed();
/// What keeps a plan from being carried out.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

//! What is wrong with an operator's file, as data.
//!
//! A [`Finding`] has a permanent [`Code`], a severity, places in the source, often a witness packet
//! with its trace, and help. All findings are collected; nothing stops at the first.

mod code;
mod hop;
mod severity;

pub use code::Code;
pub use hop::{FlowEnd, Hop, HopAction, Loss, Reason, Witness};
pub use severity::Severity;

use std::net::IpAddr;

use serde::Serialize;

use crate::model::{Location, mask_in};

/// A place in the source and what it has to do with the finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    pub at: Location,
    /// What is there, as a lower-case fragment; may be empty on the primary label.
    pub text: String,
}

/// One thing that is wrong, or worth knowing, about the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Permanent code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One line: what is wrong. It starts lower case and has no full stop.
    pub title: String,
    /// The place that is to change.
    pub primary: Label,
    /// Other places that have to do with it.
    pub others: Vec<Label>,
    /// A packet that shows it.
    pub witness: Option<Witness>,
    /// What each hop does with the witness.
    pub trace: Vec<Hop>,
    /// What to write or run instead.
    pub help: Option<String>,
    /// How many findings of the same cause this one stands for; 1 where it is alone.
    pub count: u32,
}

impl Finding {
    /// A finding of the code's own severity at one place.
    #[must_use]
    pub fn new(code: Code, title: impl Into<String>, at: Location) -> Self {
        Self {
            code,
            severity: code.severity(),
            title: title.into(),
            primary: Label { at, text: String::new() },
            others: Vec::new(),
            witness: None,
            trace: Vec::new(),
            help: None,
            count: 1,
        }
    }

    /// Says what is at the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, at: Location, text: impl Into<String>) -> Self {
        self.others.push(Label { at, text: text.into() });
        self
    }

    /// Says what to write or run instead.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Adds the packet that shows it.
    #[must_use]
    pub fn witness(mut self, source: IpAddr, destination: IpAddr) -> Self {
        self.witness = Some(Witness { source, destination });
        self
    }
}

/// Puts findings into the order of the file, by place, then code, and hides whatever in them has the
/// form of a secret: whatever is shown of an inventory comes through here.
pub fn settle(findings: &mut [Finding]) {
    for finding in findings.iter_mut() {
        mask_in(&mut finding.title);
        mask_in(&mut finding.primary.text);
        finding.others.iter_mut().for_each(|label| mask_in(&mut label.text));
        finding.trace.iter_mut().for_each(|hop| mask_in(&mut hop.text));
        finding.help.iter_mut().for_each(mask_in);
    }
    findings
        .sort_by(|a, b| (a.primary.at, a.code, &a.title).cmp(&(b.primary.at, b.code, &b.title)));
}

/// Whether any of them is an error.
#[must_use]
pub fn any_error(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Error)
}

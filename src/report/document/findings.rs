//! What `wgfleet check --format json` prints.

use serde::Serialize;

use crate::finding::{Code, Finding, Hop, Label, Severity, Witness};
use crate::model::{Document, Kind, Location, SourceMap, Version};

/// What is wrong with an inventory.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Findings<'f> {
    /// `findings`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// How many are errors.
    errors: usize,
    /// How many are warnings.
    warnings: usize,
    /// Each finding, in order of the file.
    #[serde(rename = "findings")]
    list: Vec<One<'f>>,
}

impl Document for Findings<'_> {
    const KIND: &'static str = "findings";
    const VERSION: u32 = 1;
}

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Finding"))]
struct One<'f> {
    /// Its permanent code.
    code: Code,
    /// How bad it is.
    severity: Severity,
    /// What is wrong, in one line.
    message: &'f str,
    /// The file that is to change.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    file: String,
    /// The line there, from 1.
    line: u32,
    /// The column there in characters, from 1.
    column: u32,
    /// The places that have to do with it; the one that is to change comes first.
    labels: Vec<Place<'f>>,
    /// A packet that shows it.
    witness: Option<&'f Witness>,
    /// What each hop does with that packet, and with its reply.
    trace: &'f [Hop],
    /// What to write or run instead.
    help: Option<Help<'f>>,
    /// How many findings of the same cause this one stands for.
    count: u32,
}

/// A place in a file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Label"))]
struct Place<'f> {
    /// The file.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    file: String,
    /// The line, from 1.
    line: u32,
    /// The column in characters, from 1.
    column: u32,
    /// What is there; may be empty.
    text: &'f str,
}

/// What to write or run instead.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Help<'f> {
    /// A sentence.
    text: &'f str,
}

impl<'f> Findings<'f> {
    /// Findings and where they are.
    #[must_use]
    pub fn new(findings: &'f [Finding], sources: &SourceMap) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        Self {
            kind: Kind::default(),
            version: Version::default(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            list: findings.iter().map(|finding| One::new(finding, sources)).collect(),
        }
    }
}

impl<'f> One<'f> {
    fn new(finding: &'f Finding, sources: &SourceMap) -> Self {
        let at = finding.primary.at;
        let labels = std::iter::once(&finding.primary).chain(&finding.others);
        Self {
            code: finding.code,
            severity: finding.severity,
            message: &finding.title,
            file: path(at, sources),
            line: at.line,
            column: at.column,
            labels: labels.map(|label| Place::new(label, sources)).collect(),
            witness: finding.witness.as_ref(),
            trace: &finding.trace,
            help: finding.help.as_deref().map(|text| Help { text }),
            count: finding.count,
        }
    }
}

impl<'f> Place<'f> {
    fn new(label: &'f Label, sources: &SourceMap) -> Self {
        let Location { line, column, .. } = label.at;
        Self { file: path(label.at, sources), line, column, text: &label.text }
    }
}

fn path(at: Location, sources: &SourceMap) -> String {
    let file = sources.files().find(|(id, _)| *id == at.file);
    file.map(|(_, file)| file.path.display().to_string()).unwrap_or_default()
}

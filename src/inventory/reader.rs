//! Files in, inventory and findings out; whoever calls does the reading.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::finding::{self, Code, Finding};
use crate::model::{FileId, Located, Location, SourceMap, secrets_in};

use super::draft::{self, Draft};
use super::fields::Sink;
use super::keys::FLEET;
use super::node::{Kind, Node};
use super::{Inventory, resolve, yaml};

/// What came of a parse.
#[derive(Debug)]
pub struct Parsed {
    /// The inventory; `None` where any finding is an error.
    pub inventory: Option<Inventory>,
    /// Everything that is wrong, in order of the file.
    pub findings: Vec<Finding>,
    /// The files, any secret in them overwritten.
    pub sources: SourceMap,
}

/// Takes the files of one inventory, one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    sources: SourceMap,
    documents: Vec<(FileId, Option<Node>)>,
    sink: Sink,
    budget: yaml::Budget,
    now: Option<Timestamp>,
}

impl Reader {
    /// One for an inventory as it counts at a moment; without one, nobody's time is over.
    #[must_use]
    pub fn at(now: Option<Timestamp>) -> Self {
        Self { now, ..Self::default() }
    }

    /// Takes a file, the root first, and returns the patterns of its `include:`.
    pub fn add(&mut self, path: PathBuf, text: String) -> Vec<Located<String>> {
        let file = self.sources.add(path, text);
        let text = &self.sources.file(file).text;
        let before = self.sink.findings.len();
        let root = yaml::parse(text, file, &mut self.budget, &mut self.sink.findings);
        if !is_inventory(text, root.as_ref()) {
            // It may be anything, such as a key or a list of passwords: it is named, never quoted.
            self.sink.findings.truncate(before);
            let path = self.sources.file(file).path.display().to_string();
            let title = format!("{path} is not an inventory");
            self.sources.forget(file);
            let help = "it has none of an inventory's keys, such as `fleet`, `networks`, `sites` or \
                        `hosts`; its content is not shown";
            let at = Location::start_of(file);
            self.sink.push(Finding::new(Code::WrongType, title, at).help(help));
            self.documents.push((file, None));
            return Vec::new();
        }
        let includes = root
            .as_ref()
            .map(|root| draft::includes(root, &mut Sink::default()))
            .unwrap_or_default();
        self.documents.push((file, root));
        includes
    }

    /// Adds what the caller found, such as a file that it cannot read.
    pub fn report(&mut self, finding: Finding) {
        self.sink.push(finding);
    }

    /// The files so far.
    #[must_use]
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Decodes and ties everything together.
    #[must_use]
    pub fn finish(self) -> Parsed {
        let Self { mut sources, documents, mut sink, budget: _, now } = self;
        let mut draft = Draft::default();
        let mut whole = sink.findings.iter().all(|finding| finding.code != Code::Include);
        for (index, (file, root)) in documents.iter().enumerate() {
            let start = Location::start_of(*file);
            match root {
                Some(root) => draft.add(root, start, index == 0, &mut sink),
                None if sink.findings.iter().any(|f| f.primary.at.file == *file) => whole = false,
                // Nothing but comments.
                None if index == 0 => {
                    sink.push(
                        Finding::new(Code::MissingKey, "the inventory is empty", start).help(
                            "begin with `fleet: NAME`, or let `wgfleet init` write an example",
                        ),
                    );
                    whole = false;
                }
                None => {}
            }
        }
        // Half of the files would only give findings about names that the other half has.
        let inventory = if whole { resolve::resolve(draft, &sources, &mut sink) } else { None };
        let Sink { mut findings, secrets } = sink;
        redact(&mut sources, &secrets);
        finding::settle(&mut findings);
        let inventory = inventory
            .filter(|_| !finding::any_error(&findings))
            .map(|inventory| Inventory { sources: sources.clone(), ..inventory.at(now) });
        Parsed { inventory, findings, sources }
    }
}

/// Whether a file is meant as an inventory: it has one of its keys, or would have but for an error of
/// syntax. One without any content is an empty inventory.
fn is_inventory(text: &str, root: Option<&Node>) -> bool {
    let known = |name: &str| FLEET.find(name).is_some();
    match root {
        Some(Node { kind: Kind::Map(entries), .. }) => {
            entries.is_empty() || entries.iter().any(|(key, _)| known(&key.value))
        }
        Some(Node { kind: Kind::Null, .. }) => true,
        Some(_) => false,
        None => {
            let mut lines =
                text.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with('#'));
            let blank = lines.clone().all(|line| line.is_empty() || line == "---");
            blank
                || lines.any(|line| {
                    let name = line.split_once(':').map(|(name, _)| name);
                    name.is_some_and(|name| known(name.trim_start_matches(['{', '"', ' '])))
                })
        }
    }
}

/// Parses an inventory that is one file.
#[must_use]
pub fn parse(path: PathBuf, text: String) -> Parsed {
    let mut reader = Reader::default();
    reader.add(path, text);
    reader.finish()
}

/// Overwrites everything in the files that may be a secret.
fn redact(sources: &mut SourceMap, secrets: &[Location]) {
    for at in secrets {
        sources.redact(*at);
    }
    let files: Vec<FileId> = sources.files().map(|(file, _)| file).collect();
    for file in files {
        for range in secrets_in(&sources.file(file).text) {
            let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            let start = Location::start_of(file);
            sources.redact(Location {
                start: narrow(range.start),
                end: narrow(range.end),
                ..start
            });
        }
    }
}

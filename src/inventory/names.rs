//! Every name of a fleet, and what it stands for.

use std::collections::{HashMap, HashSet};

use crate::finding::{Code, Finding};
use crate::model::{Located, Location, closest};

use super::fields::{Sink, shorten};

/// What a name stands for: an index into the list of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Host(usize),
    Peer(usize),
    Site(usize),
    Group(usize),
}

impl Meaning {
    /// The kind with its article.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Host(_) => "a host",
            Self::Peer(_) => "an unmanaged peer",
            Self::Site(_) => "a site",
            Self::Group(_) => "a group",
        }
    }
}

/// How many unknown names get a "did you mean": each looks at all names.
const SUGGESTIONS: usize = 40;

/// Hosts, peers, sites and groups, which share one name space, and networks.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: HashMap<Box<str>, (Meaning, Location)>,
    networks: HashMap<Box<str>, (usize, Location)>,
    suggested: usize,
    /// Names of two things: which of them somebody means, nobody knows.
    twice: HashSet<Box<str>>,
}

impl Names {
    /// Takes a name; a finding, and false, where something else has it.
    pub(super) fn claim(
        &mut self,
        name: &str,
        at: Location,
        meaning: Meaning,
        sink: &mut Sink,
    ) -> bool {
        if let Some((other, first)) = self.all.get(name) {
            let (finding, help) = if other.what() == meaning.what() {
                (format!("`{name}` is the name of two {}s", noun(meaning)), "rename one of them")
            } else {
                (
                    format!("`{name}` is {} and {}", other.what(), meaning.what()),
                    "links and rules name all of them, so that each name stands for one thing; rename one",
                )
            };
            sink.push(
                Finding::new(Code::DuplicateName, finding, at)
                    .label(format!("{} of this name", meaning.what()))
                    .also(*first, format!("{} of this name", other.what()))
                    .help(help),
            );
            self.twice.insert(name.into());
            return false;
        }
        self.all.insert(name.into(), (meaning, at));
        true
    }

    /// Takes the name of a network, which only other networks can have.
    pub(super) fn claim_network(
        &mut self,
        name: &str,
        at: Location,
        index: usize,
        sink: &mut Sink,
    ) -> bool {
        if let Some((_, first)) = self.networks.get(name) {
            sink.push(
                Finding::new(
                    Code::DuplicateName,
                    format!("`{name}` is the name of two networks"),
                    at,
                )
                .label("a network of this name")
                .also(*first, "a network of this name")
                .help("rename one of them"),
            );
            return false;
        }
        self.networks.insert(name.into(), (index, at));
        true
    }

    pub(super) fn get(&self, name: &str) -> Option<Meaning> {
        self.all.get(name).map(|(meaning, _)| *meaning)
    }

    /// Whether a name stands for two things.
    pub(super) fn is_twice(&self, name: &str) -> bool {
        self.twice.contains(name)
    }

    pub(super) fn network(&self, name: &str) -> Option<usize> {
        self.networks.get(name).map(|(index, _)| *index)
    }

    /// The network of a name, or a finding.
    pub(super) fn find_network(
        &mut self,
        name: &Located<impl AsRef<str>>,
        sink: &mut Sink,
    ) -> Option<usize> {
        let text = name.value.as_ref();
        let found = self.network(text);
        if found.is_none() {
            let names: Vec<&str> = self.networks.keys().map(|name| &**name).collect();
            let help = closest(text, names.iter().copied()).map(ToOwned::to_owned);
            self.unknown("network", text, name.at, help, sink);
        }
        found
    }

    /// What a name means, where `wanted` takes it; a finding otherwise.
    pub(super) fn find<T>(
        &mut self,
        text: &str,
        at: Location,
        what: &str,
        wanted: impl Fn(Meaning) -> Option<T>,
        sink: &mut Sink,
    ) -> Option<T> {
        if let Some(meaning) = self.get(text) {
            let found = wanted(meaning);
            // That a name stands for two things is said where it does.
            if found.is_none() && !self.is_twice(text) {
                sink.push(
                    Finding::new(
                        Code::UnknownReference,
                        format!("`{text}` is {}, not a {what}", meaning.what()),
                        at,
                    )
                    .help(format!("name a {what}")),
                );
            }
            return found;
        }
        let help = (self.suggested < SUGGESTIONS)
            .then(|| {
                let names = self
                    .all
                    .iter()
                    .filter(|(_, (meaning, _))| wanted(*meaning).is_some())
                    .map(|(name, _)| &**name);
                closest(text, names).map(ToOwned::to_owned)
            })
            .flatten();
        self.unknown(what, text, at, help, sink);
        None
    }

    /// No thing of that name.
    pub(super) fn unknown(
        &mut self,
        what: &str,
        text: &str,
        at: Location,
        close: Option<String>,
        sink: &mut Sink,
    ) {
        self.suggested += 1;
        let title = format!("no {what} is named `{}`", shorten(text));
        let mut finding = Finding::new(Code::UnknownReference, title, at);
        if let Some(name) = close {
            finding = finding.label(format!("did you mean `{name}`?"));
        }
        sink.push(finding);
    }
}

const fn noun(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Host(_) => "host",
        Meaning::Peer(_) => "unmanaged peer",
        Meaning::Site(_) => "site",
        Meaning::Group(_) => "group",
    }
}

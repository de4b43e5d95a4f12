//! Hosts and peers that have got another name: whose key, addresses and record they keep.

use crate::finding::{Code, Finding};
use crate::model::{HostName, Located};

use super::fields::{Field, Sink, named};
use super::form::Read;
use super::names::{Meaning, Names};
use super::spec::{Form, Shape};
use super::value;

/// A host or an unmanaged peer that has got another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The name that it had.
    pub old: Located<HostName>,
    /// The name that it has.
    pub new: Located<HostName>,
}

impl Form for Vec<Moved> {
    type Value = Self;
    const SHAPE: Shape = Shape::Renames;
}

impl Read for Vec<Moved> {
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self {
        let mut all = Self::new();
        for entry in named(*field, "names", sink) {
            let old = value::name(&entry, sink);
            let new = value::parse(&entry, sink);
            all.extend(old.zip(new).map(|(old, new)| Moved { old, new }));
        }
        all
    }
}

/// The names that hosts and peers had, each with the one of today; what contradicts itself is a finding.
pub(super) fn settle(moved: &[Moved], names: &mut Names, sink: &mut Sink) -> Vec<Moved> {
    let mut settled: Vec<Moved> = Vec::with_capacity(moved.len());
    for one in moved {
        let is_there = |name: &HostName| {
            matches!(names.get(name.as_str()), Some(Meaning::Host(_) | Meaning::Peer(_)))
        };
        if is_there(&one.old.value) {
            let title = format!("`{}` has got another name, and is still there", one.old.value);
            let help = "take the line out of `moved`, or the name out of the inventory";
            sink.push(Finding::new(Code::Conflict, title, one.old.at).help(help));
            continue;
        }
        // Names may have changed more than once.
        let mut new = one.new.clone();
        for _ in 0..moved.len() {
            match moved.iter().find(|next| next.old.value == new.value) {
                Some(next) if !is_there(&new.value) => new.value = next.new.value.clone(),
                _ => break,
            }
        }
        let found = names.find(
            new.value.as_str(),
            one.new.at,
            "host or peer",
            |meaning| matches!(meaning, Meaning::Host(_) | Meaning::Peer(_)).then_some(()),
            sink,
        );
        if found.is_none() {
            continue;
        }
        if let Some(first) = settled.iter().find(|other| other.old.value == one.old.value) {
            let title = format!("`{}` has got two other names", one.old.value);
            sink.push(
                Finding::new(Code::DuplicateName, title, one.old.at)
                    .also(first.old.at, "first here")
                    .help("keep the line that is true"),
            );
            continue;
        }
        settled.push(Moved { old: one.old.clone(), new });
    }
    // Of several former names of one host, each is one of a chain; two hosts do not become one.
    for (index, one) in settled.iter().enumerate() {
        let direct = |other: &Moved| {
            moved.iter().any(|m| m.old == other.old && m.new.value == one.new.value)
        };
        let clash = settled[..index]
            .iter()
            .find(|other| other.new.value == one.new.value && direct(other) && direct(one));
        if let Some(other) = clash {
            let title = format!(
                "`{}` was `{}` and `{}`: two hosts do not become one",
                one.new.value, other.old.value, one.old.value
            );
            sink.push(
                Finding::new(Code::Conflict, title, one.old.at)
                    .also(other.old.at, "the other")
                    .help("name the host whose key and addresses it keeps"),
            );
        }
    }
    settled
}

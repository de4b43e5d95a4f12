//! A run that changes a fleet: its journal, and its events, which the journal hears first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Context, Error, Kind};
use crate::apply::RunLock;
use crate::event::{Ending, Event, Holder, Outcome, Sink as _, Told};
use crate::journal::{Header, Intent, Journal, PastState, RunKind, past};
use crate::model::{FleetName, HostName, Untrusted};
use crate::observed::Commit;
use crate::plan::Provenance;
use crate::sys::{Events, FileError};

/// How many of the newest runs lose their locks to the next one: a lease is over long before so many are.
const TAKEN_OVER: usize = 20;

/// A run that changes a fleet. No host is touched without one.
#[derive(Debug)]
pub struct Run {
    journal: Arc<Journal>,
    events: Events,
    lock: RunLock,
}

impl Run {
    /// Begins one; that it was begun is on disk then.
    ///
    /// # Errors
    /// Where its journal cannot be written: nothing was touched.
    pub(super) fn begin(
        context: &Context,
        fleet: &FleetName,
        kind: RunKind,
        by: &Provenance,
    ) -> Result<Self, Error> {
        let folder = context.journal_folder(fleet).ok_or_else(|| {
            Error::message(
                Kind::Failed,
                "neither XDG_STATE_HOME nor HOME says where to write down what is done; nothing was \
                 touched",
            )
            .hint("set XDG_STATE_HOME to a folder that stays, such as /var/lib/wgfleet-controller")
        })?;
        let header = Header {
            version: Header::VERSION,
            run: run_id()?,
            at: context.events.now(),
            kind,
            fleet: fleet.clone(),
            who: by.who.clone(),
            commit: by.commit.clone(),
            generation: by.generation,
        };
        let lock = RunLock {
            run: header.run.clone(),
            holder: holder(&header).words(),
            over: over(&folder).map_err(untouched)?,
        };
        let journal = Arc::new(Journal::begin(&folder, header).map_err(untouched)?);
        let events = context.events.heard_by(Arc::clone(&journal) as _);
        Ok(Self { journal, events, lock })
    }

    /// What happens in it is told through these.
    pub(super) const fn events(&self) -> &Events {
        &self.events
    }

    /// Keeps other runs away from its hosts.
    pub(super) const fn lock(&self) -> &RunLock {
        &self.lock
    }

    /// Writes down that hosts are about to be changed.
    ///
    /// # Errors
    /// Where that cannot be written: none of them was touched.
    pub(super) fn intend(&self, waves: Vec<Vec<Vec<HostName>>>) -> Result<Intent, Error> {
        self.journal.intend(self.events.now(), waves).map_err(untouched)
    }

    /// Keeps the plan that is carried out, for whoever goes on where this run is interrupted.
    ///
    /// # Errors
    /// Where that cannot be written: nothing was touched.
    pub(super) fn keep_plan(&self, plan: &[u8]) -> Result<(), Error> {
        self.journal.keep_plan(plan).map_err(untouched)
    }

    /// Writes down how hosts ended that were not begun, which is told elsewhere; not of those that had
    /// nothing to do.
    pub(super) fn not_begun(&self, endings: &[Ending]) {
        for ending in endings.iter().filter(|ending| ending.outcome != Outcome::Unchanged) {
            let event = Event::Ended { ending: ending.clone() };
            self.journal.told(Told { at: self.events.now(), event });
        }
    }

    /// Writes down that it has ended. Where that fails the hosts are as they are, and the journal calls
    /// it interrupted.
    pub(super) fn end(&self) {
        let _ = self.journal.end(self.events.now());
    }
}

fn untouched(error: FileError) -> Error {
    Error::new(Kind::Failed, error).hint(
        "what is done is written down first, so nothing was touched; make room there, or set \
               XDG_STATE_HOME to a folder that can be written to",
    )
}

/// Who a run is, for those who meet its locks.
fn holder(header: &Header) -> Holder {
    let dirty = |commit: &Commit| if commit.dirty { "+edits" } else { "" };
    let commit = header.commit.as_ref().map(|commit| format!("{}{}", commit.id, dirty(commit)));
    Holder {
        run: Untrusted::new(header.run.as_str()),
        seconds_left: 0,
        who: header.who.clone(),
        since: Untrusted::new(header.at.to_string()),
        what: Untrusted::new(header.kind.to_string()),
        commit: commit.map(Untrusted::new),
    }
}

/// The newest runs of this controller that do not go on: whatever locks they have left are this one's.
fn over(folder: &Path) -> Result<Vec<String>, FileError> {
    let past = past(folder)?;
    let over = past.into_iter().rev().take(TAKEN_OVER);
    let over = over.filter(|past| past.state != PastState::Running);
    Ok(over.map(|past| past.header.run).filter(|run| is_word(run)).collect())
}

/// A file says it, and it becomes a word of the host's script.
fn is_word(run: &str) -> bool {
    !run.is_empty()
        && run.len() < 40
        && run.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A name for a run.
fn run_id() -> Result<String, Error> {
    let mut bytes = [0; 5];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(bytes.iter().fold("r".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

impl Context {
    /// The folder with the journals of a fleet's runs on this controller; `None` where nothing is kept.
    #[must_use]
    pub fn journal_folder(&self, fleet: &FleetName) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join("journal").join(fleet.as_str()))
    }
}

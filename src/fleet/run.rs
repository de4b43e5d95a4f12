//! A run that changes a fleet: its journal, and its events, which the journal hears first.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Context, Error, Kind};
use crate::event::{Ending, Event, Outcome, Sink as _, Told};
use crate::journal::{Header, Intent, Journal, RunKind};
use crate::model::{FleetName, HostName};
use crate::plan::Provenance;
use crate::sys::{Events, FileError};

/// A run that changes a fleet. No host is touched without one.
#[derive(Debug)]
pub struct Run {
    journal: Arc<Journal>,
    events: Events,
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
        let journal = Arc::new(Journal::begin(&folder, header).map_err(untouched)?);
        let events = context.events.heard_by(Arc::clone(&journal) as _);
        Ok(Self { journal, events })
    }

    /// What happens in it is told through these.
    pub(super) const fn events(&self) -> &Events {
        &self.events
    }

    /// Writes down that hosts are about to be changed.
    ///
    /// # Errors
    /// Where that cannot be written: none of them was touched.
    pub(super) fn intend(&self, hosts: Vec<HostName>) -> Result<Intent, Error> {
        self.journal.intend(self.events.now(), hosts).map_err(untouched)
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

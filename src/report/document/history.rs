//! What `wgfleet history` prints as JSON.

use serde::Serialize;

use super::HostOutcome;
use crate::journal::{Past, PastState, RunKind};
use crate::model::{Document, HostName, Kind, Moment, Untrusted, Version};
use crate::observed::Commit;

/// What runs did to a fleet.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct History<'a> {
    /// `history`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// The runs, the newest first.
    runs: Vec<HistoryRun<'a>>,
}

impl Document for History<'_> {
    const KIND: &'static str = "history";
    const VERSION: u32 = 2;
}

impl<'a> History<'a> {
    /// Runs, the newest first.
    #[must_use]
    pub fn new(runs: impl IntoIterator<Item = &'a Past>) -> Self {
        let runs = runs.into_iter().map(HistoryRun::from).collect();
        Self { kind: Kind::default(), version: Version::default(), runs }
    }
}

/// What one run did.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HistoryRun<'a> {
    /// Its id.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    run: &'a str,
    /// The command.
    command: RunKind,
    /// How it stands.
    state: RunState,
    /// When it began.
    begun: Moment,
    /// When it ended; null where it goes on or was interrupted.
    ended: Option<Moment>,
    /// Who ran it, as `user@machine`.
    who: &'a Untrusted,
    /// The commit that the inventory was at; null outside git.
    commit: Option<&'a Commit>,
    /// The generation of the lock file; null where it had none.
    generation: Option<u64>,
    /// How hosts ended, in the order in which they did; those that had nothing to do are left out.
    outcomes: Vec<HostOutcome<'a>>,
    /// Hosts that were to be changed and of which no end is known.
    open: Vec<OpenHost<'a>>,
}

/// A host that was to be changed and of which no end is known.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OpenHost<'a> {
    /// The host.
    host: &'a HostName,
    /// Whether its change was begun.
    begun: bool,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum RunState {
    /// It goes on.
    Running,
    /// It has ended by itself.
    Ended,
    /// It was ended, or its machine was.
    Interrupted,
}

impl<'a> From<&'a Past> for HistoryRun<'a> {
    fn from(past: &'a Past) -> Self {
        let Past { header, state, endings, open, .. } = past;
        let (state, ended) = match state {
            PastState::Running => (RunState::Running, None),
            PastState::Ended(at) => (RunState::Ended, Some(*at)),
            PastState::Interrupted => (RunState::Interrupted, None),
        };
        let open = open.iter().map(|(host, step)| OpenHost { host, begun: step.is_some() });
        Self {
            run: &header.run,
            command: header.kind,
            state,
            begun: header.at,
            ended,
            who: &header.who,
            commit: header.commit.as_ref(),
            generation: header.generation,
            outcomes: endings.iter().map(HostOutcome::from).collect(),
            open: open.collect(),
        }
    }
}

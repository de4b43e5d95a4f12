//! What commands with `--format json` tell on stderr while they run, an object in each line.

use serde::Serialize;

use super::OutcomeWord;
use crate::event::{Ending, Event, Reason, Stage, Step, Told};
use crate::model::worded::Worded;
use crate::model::{Document, HostName, Kind, Moment, Version};
use crate::report::notice;

/// Something that happened while a command ran.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EventLine<'a> {
    /// `event`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// When.
    at: Moment,
    /// What.
    event: EventWord,
    /// Of `begin` and `end`: the stage of work.
    stage: Option<Stage>,
    /// Of `begin`: over how many hosts.
    hosts: Option<usize>,
    /// The host.
    host: Option<&'a HostName>,
    /// Of `working`: what is being done to the host.
    step: Option<Step>,
    /// The id of the change on the host; null where it is only read, or nothing was begun.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    transaction: Option<&'a str>,
    /// Of `flipped`: how long after the moment of its group the host began, in milliseconds.
    late_ms: Option<u64>,
    /// Of `flipped`: how well the host's clock was known, in milliseconds.
    bound_ms: Option<u64>,
    /// Of `ended`: how.
    outcome: Option<OutcomeWord>,
    /// Of `unread` and `ended`: why; null where it ended as it was to.
    reason: Option<Worded<Reason>>,
    /// Of `notice`: what is worth saying.
    text: Option<String>,
}

impl Document for EventLine<'_> {
    const KIND: &'static str = "event";
    const VERSION: u32 = 2;
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum EventWord {
    /// A stage of work over several hosts begins.
    Begin,
    /// A host is being worked on.
    Working,
    /// A host of a group has done its change, and is armed.
    Flipped,
    /// A host was read.
    Read,
    /// A host could not be read.
    Unread,
    /// The change of a host ended, or was not begun.
    Ended,
    /// The stage is over.
    End,
    /// Something worth saying.
    Notice,
}

impl<'a> From<&'a Told> for EventLine<'a> {
    fn from(told: &'a Told) -> Self {
        let line = Self {
            kind: Kind::default(),
            version: Version::default(),
            at: told.at,
            event: EventWord::Notice,
            stage: None,
            hosts: None,
            host: None,
            step: None,
            transaction: None,
            late_ms: None,
            bound_ms: None,
            outcome: None,
            reason: None,
            text: None,
        };
        match &told.event {
            Event::Begin { stage, hosts } => {
                Self { event: EventWord::Begin, stage: Some(*stage), hosts: Some(*hosts), ..line }
            }
            Event::Working { host, transaction, step } => Self {
                event: EventWord::Working,
                host: Some(host),
                transaction: transaction.as_deref(),
                step: Some(*step),
                ..line
            },
            Event::Flipped { host, transaction, late, bound } => Self {
                event: EventWord::Flipped,
                host: Some(host),
                transaction: Some(transaction),
                late_ms: Some(*late),
                bound_ms: Some(*bound),
                ..line
            },
            Event::Read { host } => Self { event: EventWord::Read, host: Some(host), ..line },
            Event::Unread { host, reason } => Self {
                event: EventWord::Unread,
                host: Some(host),
                reason: Some(Reason::Unanswered { reason: reason.clone() }.into()),
                ..line
            },
            Event::Ended { ending: Ending { host, transaction, outcome, .. } } => Self {
                event: EventWord::Ended,
                host: Some(host),
                transaction: transaction.as_deref(),
                outcome: Some(outcome.into()),
                reason: outcome.reason().cloned().map(Worded::from),
                ..line
            },
            Event::End { stage } => Self { event: EventWord::End, stage: Some(*stage), ..line },
            Event::Notice { notice } => Self { text: Some(notice::line(notice)), ..line },
        }
    }
}

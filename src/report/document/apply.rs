//! What `wgfleet apply` and `wgfleet rotate` print: how each host ended.

use serde::Serialize;

use crate::event::{Ending, Outcome, Reason, UnverifiedSession};
use crate::model::worded::Worded;
use crate::model::{Document, HostName, Kind, Moment, Version};
use crate::plan::Plan;

/// A plan and how it ended.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Apply<'a> {
    /// `apply`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// The plan.
    plan: &'a Plan,
    /// How each host ended; empty where nothing was begun.
    outcomes: Vec<HostOutcome<'a>>,
}

impl Document for Apply<'_> {
    const KIND: &'static str = "apply";
    const VERSION: u32 = 4;
}

impl<'a> Apply<'a> {
    /// A plan and how it ended.
    #[must_use]
    pub fn new(plan: &'a Plan, outcomes: Vec<HostOutcome<'a>>) -> Self {
        Self { kind: Kind::default(), version: Version::default(), plan, outcomes }
    }
}

/// How the change of a host ended.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostOutcome<'a> {
    /// The host.
    host: &'a HostName,
    /// How it ended.
    outcome: OutcomeWord,
    /// Why; null where it ended as it was to.
    reason: Option<Worded<&'a Reason>>,
    /// The id of the change on the host; null where nothing was begun.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    transaction: Option<&'a str>,
    /// When it was begun; null where nothing was.
    begun: Option<Moment>,
    /// When it ended; null where nothing was begun.
    ended: Option<Moment>,
    /// Sessions that worked before, and of which nothing proved that they do after the change: they may only
    /// be idle. Absent where there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unverified: &'a [UnverifiedSession],
}

impl<'a> From<&'a Ending> for HostOutcome<'a> {
    fn from(ending: &'a Ending) -> Self {
        let Ending { host, transaction, begun, ended, outcome, unverified } = ending;
        Self {
            host,
            outcome: outcome.into(),
            reason: outcome.reason().map(Worded::from),
            transaction: transaction.as_deref(),
            begun: *begun,
            ended: *ended,
            unverified,
        }
    }
}

/// How the change of a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// Nothing had to be done.
    Unchanged,
    /// Done, and confirmed over a new connection.
    Applied,
    /// The same, but what the next boot reads could not be written.
    AppliedNotForNextBoot,
    /// Not begun: the host was not any more what the plan saw.
    Moved,
    /// Not begun: the host could not be read, or its change cannot be made.
    Skipped,
    /// Failed before anything changed.
    Failed,
    /// Failed or not confirmed, and seen to be as it was before.
    RolledBack,
    /// Nobody knows; the host rolls back by itself.
    Unknown,
}

impl From<&Outcome> for OutcomeWord {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Unchanged => Self::Unchanged,
            Outcome::Applied => Self::Applied,
            Outcome::NotForNextBoot(_) => Self::AppliedNotForNextBoot,
            Outcome::Moved(_) => Self::Moved,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Failed(_) => Self::Failed,
            Outcome::RolledBack(_) => Self::RolledBack,
            Outcome::Unknown(_) => Self::Unknown,
        }
    }
}

impl OutcomeWord {
    /// Its word, in JSON and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Applied => "applied",
            Self::AppliedNotForNextBoot => "applied-not-for-next-boot",
            Self::Moved => "moved",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
        }
    }
}

/// What a rotation has done.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rotate<'a> {
    /// `rotate`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// Hosts whose new key is proven, in order.
    rotated: &'a [HostName],
    /// The host whose turn has not ended well.
    failed: Option<&'a HostName>,
    /// What became of each host in the turn of each.
    outcomes: Vec<TurnOutcome<'a>>,
}

impl Document for Rotate<'_> {
    const KIND: &'static str = "rotate";
    const VERSION: u32 = 5;
}

impl<'a> Rotate<'a> {
    /// What a rotation has done.
    #[must_use]
    pub fn new(
        rotated: &'a [HostName],
        failed: Option<&'a HostName>,
        outcomes: Vec<TurnOutcome<'a>>,
    ) -> Self {
        Self { kind: Kind::default(), version: Version::default(), rotated, failed, outcomes }
    }
}

/// What became of a host in somebody's turn.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TurnOutcome<'a> {
    /// Whose key was to change.
    turn: &'a HostName,
    /// The host itself, or a neighbour.
    host: &'a HostName,
    /// How it ended.
    outcome: OutcomeWord,
    /// Why; null where it ended as it was to.
    reason: Option<Worded<&'a Reason>>,
    /// The id of the change on the host; null where nothing was begun.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    transaction: Option<&'a str>,
    /// When it was begun; null where nothing was.
    begun: Option<Moment>,
    /// When it ended; null where nothing was begun.
    ended: Option<Moment>,
}

impl<'a> TurnOutcome<'a> {
    /// What became of a host in the turn of one.
    #[must_use]
    pub fn new(turn: &'a HostName, ending: &'a Ending) -> Self {
        let HostOutcome { host, outcome, reason, transaction, begun, ended, .. } = ending.into();
        Self { turn, host, outcome, reason, transaction, begun, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_read_the_same_words() {
        let reason = || Reason::DeadlinePassed;
        for outcome in [
            Outcome::Unchanged,
            Outcome::Applied,
            Outcome::NotForNextBoot(reason()),
            Outcome::Moved(reason()),
            Outcome::Skipped(reason()),
            Outcome::Failed(reason()),
            Outcome::RolledBack(reason()),
            Outcome::Unknown(reason()),
        ] {
            let word = OutcomeWord::from(&outcome);
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
            // A journal has the same words.
            assert_eq!(serde_json::to_value(&outcome).unwrap()["kind"], word.as_str());
        }
    }
}

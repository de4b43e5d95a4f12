//! What `wgfleet apply` and `wgfleet rotate` print: how each host ended.

use serde::Serialize;

use crate::model::{Document, HostName, Kind, Version};
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
    const VERSION: u32 = 1;
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
    pub host: &'a HostName,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// Why.
    pub text: Option<&'a str>,
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
    const VERSION: u32 = 2;
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
    pub turn: &'a HostName,
    /// The host itself, or a neighbour.
    pub host: &'a HostName,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// Why.
    pub text: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_read_the_same_words() {
        for word in [
            OutcomeWord::Unchanged,
            OutcomeWord::Applied,
            OutcomeWord::AppliedNotForNextBoot,
            OutcomeWord::Moved,
            OutcomeWord::Skipped,
            OutcomeWord::Failed,
            OutcomeWord::RolledBack,
            OutcomeWord::Unknown,
        ] {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
    }
}

//! What a rotation has done so far, and what that means for its next step.

use crate::apply::Outcome;
use crate::model::HostName;

/// What a rotation has done so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Hosts whose new key is proven, in order.
    pub rotated: Vec<HostName>,
    /// The host whose turn has not ended well.
    pub failed: Option<HostName>,
    /// What became of each host in the turn of each.
    pub outcomes: Vec<Turned>,
}

/// What became of a host in somebody's turn.
#[derive(Debug, Clone)]
pub struct Turned {
    /// Whose key was to change.
    pub turn: HostName,
    /// The host itself, or a neighbour.
    pub host: HostName,
    /// What became of it.
    pub outcome: Outcome,
}

impl Ledger {
    /// The turn of a host begins.
    pub(super) fn begin(&mut self, name: &HostName) {
        self.failed = Some(name.clone());
    }

    /// What became of the hosts in a turn.
    pub(super) fn turn(&mut self, name: &HostName, outcomes: &[(HostName, Outcome)]) {
        self.outcomes.extend(outcomes.iter().cloned().map(|(host, outcome)| Turned {
            turn: name.clone(),
            host,
            outcome,
        }));
    }

    /// A host's new key is proven.
    pub(super) fn proven(&mut self, name: &HostName) {
        self.failed = None;
        self.rotated.push(name.clone());
    }

    /// What became of the host whose turn has not ended well; `None` where nothing was changed.
    #[must_use]
    pub fn last(&self) -> Option<&Outcome> {
        let failed = self.failed.as_ref()?;
        let own = |one: &&Turned| one.turn == *failed && one.host == *failed;
        self.outcomes.iter().rev().find(own).map(|one| &one.outcome)
    }
}

/// Whether every host did what it was to do.
pub(super) fn went_well(outcomes: &[(HostName, Outcome)]) -> bool {
    outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Applied | Outcome::Unchanged))
}

/// Whether a host has its new key for certain.
pub(super) fn has_moved(name: &HostName, outcomes: &[(HostName, Outcome)]) -> bool {
    outcomes.iter().any(|(host, outcome)| {
        host == name
            && matches!(outcome, Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outcome_is_that_of_the_host_whose_turn_failed() {
        let [a, b]: [HostName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let mut ledger = Ledger::default();
        ledger.begin(&a);
        assert!(ledger.last().is_none());
        ledger.turn(&a, &[(a.clone(), Outcome::Applied), (b.clone(), Outcome::Applied)]);
        ledger.proven(&a);
        assert!(ledger.last().is_none());
        ledger.begin(&b);
        let outcomes = [(a, Outcome::Unchanged), (b.clone(), Outcome::Failed("gone".to_owned()))];
        ledger.turn(&b, &outcomes);
        assert_eq!(ledger.last(), Some(&Outcome::Failed("gone".to_owned())));
        assert!(!went_well(&outcomes) && !has_moved(&b, &outcomes));
        assert_eq!((ledger.rotated.len(), ledger.failed.as_ref()), (1, Some(&b)));
    }
}

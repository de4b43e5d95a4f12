//! What a rotation has done so far, and what that means for its next step.

use crate::event::{Ending, Outcome};
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
    /// What became of the host itself, or of a neighbour.
    pub ending: Ending,
}

impl Ledger {
    /// The turn of a host begins.
    pub(super) fn begin(&mut self, name: &HostName) {
        self.failed = Some(name.clone());
    }

    /// What became of the hosts in a turn; of two attempts the second counts.
    pub(super) fn turn(&mut self, name: &HostName, outcomes: &[Ending]) {
        let is_new = |host: &HostName| outcomes.iter().any(|other| other.host == *host);
        self.outcomes.retain(|one| one.turn != *name || !is_new(&one.ending.host));
        let turned = |ending| Turned { turn: name.clone(), ending };
        self.outcomes.extend(outcomes.iter().cloned().map(turned));
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
        let own = |one: &&Turned| one.turn == *failed && one.ending.host == *failed;
        self.outcomes.iter().rev().find(own).map(|one| &one.ending.outcome)
    }
}

/// Whether every host did what it was to do.
pub(super) fn went_well(outcomes: &[Ending]) -> bool {
    outcomes.iter().all(|one| matches!(one.outcome, Outcome::Applied | Outcome::Unchanged))
}

/// What became of hosts in two attempts: whom the second one did not reach, or did not change, has what
/// the first one gave it.
pub(super) fn both(first: Vec<Ending>, second: Vec<Ending>) -> Vec<Ending> {
    let mut all = second;
    for ending in first {
        match all.iter_mut().find(|other| other.host == ending.host) {
            None => all.push(ending),
            // What failed the second time, or was rolled back, is what the first one made of it.
            Some(later) => match later.outcome {
                Outcome::Skipped(_) if matches!(ending.outcome, Outcome::Unknown(_)) => {
                    *later = ending;
                }
                Outcome::Skipped(_)
                | Outcome::Failed(_)
                | Outcome::Moved(_)
                | Outcome::RolledBack(_)
                    if moved(&ending.outcome) =>
                {
                    *later = ending;
                }
                _ => {}
            },
        }
    }
    all
}

/// Whether a host has its new key for certain.
pub(super) fn has_moved(name: &HostName, outcomes: &[Ending]) -> bool {
    outcomes.iter().any(|one| one.host == *name && moved(&one.outcome))
}

/// Whether a host has what was wanted, for the time that it runs.
fn moved(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reason;

    #[test]
    fn the_last_outcome_is_that_of_the_host_whose_turn_failed() {
        let [a, b]: [HostName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let mut ledger = Ledger::default();
        ledger.begin(&a);
        assert!(ledger.last().is_none());
        let ended = |host: &HostName, outcome| Ending::not_begun(host.clone(), outcome);
        ledger.turn(&a, &[ended(&a, Outcome::Applied), ended(&b, Outcome::Applied)]);
        ledger.proven(&a);
        assert!(ledger.last().is_none());
        ledger.begin(&b);
        let failed = Outcome::Failed(Reason::DeadlinePassed);
        let outcomes = [ended(&a, Outcome::Unchanged), ended(&b, failed)];
        ledger.turn(&b, &outcomes);
        assert_eq!(ledger.last(), Some(&Outcome::Failed(Reason::DeadlinePassed)));
        assert!(!went_well(&outcomes) && !has_moved(&b, &outcomes));
        assert_eq!((ledger.rotated.len(), ledger.failed.as_ref()), (1, Some(&b)));
    }

    #[test]
    fn whom_a_second_attempt_did_not_reach_has_what_the_first_one_gave_it() {
        let [a, b, c]: [HostName; 3] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        let why = || Reason::DeadlinePassed;
        let unknown = || Outcome::Unknown(why());
        let ended = |host: &HostName, outcome| Ending::not_begun(host.clone(), outcome);
        let first = vec![
            ended(&a, Outcome::Applied),
            ended(&b, unknown()),
            ended(&c, Outcome::RolledBack(why())),
        ];
        let skipped = |host: &HostName| vec![ended(host, Outcome::Skipped(why()))];
        let own = |all: &[Ending], name: &HostName| {
            all.iter().find(|one| one.host == *name).unwrap().outcome.clone()
        };
        for missing in [&a, &b] {
            let all = both(first.clone(), skipped(missing));
            assert_eq!(own(&all, &a), Outcome::Applied);
            assert_eq!(own(&all, &b), unknown());
            assert_eq!(own(&all, &c), Outcome::RolledBack(why()));
        }
        assert_eq!(own(&both(first.clone(), skipped(&c)), &c), Outcome::Skipped(why()));
        let second = vec![ended(&b, Outcome::Failed(why())), ended(&c, Outcome::Applied)];
        let all = both(first, second);
        assert_eq!((own(&all, &b), own(&all, &c)), (Outcome::Failed(why()), Outcome::Applied));
        let half = || Outcome::NotForNextBoot(why());
        let all = both(vec![ended(&a, half())], vec![ended(&a, Outcome::RolledBack(why()))]);
        assert_eq!(own(&all, &a), half());
    }
}

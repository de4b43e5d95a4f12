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

    /// What became of the hosts in a turn; of two attempts the second counts.
    pub(super) fn turn(&mut self, name: &HostName, outcomes: &[(HostName, Outcome)]) {
        let is_new = |host: &HostName| outcomes.iter().any(|(other, _)| other == host);
        self.outcomes.retain(|one| one.turn != *name || !is_new(&one.host));
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

/// What became of hosts in two attempts: whom the second one did not reach, or did not change, has what
/// the first one gave it.
pub(super) fn both(
    first: Vec<(HostName, Outcome)>,
    second: Vec<(HostName, Outcome)>,
) -> Vec<(HostName, Outcome)> {
    let mut all = second;
    for (host, outcome) in first {
        match all.iter_mut().find(|(other, _)| *other == host) {
            None => all.push((host, outcome)),
            // What failed the second time, or was rolled back, is what the first one made of it.
            Some((_, later)) => match later {
                Outcome::Skipped(_) if matches!(outcome, Outcome::Unknown(_)) => *later = outcome,
                Outcome::Skipped(_)
                | Outcome::Failed(_)
                | Outcome::Moved(_)
                | Outcome::RolledBack(_)
                    if moved(&outcome) =>
                {
                    *later = outcome;
                }
                _ => {}
            },
        }
    }
    all
}

/// Whether a host has its new key for certain.
pub(super) fn has_moved(name: &HostName, outcomes: &[(HostName, Outcome)]) -> bool {
    outcomes.iter().any(|(host, outcome)| host == name && moved(outcome))
}

/// Whether a host has what was wanted, for the time that it runs.
fn moved(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged)
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

    #[test]
    fn whom_a_second_attempt_did_not_reach_has_what_the_first_one_gave_it() {
        let [a, b, c]: [HostName; 3] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        let why = || "it is down".to_owned();
        let unknown = || Outcome::Unknown(why());
        let first = vec![
            (a.clone(), Outcome::Applied),
            (b.clone(), unknown()),
            (c.clone(), Outcome::RolledBack(why())),
        ];
        let skipped = |host: &HostName| vec![(host.clone(), Outcome::Skipped(why()))];
        let own = |all: &[(HostName, Outcome)], name: &HostName| {
            all.iter().find(|(host, _)| host == name).unwrap().1.clone()
        };
        for missing in [&a, &b] {
            let all = both(first.clone(), skipped(missing));
            assert_eq!(own(&all, &a), Outcome::Applied);
            assert_eq!(own(&all, &b), unknown());
            assert_eq!(own(&all, &c), Outcome::RolledBack(why()));
        }
        assert_eq!(own(&both(first.clone(), skipped(&c)), &c), Outcome::Skipped(why()));
        let second = vec![(b.clone(), Outcome::Failed(why())), (c.clone(), Outcome::Applied)];
        let all = both(first, second);
        assert_eq!((own(&all, &b), own(&all, &c)), (Outcome::Failed(why()), Outcome::Applied));
        let half = || Outcome::NotForNextBoot(why());
        let all = both(vec![(a.clone(), half())], vec![(a.clone(), Outcome::RolledBack(why()))]);
        assert_eq!(own(&all, &a), half());
    }
}

//! Runs that are told to stop, at whichever call: what is not confirmed is rolled back at once, a group as one,
//! and what is said of each host is true.

use std::time::Duration;

use wgfleet::event::{Ending, Outcome, Reason};
use wgfleet::fleet::{Fleet, Ledger};
use wgfleet::vault::Vault;

use crate::rotation::rotate;
use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{
    DEADLINE, File, HOSTS, Yard, applied, bounded, had, host, login, play, recorded, settle,
};

/// How long a run may go on once it is told to stop, where every host can be reached: shorter than any timer.
const LIMIT: Duration = Duration::from_secs(20);

struct Trial {
    yard: Yard,
    fleet: Fleet,
    old: Network,
    new: Network,
}

impl Trial {
    fn new() -> Self {
        let yard = Yard::new();
        let old = applied(&yard, Network::of(&HOSTS), File::Old);
        let new = applied(&yard, old.clone(), File::New);
        let fleet = yard.fleet(File::New);
        Self { yard, fleet, old, new }
    }

    /// Tells a run to stop at the `at`-th call to a host, while some calls fail; gives how hosts ended, or
    /// `None` where there is no such call.
    fn stopped(&self, name: &str, at: usize, together: bool, faults: &[Fault]) -> Option<()> {
        play(async {
            let what = format!("{name} at {at}, {faults:?}");
            let login = login(self.old.failing(faults));
            let yard = self.yard.stopping();
            login.connector.network().stop_at(name, at, yard.stop.clone());
            let run = yard.change(&self.fleet, File::New, &login, together);
            let limit = if faults.is_empty() { Duration::from_secs(90) } else { DEADLINE * 8 };
            let (_, endings) = bounded(limit, &what, run).await.expect("it is carried out");
            let asked = login.connector.network().stopped?;
            let after = login.connector.now().saturating_sub(asked);
            if faults.is_empty() {
                assert!(after < LIMIT, "{what}: it goes on for {after:?}");
            }
            // Before any timer ends.
            if faults.is_empty() {
                self.judge(&endings, &login.connector.network(), together, faults, &what);
            }
            settle(&login).await;
            self.judge(&endings, &login.connector.network(), together, faults, &what);
            if !faults.is_empty() {
                // A lock that nobody could give back ends by itself.
                tokio::time::sleep(Duration::from_mins(5)).await;
            }
            let again = self.yard.apply(&self.fleet, File::New, &login);
            let (_, endings) =
                bounded(DEADLINE * 8, &what, again).await.expect("it is carried out");
            for Ending { host, outcome, .. } in endings {
                let fine = matches!(outcome, Outcome::Applied | Outcome::Unchanged);
                assert!(fine, "{what}: {host} at the second time: {outcome:?}");
            }
            Some(())
        })
    }

    fn judge(
        &self,
        endings: &[Ending],
        network: &Network,
        together: bool,
        faults: &[Fault],
        what: &str,
    ) {
        let mut new_ones = 0;
        for Ending { host, outcome, .. } in endings {
            let name = host.as_str();
            let (old, is, new) =
                (&self.old.machines[name], &network.machines[name], &self.new.machines[name]);
            let records = recorded(is) != recorded(old);
            let (is_old, is_new) =
                (had(is) == had(old) && !records, had(is) == had(new) && records);
            let what = format!("{what}: {name}: {outcome:?}");
            match outcome {
                Outcome::Applied => assert!(is_new, "{what}"),
                Outcome::Skipped(_) | Outcome::Failed(_) | Outcome::RolledBack(_) => {
                    assert!(is_old, "{what}");
                }
                Outcome::Unknown(_) => assert!(!faults.is_empty() && (is_old || is_new), "{what}"),
                _ => panic!("{what}"),
            }
            new_ones += usize::from(is_new);
        }
        let is_whole = new_ones == 0 || new_ones == endings.len();
        let unknown = endings.iter().any(|one| matches!(one.outcome, Outcome::Unknown(_)));
        assert!(is_whole || !together || unknown, "{what}: a mixture: {endings:?}");
        if new_ones < endings.len() && faults.is_empty() && network.slept.is_zero() {
            let stopped = |one: &Ending| one.outcome.reason() == Some(&Reason::Interrupted);
            assert!(endings.iter().any(stopped), "{what}: {endings:?}");
        }
    }

    /// At each call to each host.
    fn at_each_call(&self, together: bool) -> usize {
        let mut cases = 0;
        for name in HOSTS {
            cases += (0..1_000)
                .take_while(|at| self.stopped(name, *at, together, &[]).is_some())
                .count();
        }
        cases
    }
}

#[test]
fn a_group_ends_as_one_at_each_call() {
    let cases = Trial::new().at_each_call(true);
    assert!(cases > 30, "{cases}");
}

#[test]
fn hosts_that_change_alone_end_old_or_new_at_each_call() {
    let cases = Trial::new().at_each_call(false);
    assert!(cases > 10, "{cases}");
}

/// The controller sleeps until every timer has ended, at whichever call: it confirms nothing any more, and says why
/// where it had armed something.
#[test]
fn a_controller_that_slept_confirms_nothing_too_late() {
    let trial = Trial::new();
    let mut seen = 0;
    for together in [true, false] {
        for at in 0.. {
            let asleep = play(async {
                let what = format!("asleep at {at}, together {together}");
                let login = login(trial.old.clone());
                let yard = trial.yard.stopping();
                login.connector.network().sleep_at("b", at, &yard.slept, 200);
                let run = yard.change(&trial.fleet, File::New, &login, together);
                let (_, endings) =
                    bounded(DEADLINE * 8, &what, run).await.expect("it is carried out");
                let network = login.connector.network().clone();
                if network.slept.is_zero() {
                    return None;
                }
                trial.judge(&endings, &network, together, &[], &what);
                let calls = &network.calls["b"][at..];
                let late = |verb: &&String| ["hold", "confirm"].contains(&verb.as_str());
                let told = calls.iter().skip(1).find(late);
                let own = endings.iter().find(|one| one.host.as_str() == "b").unwrap();
                let asleep = matches!(own.outcome.reason(), Some(Reason::Asleep { seconds: 200 }));
                assert!(!asleep || told.is_none(), "{what}: {calls:?}: {own:?}");
                Some(asleep)
            });
            let Some(asleep) = asleep else { break };
            seen += usize::from(asleep);
        }
    }
    assert!(seen > 4, "{seen}");
}

/// The next call to the host, or to another one, fails as well.
#[test]
fn what_fails_meanwhile_is_told() {
    let trial = Trial::new();
    let troubles = [Trouble::Before, Trouble::Within, Trouble::After, Trouble::Slow, Trouble::Gone];
    for together in [true, false] {
        for (number, at) in (2..14).enumerate() {
            for (more, trouble) in troubles.into_iter().enumerate() {
                let (host, at_fault) = (HOSTS[(number + more) % 3].to_owned(), at + more % 2);
                let fault = Fault { host, at: at_fault, trouble };
                trial.stopped("b", at, together, &[fault]);
            }
        }
    }
}

/// No key is lost, no host is cut off, and a second run finishes.
#[test]
fn a_rotation_ends_as_one_at_each_call() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::Old);
    let mut cases = 0;
    for name in HOSTS {
        for at in 0.. {
            let yard = yard.stopping();
            let is_there = play(async {
                let what = format!("{name} at {at}");
                let login = login(old.clone());
                login.connector.network().stop_at(name, at, yard.stop.clone());
                let mut ledger = Ledger::default();
                let run = rotate(&yard, &fleet, &login, &HOSTS, &mut ledger);
                let ended = bounded(DEADLINE * 8, &what, Box::pin(run)).await;
                let asked = login.connector.network().stopped?;
                let after = login.connector.now().saturating_sub(asked);
                assert!(after < LIMIT, "{what}: it goes on for {after:?}: {ended:?}");
                let network = login.connector.network().clone();
                let live = |name: &str| &network.machines[name].state.interfaces["wg0"];
                for one in HOSTS {
                    for two in HOSTS.into_iter().filter(|two| *two != one) {
                        let key = live(two).public.clone().unwrap_or_default();
                        let knows = live(one).peers.contains_key(&key);
                        assert!(knows, "{what}: {one} does not know {two}: {ended:?}");
                    }
                }
                let again = Yard::copy(&yard);
                let left: Vec<&str> = HOSTS
                    .into_iter()
                    .filter(|name| {
                        let vault = Vault::open(&again.path().join("vault")).expect("a vault");
                        vault.index().next(&host(name)).is_some()
                    })
                    .collect();
                if !left.is_empty() {
                    let mut ledger = Ledger::default();
                    let run = rotate(&again, &fleet, &login, &left, &mut ledger);
                    let failed = Box::pin(run).await.expect("it is carried out");
                    assert!(failed.is_empty(), "{what}: at the second time: {failed:?}");
                }
                Some(())
            });
            if is_there.is_none() {
                break;
            }
            cases += 1;
        }
    }
    assert!(cases > 60, "{cases}");
}

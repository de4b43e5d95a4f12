//! Three hosts that change together or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use wgfleet::event::{Ending, Outcome};
use wgfleet::fleet::Fleet;

use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{
    File, HOSTS, Yard, applied, bounded, had, is_down, kept, login, pairs, play, recorded, settle,
    singles, wanted,
};

/// How long a run may take: the survey, a change with all that is waited for, and some.
const LIMIT: Duration = Duration::from_mins(8);

struct Trial {
    yard: Yard,
    fleet: Fleet,
    old: Network,
    new: Network,
    kept: Network,
}

impl Trial {
    fn new() -> Self {
        let yard = Yard::new();
        let old = applied(&yard, Network::of(&HOSTS), File::Old);
        let new = applied(&yard, old.clone(), File::New);
        let kept = kept(&yard, &old);
        let fleet = yard.fleet(File::New);
        Self { yard, fleet, old, new, kept }
    }

    /// The verbs of the calls to each host while some calls fail, and how each host ended.
    fn calls(&self, faults: &[Fault]) -> (BTreeMap<String, Vec<String>>, Vec<Ending>) {
        play(async {
            let login = login(self.old.failing(faults));
            let run = self.yard.apply_together(&self.fleet, File::New, &login);
            let (_, endings) = bounded(LIMIT, "calls", run).await.expect("it is carried out");
            (std::mem::take(&mut login.connector.network().calls), endings)
        })
    }

    /// Changes the group while some calls fail, and then each host.
    fn case(&self, faults: &[Fault]) {
        play(async {
            let what = format!("{faults:?}");
            let login = login(self.old.failing(faults));
            let run = self.yard.apply_together(&self.fleet, File::New, &login);
            let (_, endings) = bounded(LIMIT, &what, run).await.expect("it is carried out");
            settle(&login).await;
            self.judge(&endings, &login.connector.network(), faults);
            let again = self.yard.apply(&self.fleet, File::New, &login);
            let (_, outcomes) = bounded(LIMIT, &what, again).await.expect("it is carried out");
            for Ending { host: name, outcome, .. } in outcomes {
                let fine = matches!(outcome, Outcome::Applied | Outcome::Unchanged);
                assert!(fine, "{what}: {name} at the second time: {outcome:?}");
                let network = login.connector.network();
                let (is, wanted) =
                    (&network.machines[name.as_str()], &self.new.machines[name.as_str()]);
                assert_eq!(had(is), had(wanted), "{what}: {name} at the second time");
            }
        });
    }

    /// Compares what is said of the hosts with what they have: all of them the same.
    fn judge(&self, endings: &[Ending], network: &Network, faults: &[Fault]) {
        let passes = faults.iter().all(|fault| fault.trouble.passes());
        let mut new_ones = 0;
        for Ending { host, outcome, .. } in endings {
            let name = host.as_str();
            let (old, is) = (&self.old.machines[name], &network.machines[name]);
            let new = wanted(name, (&self.new, &self.kept), is_down(endings));
            let what = format!("{faults:?}: {name}: {outcome:?}");
            let records = recorded(is) != recorded(old);
            let is_old = had(is) == had(old) && !records;
            let is_new = records && had(is) == had(new);
            match outcome {
                Outcome::Applied => assert!(is_new, "{what}"),
                Outcome::NotForNextBoot(_) => {
                    assert_eq!(had(is).interfaces, had(new).interfaces, "{what}");
                    assert!(!passes, "{what}");
                }
                Outcome::Unchanged => panic!("{what}: there was something to do"),
                Outcome::Moved(_)
                | Outcome::Skipped(_)
                | Outcome::Failed(_)
                | Outcome::RolledBack(_) => assert!(is_old, "{what}"),
                Outcome::Unknown(_) => {
                    assert!(is_old || is_new, "{what}");
                    assert!(faults.len() > 1 || !passes, "{what}: it could have been known");
                }
            }
            new_ones += usize::from(is_new || matches!(outcome, Outcome::NotForNextBoot(_)));
        }
        // Only a host that is lost between two confirmations can be alone with what it has.
        let lost = faults.iter().any(|fault| matches!(fault.trouble, Trouble::Gone));
        let unknown = endings.iter().any(|one| matches!(one.outcome, Outcome::Unknown(_)));
        let skipped = endings.iter().any(|one| matches!(one.outcome, Outcome::Skipped(_)));
        let is_whole = new_ones == 0 || new_ones == endings.len();
        assert!(
            is_whole || skipped || (unknown && (lost || faults.len() > 1)),
            "{faults:?}: a mixture: {endings:?}"
        );
    }
}

#[test]
fn a_group_that_nothing_befalls_changes() {
    let (calls, endings) = Trial::new().calls(&[]);
    assert!(endings.iter().all(|one| one.outcome == Outcome::Applied), "{endings:?}");
    for calls in calls.values() {
        let of_a_change = calls.iter().skip_while(|verb| *verb != "prepare");
        let verbs: Vec<&str> = of_a_change.map(String::as_str).collect();
        let clocks = ["clock"; 5];
        let then = ["flip", "connect", "observe", "probe", "observe", "hold", "release"];
        assert_eq!(verbs, [&["prepare"], &clocks[..], &then[..]].concat());
    }
}

/// Every call to one host fails in every way.
fn fails(name: &str) {
    let trial = Trial::new();
    let faults = singles(name, &trial.calls(&[]).0[name], 0);
    assert!(faults.len() > 60, "{}", faults.len());
    for fault in faults {
        trial.case(&[fault]);
    }
}

#[test]
fn every_call_to_the_first_host_fails() {
    fails("a");
}

#[test]
fn every_call_to_the_last_host_fails() {
    fails("c");
}

#[test]
fn two_calls_fail() {
    let trial = Trial::new();
    let (calls, _) = trial.calls(&[]);
    let faults: Vec<Fault> =
        HOSTS.into_iter().flat_map(|name| singles(name, &calls[name], 0)).collect();
    for two in pairs(&faults, 150) {
        trial.case(&two);
    }
}

//! `apply` over three hosts.

use std::time::Duration;

use wgfleet::event::{Ending, Outcome, Reason};
use wgfleet::fleet::Fleet;
use wgfleet::model::HostName;

use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{
    File, HOSTS, Yard, applied, bounded, had, is_down, kept, login, pairs, play, recorded, settle,
    singles, wanted,
};

/// How long a run may take: the survey, a change with all that is waited for, and some.
const LIMIT: Duration = Duration::from_mins(5);

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

    /// The verbs of the calls to each host while some calls fail.
    fn calls(&self, faults: &[Fault], host: &str) -> Vec<String> {
        play(async {
            let login = login(self.old.failing(faults));
            let run = self.yard.apply(&self.fleet, File::New, &login);
            bounded(LIMIT, "calls", run).await.expect("it is carried out");
            let calls = login.connector.network().calls.remove(host);
            calls.unwrap_or_default()
        })
    }

    /// Runs `apply` while some calls fail, and once more.
    fn case(&self, faults: &[Fault]) {
        play(async {
            let what = format!("{faults:?}");
            let login = login(self.old.failing(faults));
            let run = self.yard.apply(&self.fleet, File::New, &login);
            let (_, outcomes) = bounded(LIMIT, &what, run).await.expect("it is carried out");
            settle(&login).await;
            for one in &outcomes {
                let (name, outcome) = (&one.host, &one.outcome);
                let is_begun = !matches!(outcome, Outcome::Skipped(_));
                let has_times = one.begun.is_some() && one.begun <= one.ended;
                assert_eq!(has_times, is_begun, "{what}: {one:?}");
                let a_is_down = is_down(&outcomes);
                self.judge(name.as_str(), outcome, &login.connector.network(), faults, a_is_down);
            }
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

    /// Compares what is said of a host with what it has.
    fn judge(
        &self,
        name: &str,
        outcome: &Outcome,
        network: &Network,
        faults: &[Fault],
        a_is_down: bool,
    ) {
        let (old, is) = (&self.old.machines[name], &network.machines[name]);
        let new = wanted(name, (&self.new, &self.kept), a_is_down);
        let what = format!("{faults:?}: {name}: {outcome:?}");
        let is_old = had(is) == had(old);
        let is_new = had(is) == had(new);
        let records = recorded(is) != recorded(old);
        match outcome {
            Outcome::Applied => assert!(is_new && records, "{what}"),
            Outcome::NotForNextBoot(_) => {
                assert_eq!(had(is).interfaces, had(new).interfaces, "{what}");
                let full = faults.iter().any(|fault| fault.host == name && !fault.trouble.passes());
                assert!(full, "{what}");
            }
            Outcome::Unchanged => panic!("{what}: there was something to do"),
            Outcome::Moved(_)
            | Outcome::Skipped(_)
            | Outcome::Failed(_)
            | Outcome::RolledBack(_) => assert!(is_old && !records, "{what}"),
            Outcome::Unknown(_) => {
                assert!((is_old && !records) || (is_new && records), "{what}");
                // It can be asked, so it has to be.
                let passes = faults.iter().all(|fault| fault.trouble.passes());
                assert!(faults.len() > 1 || !passes, "{what}: it could have been known");
            }
        }
        if faults.iter().all(|fault| fault.host != name) {
            // A wave in which somebody else has a host is not begun at all.
            let is_theirs = |host: &HostName| {
                let of =
                    |fault: &Fault| fault.host == host.as_str() && fault.trouble == Trouble::Busy;
                faults.iter().any(of)
            };
            match outcome {
                Outcome::Skipped(Reason::OthersLocked { host }) if is_theirs(host) => {}
                _ => assert_eq!(*outcome, Outcome::Applied, "{what}: nothing went wrong there"),
            }
        }
    }
}

#[test]
fn every_call_fails_in_every_way() {
    let trial = Trial::new();
    let mut faults = Vec::new();
    for host in HOSTS {
        faults.extend(singles(host, &trial.calls(&[], host), 0));
    }
    assert!(faults.len() > 100, "{}", faults.len());
    for fault in &faults {
        trial.case(std::slice::from_ref(fault));
    }
    // Two hosts have trouble, or one has it twice.
    for two in pairs(&faults, 300) {
        trial.case(&two);
    }
}

/// The second call fails while the first failure is being dealt with.
#[test]
fn two_calls_to_one_host_fail() {
    let (trial, host) = (Trial::new(), "c");
    let mut cases = 0;
    for first in singles(host, &trial.calls(&[], host), 0) {
        let calls = trial.calls(std::slice::from_ref(&first), host);
        for second in singles(host, &calls, first.at + 1) {
            trial.case(&[first.clone(), second]);
            cases += 1;
        }
    }
    assert!(cases > 500, "{cases}");
}

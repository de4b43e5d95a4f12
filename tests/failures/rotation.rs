//! `rotate --all` over three hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use wgfleet::event::{Ending, Outcome};
use wgfleet::fleet::{Campaign, Error, Fleet, Ledger, Login, Terms};
use wgfleet::model::{HostName, PublicKey};
use wgfleet::vault::Vault;

use crate::scripted::connect::Scripted;
use crate::scripted::network::{Fault, Network};
use crate::yard::{
    DEADLINE, File, HOSTS, Yard, applied, bounded, had, host, login, moment, pairs, play, settle,
    singles,
};

/// How long a run may take: three turns, some of them twice, with all that is waited for.
const LIMIT: Duration = Duration::from_mins(30);

struct Trial {
    /// Its vault has the next keys already: so every run has the same.
    yard: Yard,
    fleet: Fleet,
    /// The next key of each host.
    keys: BTreeMap<HostName, PublicKey>,
    /// The hosts before the first turn and after each.
    stages: Vec<Network>,
}

/// Rotates the keys of some hosts, as `wgfleet rotate` does; the outcomes of the turn that failed.
pub(crate) async fn rotate(
    yard: &Yard,
    fleet: &Fleet,
    login: &Login<Scripted>,
    names: &[&str],
    ledger: &mut Ledger,
) -> Result<Vec<Ending>, Error> {
    let context = yard.context(File::Old);
    let mut vault = context.vault_to_write()?;
    let terms = Terms {
        login,
        binaries: None,
        overrides: yard.overrides(),
        allow_unreachable: false,
        deadline: DEADLINE,
    };
    let names = names.iter().map(|name| host(name)).collect();
    let mut campaign = Campaign::begin(&context, fleet, &mut vault, terms, names, moment())?;
    let review = async {
        let (mut survey, plan) = campaign.survey().await?;
        let begun = campaign.may_begin(&plan).and_then(|()| campaign.start(&mut survey));
        survey.close().await;
        begun
    };
    let run = match review.await {
        Ok(run) => run,
        Err(error) => {
            campaign.cancel()?;
            return Err(error);
        }
    };
    campaign.take_turns(&run, ledger).await
}

impl Trial {
    fn new() -> Self {
        let yard = Yard::new();
        let old = applied(&yard, Network::of(&HOSTS), File::Old);
        let fleet = yard.fleet(File::Old);
        let mut vault = Vault::open(&yard.path().join("vault")).expect("a vault");
        vault.begin_rotation(&HOSTS.map(host), yard.identities(), moment()).expect("new keys");
        let key = |name| (host(name), vault.index().next(&host(name)).expect("a key"));
        let keys = HOSTS.map(key).into();
        let rotated = yard.copy();
        let mut stages = vec![old];
        for turn in HOSTS {
            let next = play(async {
                let login = login(stages[stages.len() - 1].clone());
                let mut ledger = Ledger::default();
                let turn = [turn];
                let run = rotate(&rotated, &fleet, &login, &turn, &mut ledger);
                let failed = run.await.expect("it is carried out");
                assert!(failed.is_empty(), "{failed:?}");
                settle(&login).await;
                login.connector.network().clone()
            });
            stages.push(next);
        }
        Self { yard, fleet, keys, stages }
    }

    fn network(&self, faults: &[Fault]) -> Network {
        self.stages[0].failing(faults)
    }

    /// The verbs of the calls to each host while some calls fail.
    fn calls(&self, faults: &[Fault]) -> BTreeMap<String, Vec<String>> {
        play(async {
            let (yard, login) = (self.yard.copy(), login(self.network(faults)));
            let mut ledger = Ledger::default();
            let run = rotate(&yard, &self.fleet, &login, &HOSTS, &mut ledger);
            run.await.expect("it is carried out");
            std::mem::take(&mut login.connector.network().calls)
        })
    }

    /// Rotates while some calls fail, then applies the file, then rotates what is left.
    fn case(&self, faults: &[Fault]) {
        let yard = self.yard.copy();
        play(async {
            let what = format!("{faults:?}");
            let login = login(self.network(faults));
            let mut ledger = Ledger::default();
            let run = rotate(&yard, &self.fleet, &login, &HOSTS, &mut ledger);
            let ended = bounded(LIMIT, &what, Box::pin(run)).await;
            settle(&login).await;
            self.judge(&login.connector.network(), &ledger, faults, &format!("{what}: {ended:?}"));
            self.vault_keeps_up(&yard, &login.connector.network(), &what);

            let before = login.connector.network().clone();
            let applying = yard.apply(&self.fleet, File::Old, &login);
            let (_, outcomes) = bounded(LIMIT, &what, applying).await.expect("it is carried out");
            let fine = |outcome: &Outcome| matches!(outcome, Outcome::Applied | Outcome::Unchanged);
            assert!(outcomes.iter().all(|one| fine(&one.outcome)), "{what}: {outcomes:?}");
            settle(&login).await;
            let network = login.connector.network().clone();
            sessions_work(&network, &what);
            for name in HOSTS {
                let key = |network: &Network| {
                    network.machines[name].state.interfaces["wg0"].public.clone()
                };
                assert_eq!(key(&network), key(&before), "{what}: {name}: apply moves no key");
            }

            let left = Self::left(&yard);
            let mut ledger = Ledger::default();
            if !left.is_empty() {
                let again = rotate(&yard, &self.fleet, &login, &left, &mut ledger);
                let again = bounded(LIMIT, &what, Box::pin(again));
                let failed = again.await.expect("it is carried out");
                assert!(failed.is_empty(), "{what}: at the second time: {failed:?}");
            }
            settle(&login).await;
            let network = login.connector.network().clone();
            for name in HOSTS {
                let (is, wanted) = (&network.machines[name], &self.stages[3].machines[name]);
                assert_eq!(had(is), had(wanted), "{what}: {name} at the second time");
            }
            sessions_work(&network, &what);
            self.vault_keeps_up(&yard, &network, &what);
        });
    }

    /// The hosts whose next keys still wait.
    fn left(yard: &Yard) -> Vec<&'static str> {
        let vault = Vault::open(&yard.path().join("vault")).expect("a vault");
        HOSTS.into_iter().filter(|name| vault.index().next(&host(name)).is_some()).collect()
    }

    /// How many turns a host has taken part in.
    fn stage(&self, network: &Network, name: &str, what: &str) -> usize {
        let is = had(&network.machines[name]);
        let stage = self.stages.iter().position(|stage| had(&stage.machines[name]) == is);
        // What the next boot reads may be older than what is live.
        let live = || {
            self.stages
                .iter()
                .position(|stage| had(&stage.machines[name]).interfaces == is.interfaces)
        };
        stage.or_else(live).unwrap_or_else(|| panic!("{what}: {name} is a mixture: {is:?}"))
    }

    /// Compares what is said of each host with what it has.
    fn judge(&self, network: &Network, ledger: &Ledger, faults: &[Fault], what: &str) {
        let done = ledger.rotated.len();
        for name in HOSTS {
            let stage = self.stage(network, name, what);
            let turn = ledger.failed.as_ref();
            let own = ledger
                .outcomes
                .iter()
                .filter(|one| Some(&one.turn) == turn && one.ending.host.as_str() == name);
            let outcomes: Vec<&Outcome> = own.map(|one| &one.ending.outcome).collect();
            let what = format!("{what}: {name} has taken {stage} turns of {done}: {outcomes:?}");
            match outcomes.last() {
                Some(Outcome::Applied | Outcome::NotForNextBoot(_) | Outcome::Unchanged) => {
                    assert_eq!(stage, done + 1, "{what}");
                }
                None
                | Some(
                    Outcome::Moved(_)
                    | Outcome::Skipped(_)
                    | Outcome::Failed(_)
                    | Outcome::RolledBack(_),
                ) => assert_eq!(stage, done, "{what}"),
                Some(Outcome::Unknown(_)) => {
                    assert!(stage == done || stage == done + 1, "{what}");
                    let passes = faults.iter().all(|fault| fault.trouble.passes());
                    assert!(faults.len() > 1 || !passes, "{what}: it could have been known");
                }
            }
        }
    }

    /// A key that the vault has promoted is the one that its host has and its neighbours know.
    fn vault_keeps_up(&self, yard: &Yard, network: &Network, what: &str) {
        let vault = Vault::open(&yard.path().join("vault")).expect("a vault");
        for (name, new) in &self.keys {
            let promoted = vault.index().current(name) == Some(*new);
            for (other, machine) in network.machines.iter().filter(|_| promoted) {
                let live = &machine.state.interfaces["wg0"];
                let new = new.to_string();
                let has = if name.as_str() == other {
                    live.public.as_ref() == Some(&new)
                } else {
                    live.peers.contains_key(&new)
                };
                assert!(has, "{what}: {other} has not the new key of {name}");
            }
        }
    }
}

/// Every two hosts know each other's key, and agree on the preshared one.
fn sessions_work(network: &Network, what: &str) {
    let live = |name: &str| &network.machines[name].state.interfaces["wg0"];
    for one in HOSTS {
        for two in HOSTS.into_iter().filter(|two| *two != one) {
            let key = live(two).public.clone().unwrap_or_default();
            assert!(live(one).peers.contains_key(&key), "{what}: {one} does not know {two}");
            let psk = |from: &str, to: &str| {
                let key = live(to).public.clone().unwrap_or_default();
                live(from).peers.get(&key).and_then(|peer| peer.psk.clone())
            };
            assert_eq!(psk(one, two), psk(two, one), "{what}: {one} and {two}");
        }
    }
}

/// Every call to one host fails in every way; of the ways, every `step`-th.
fn fails(name: &str, step: usize) {
    let trial = Trial::new();
    let faults = singles(name, &trial.calls(&[])[name], 0);
    assert!(faults.len() > 100, "{}", faults.len());
    for fault in faults.into_iter().step_by(step) {
        trial.case(&[fault]);
    }
}

#[test]
fn every_call_to_the_first_host_fails() {
    fails("a", 1);
}

#[test]
fn every_call_to_the_second_host_fails() {
    fails("b", 2);
}

#[test]
fn every_call_to_the_last_host_fails() {
    fails("c", 3);
}

#[test]
fn two_calls_fail() {
    let trial = Trial::new();
    let calls = trial.calls(&[]);
    let faults: Vec<Fault> =
        HOSTS.into_iter().flat_map(|name| singles(name, &calls[name], 0)).collect();
    for two in pairs(&faults, 100) {
        trial.case(&two);
    }
}

/// The first confirmation of a host fails, and then one of the next calls to `other`.
fn after_a_confirmation(name: &str, other: &str) {
    let trial = Trial::new();
    let calls = &trial.calls(&[])[name];
    let at = calls.iter().position(|verb| verb == "hold").expect("it confirms");
    let mut cases = 0;
    for first in singles(name, &calls[..=at], at) {
        let calls = &trial.calls(std::slice::from_ref(&first))[other];
        let confirmed = calls.iter().position(|verb| verb == "hold").expect("it confirms");
        let end = calls.len().min(confirmed + 6);
        for second in singles(other, &calls[..end], confirmed + 1) {
            trial.case(&[first.clone(), second]);
            cases += 1;
        }
    }
    assert!(cases > 50, "{cases}");
}

#[test]
fn a_neighbour_fails_again_after_its_confirmation() {
    after_a_confirmation("b", "b");
}

#[test]
fn the_host_fails_after_the_confirmation_of_a_neighbour() {
    after_a_confirmation("b", "a");
}

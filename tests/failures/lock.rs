//! Hosts that another run has.

use std::time::Duration;

use wgfleet::event::{Ending, Outcome, Reason};

use crate::scripted::network::Network;
use crate::yard::{File, HOSTS, Yard, applied, had, login, play, settle};

const OTHER: &str = "r00000000ff";

/// A host that another run has, or several: nothing changes anywhere, and nobody is kept out afterwards.
#[test]
fn a_run_that_loses_a_lock_has_changed_nothing() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    for others in [&["a"][..], &["c"], &["a", "c"], &HOSTS] {
        for together in [true, false] {
            play(async {
                let login = login(old.clone());
                for name in others {
                    let lease = Duration::from_mins(4);
                    login.connector.network().machine(name, Duration::ZERO).locked_by(OTHER, lease);
                }
                let run = yard.change(&fleet, File::New, &login, together);
                let (_, endings) = run.await.expect("it is carried out");
                let what = format!("{others:?}, {endings:?}");
                // Who does not get the first one does not ask for the others.
                let first = others.contains(&"a");
                for Ending { host, outcome, .. } in &endings {
                    let name = host.as_str();
                    let is_locked = others.contains(&name) && (!first || name == "a");
                    match outcome {
                        Outcome::Skipped(Reason::Locked { by }) if is_locked => {
                            assert_eq!(by.who.raw(), "ann@laptop", "{what}");
                        }
                        Outcome::Skipped(Reason::OthersLocked { host }) if !is_locked => {
                            assert!(others.contains(&host.as_str()), "{what}");
                        }
                        _ => panic!("{what}"),
                    }
                }
                let network = login.connector.network().clone();
                for name in HOSTS {
                    let machine = &network.machines[name];
                    assert_eq!(had(machine), had(&old.machines[name]), "{what}");
                    let owner = others.contains(&name).then_some(OTHER);
                    assert_eq!(machine.locked(), owner, "{what}: {name}");
                    let verbs = &network.calls[name];
                    let touched = |verb: &String| ["apply", "prepare"].contains(&verb.as_str());
                    assert!(!verbs.iter().any(touched), "{what}: {verbs:?}");
                }
                // The lease ends by itself.
                settle(&login).await;
                tokio::time::sleep(Duration::from_mins(5)).await;
                let run = yard.change(&fleet, File::New, &login, together);
                let (_, endings) = run.await.expect("it is carried out");
                assert!(endings.iter().all(|one| one.outcome == Outcome::Applied), "{endings:?}");
                for name in HOSTS {
                    assert_eq!(login.connector.network().machines[name].locked(), None, "{name}");
                }
            });
        }
    }
}

/// Another run takes a host between the lock and the change: its lease was over, or somebody broke it.
#[test]
fn a_lock_that_was_lost_is_noticed_before_the_change() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    play(async {
        let login = login(old.clone());
        login.connector.network().steal_at("b", "prepare", OTHER);
        let run = yard.change(&fleet, File::New, &login, true);
        let (_, endings) = run.await.expect("it is carried out");
        for one in &endings {
            assert!(matches!(one.outcome, Outcome::Failed(_)), "{one:?}");
        }
        let own = endings.iter().find(|one| one.host.as_str() == "b").expect("an outcome");
        assert!(matches!(own.outcome.reason(), Some(Reason::Locked { .. })), "{own:?}");
    });
}

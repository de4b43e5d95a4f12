//! Runs that are killed at whichever call, and then resumed or aborted before a timer has ended.

use std::time::Duration;

use wgfleet::event::{Ending, Outcome};
use wgfleet::fleet::{Course, finish, unfinished};
use wgfleet::sys::Stop;

use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{DEADLINE, File, HOSTS, Yard, applied, bounded, had, login, play, recorded};

#[test]
fn a_run_that_was_killed_comes_to_one_state_at_each_call() {
    let first = Yard::new();
    let old = applied(&first, Network::of(&HOSTS), File::Old);
    let new = applied(&first, old.clone(), File::New);
    let fleet = first.fleet(File::New);
    let (mut back, mut forward) = (0, 0);
    for (course, together) in [
        (Course::Resume, true),
        (Course::Abort, true),
        (Course::Resume, false),
        (Course::Abort, false),
    ] {
        for name in HOSTS {
            for at in 0.. {
                let was_there = play(async {
                    let what = format!("{course:?} after {at} of {name}, together {together}");
                    let yard = first.stopping();
                    let context = yard.context(File::New);
                    let login = login(old.clone());
                    let killed = Stop::default();
                    login.connector.network().stop_at(name, at, killed.clone());
                    let run = yard.change(&fleet, File::New, &login, together);
                    tokio::select! {
                        biased;
                        () = killed.asked() => {}
                        ended = run => drop(ended.expect("it is carried out")),
                    }
                    if !killed.is_asked() {
                        return None;
                    }
                    // A run that had ended, or had not begun, is none.
                    if let Some(run) = unfinished(&context, &fleet).expect("journals") {
                        let finished = finish(&context, &fleet, &login, &run, course);
                        let limit = Duration::from_secs(20);
                        let endings =
                            bounded(limit, &what, finished).await.expect("it is finished");
                        for Ending { host, outcome, .. } in &endings {
                            let machine = &login.connector.network().machines[host.as_str()];
                            let (is, was) = (had(machine), &old.machines[host.as_str()]);
                            let kept = recorded(machine) != recorded(was);
                            match outcome {
                                Outcome::Applied => {
                                    let wanted = had(&new.machines[host.as_str()]);
                                    assert!(kept && is == wanted, "{what}: {host}: {endings:?}");
                                }
                                Outcome::Skipped(_) | Outcome::RolledBack(_) => {
                                    assert!(!kept && is == had(was), "{what}: {host}: {endings:?}");
                                }
                                _ => panic!("{what}: {host}: {outcome:?}"),
                            }
                        }
                        let unfinished = unfinished(&context, &fleet).expect("journals");
                        assert!(unfinished.is_none(), "{what}: {unfinished:?}");
                    }
                    let network = login.connector.network().clone();
                    let changed = |name: &&&str| {
                        recorded(&network.machines[**name]) != recorded(&old.machines[**name])
                    };
                    let changed = HOSTS.iter().filter(changed).count();
                    assert!(!together || [0, HOSTS.len()].contains(&changed), "{what}: {changed}");
                    // At once: nothing is armed any more.
                    let again = yard.apply(&fleet, File::New, &login);
                    let (_, endings) =
                        bounded(DEADLINE, &what, again).await.expect("it is carried out");
                    for Ending { host, outcome, .. } in endings {
                        let fine = matches!(outcome, Outcome::Applied | Outcome::Unchanged);
                        assert!(fine, "{what}: {host} at the second time: {outcome:?}");
                    }
                    Some(changed > 0)
                });
                match was_there {
                    None => break,
                    Some(true) => forward += 1,
                    Some(false) => back += 1,
                }
            }
        }
    }
    assert!(back > 100 && forward > 2, "{back} {forward}");
}

/// Two hosts were released and one was not when the run was killed: it follows, whatever was asked for.
#[test]
fn a_host_that_lags_behind_follows_those_that_cannot_be_taken_back() {
    let first = Yard::new();
    let old = applied(&first, Network::of(&HOSTS), File::Old);
    let fleet = first.fleet(File::New);
    let calls = play(async {
        let login = login(old.clone());
        first.apply_together(&fleet, File::New, &login).await.expect("it is carried out");
        login.connector.network().calls.remove("b").expect("calls")
    });
    let at = calls.iter().position(|verb| verb == "release").expect("it is released");
    for course in [Course::Resume, Course::Abort] {
        play(async {
            let yard = first.stopping();
            let fault = Fault { host: "b".to_owned(), at, trouble: Trouble::Late };
            let login = login(old.failing(&[fault]));
            let run = yard.apply_together(&fleet, File::New, &login);
            let killed = tokio::time::timeout(Duration::from_secs(18), run).await;
            assert!(killed.is_err(), "it waits for `b`");
            let context = yard.context(File::New);
            let run = unfinished(&context, &fleet).expect("journals").expect("a run");
            let finished = finish(&context, &fleet, &login, &run, course).await;
            let endings = finished.expect("it is finished");
            assert_eq!(endings.len(), HOSTS.len(), "{endings:?}");
            assert!(endings.iter().all(|one| one.outcome == Outcome::Applied), "{endings:?}");
        });
    }
}

//! What a run writes down, and what it does where it can write nothing down.

use std::time::Duration;

use wgfleet::event::Outcome;
use wgfleet::fleet::Kind;
use wgfleet::journal::{PastState, past};

use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{File, HOSTS, Yard, applied, had, host, login, play};

#[test]
fn the_journal_says_what_was_said() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    let folder = yard.context(File::New).journal_folder(&"failures".parse().unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    // `b` gives no answer when it is observed.
    let faults = [Fault { host: "b".to_owned(), at: 0, trouble: Trouble::Gone }];
    let said = play(async {
        let login = login(old.failing(&faults));
        yard.apply(&fleet, File::New, &login).await.expect("it is carried out").1
    });
    let run = past(&folder).unwrap().pop().expect("a run");
    assert!(matches!(run.state, PastState::Ended(_)) && run.open.is_empty(), "{run:?}");
    let mut written = run.endings;
    written.sort_by_key(|ending| ending.host.clone());
    assert_eq!(written, said);
    assert!(written.iter().any(|ending| matches!(ending.outcome, Outcome::Skipped(_))));
}

#[test]
fn of_a_run_that_was_killed_it_says_what_was_begun() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    let folder = yard.context(File::New).journal_folder(&"failures".parse().unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let calls = play(async {
        let login = login(old.failing(&[]));
        yard.apply(&fleet, File::New, &login).await.expect("it is carried out");
        login.connector.network().calls.remove("b").expect("calls")
    });
    std::fs::remove_dir_all(&folder).unwrap();
    // `b` takes longer than anybody waits.
    let at = calls.iter().position(|verb| verb == "apply").expect("it is changed");
    let faults = [Fault { host: "b".to_owned(), at, trouble: Trouble::Slow }];
    play(async {
        let login = login(old.failing(&faults));
        let run = yard.apply(&fleet, File::New, &login);
        let killed = tokio::time::timeout(Duration::from_secs(40), run).await;
        assert!(killed.is_err(), "it waits for `b`");
    });
    let run = past(&folder).unwrap().pop().expect("a run");
    assert_eq!(run.state, PastState::Interrupted);
    assert!(run.open.get(&host("b")).is_some_and(Option::is_some), "{:?}", run.open);
}

#[test]
fn no_host_is_touched_where_nothing_can_be_written_down() {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    let state = yard.path().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "a file").unwrap();
    let after = play(async {
        let login = login(old.clone());
        let error = yard.apply(&fleet, File::New, &login).await.expect_err("there is no journal");
        assert_eq!(error.kind(), Kind::Failed);
        login.connector.network().clone()
    });
    for name in HOSTS {
        let verbs = after.calls.get(name).cloned().unwrap_or_default();
        assert!(!verbs.iter().any(|verb| verb == "apply"), "{name}: {verbs:?}");
        assert_eq!(had(&after.machines[name]), had(&old.machines[name]), "{name}");
    }
}

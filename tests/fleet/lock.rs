//! Two runs at once.

use std::process::Stdio;

use crate::yard::{Ran, THREE, Yard};

#[test]
fn of_two_runs_at_once_one_waits_outside() {
    let yard = Yard::up(THREE);
    let begin = |args: &[&str]| {
        let mut command = yard.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs = [begin(&["apply", "--yes"]), begin(&["apply", "--yes"])];
    let mut ended: Vec<Ran> =
        runs.into_iter().map(|run| run.wait_with_output().unwrap().into()).collect();
    ended.sort_by_key(|ran| ran.code);
    assert_eq!([ended[0].code, ended[1].code], [0, 5], "{ended:?}");
    assert!(ended[1].stderr.contains("another run is changing the fleet"), "{ended:?}");
    assert!(ended[1].stdout.is_empty(), "{ended:?}");
    yard.settled();
    // Looking is free, and the lock went with its run.
    let mut apply = begin(&["apply", "--yes"]);
    yard.settled();
    apply.wait().unwrap();
    yard.done(&["apply", "--yes"]);
    let run = [begin(&["rotate", "paris-gw", "--yes"]), begin(&["rotate", "paris-gw", "--yes"])];
    let mut ended: Vec<Ran> =
        run.into_iter().map(|run| run.wait_with_output().unwrap().into()).collect();
    ended.sort_by_key(|ran| ran.code);
    assert_eq!([ended[0].code, ended[1].code], [0, 5], "{ended:?}");
    yard.settled();
}

#[test]
fn two_operators_meet_on_the_hosts() {
    let yard = Yard::up(THREE);
    // The same inventory and vault in a folder of its own, as on another machine.
    let other = tempfile::tempdir().unwrap();
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a").arg(yard.path().join(".")).arg(other.path());
    assert!(copy.status().unwrap().success());
    let begin = |folder| {
        let mut command = yard.command_in(folder, &["apply", "--yes"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs = [begin(yard.path()), begin(other.path())];
    let ended: Vec<Ran> =
        runs.into_iter().map(|run| run.wait_with_output().unwrap().into()).collect();
    // Each host took the change of one of them whole; the other was told.
    assert!(ended.iter().all(|ran| [0, 3, 5, 7, 8].contains(&ran.code)), "{ended:?}");
    yard.settle();
    yard.reaches("lan-paris-1", "192.168.2.100");
    yard.reaches("lan-branch-1", "192.168.1.100");
}

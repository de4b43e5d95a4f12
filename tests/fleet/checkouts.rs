//! Old copies of a fleet's files do not give hosts an older state in silence.

use std::path::Path;
use std::process::Command;

use crate::yard::{Ran, Yard, changes};

const TWO: &str = r#"
fleet: two
networks: { vpn: { interface: wg0, prefixes: [10.10.0.0/24] } }
sites:
  paris:
    hosts: { paris-gw: { address: 10.10.0.1, endpoint: "203.0.113.5:51820" } }
  rome:
    hosts: { rome-gw: { address: 10.10.0.2, endpoint: "203.0.113.9:51820", keepalive: 20 } }
"#;

pub(crate) fn shell(folder: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell.current_dir(folder).args(["-ec", text]);
    for (name, value) in [("NAME", "t"), ("EMAIL", "t@example.com")] {
        shell.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{text}: {output:?}");
}

/// Applies or plans from a folder, and expects an exit code.
fn ends(yard: &Yard, folder: &Path, code: i32, args: &[&str]) -> Ran {
    let ran: Ran = yard.command_in(folder, args).output().unwrap().into();
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

const APPLY: [&str; 2] = ["apply", "--yes"];
const BACK: [&str; 3] = ["apply", "--yes", "--allow-older"];

#[test]
fn old_copies_of_the_files_take_no_host_back_in_silence() {
    let yard = Yard::up(TWO);
    yard.settle();
    let more = |seconds: &str| TWO.replace("keepalive: 20", &format!("keepalive: {seconds}"));

    // Outside git: the folder was copied, and then somebody went on in the first one.
    let old = tempfile::tempdir().unwrap();
    shell(old.path(), &format!("cp -a {}/. .", yard.path().display()));
    ends(&yard, old.path(), 0, &["plan", "--detailed-exitcode"]);
    yard.write(&more("21"));
    yard.settle();
    let ran = ends(&yard, old.path(), 6, &["plan"]);
    assert!(ran.stdout.contains("older than what rome-gw was changed from: by "), "{}", ran.stdout);
    assert!(ran.stdout.contains("keepalive"), "the plan is shown: {}", ran.stdout);
    let ran = ends(&yard, old.path(), 6, &APPLY);
    assert!(ran.stderr.contains("the lock file here has a lower generation"), "{}", ran.stderr);
    ends(&yard, old.path(), 6, &["rotate", "paris-gw", "--yes"]);
    yard.settled();
    // A saved plan is no way around that, and neither is a part of the fleet.
    let saved = old.path().join("saved.plan");
    let saved = saved.to_str().unwrap();
    ends(&yard, old.path(), 0, &["plan", "--allow-older", "--out", saved]);
    ends(&yard, old.path(), 6, &["apply", "--yes", saved]);
    ends(&yard, old.path(), 6, &["apply", "--yes", "--limit", "rome-gw"]);
    ends(&yard, old.path(), 0, &["apply", "--yes", "--allow-older", saved]);
    // Now that one is the newer.
    ends(&yard, yard.path(), 6, &APPLY);
    ends(&yard, yard.path(), 0, &BACK);
    yard.settled();

    // In git: a clone that nobody has updated, whole or shallow.
    let commit = "git add fleet.yaml fleet.lock vault && git commit -qm";
    shell(yard.path(), &format!("git init -q && {commit} one"));
    yard.settled();
    yard.write(&more("22"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    shell(yard.path(), &format!("{commit} two"));
    let clones = tempfile::tempdir().unwrap();
    let from = yard.path().display();
    shell(
        clones.path(),
        &format!(
            "git clone -q {from} whole && git -C whole reset -q --hard HEAD~1
             git clone -q --depth 1 file://{from} latest
             git clone -q whole between && git clone -q --depth 1 file://$PWD/between shallow"
        ),
    );
    yard.settle();
    let lock = yard.path().join("fleet.lock");
    let counted = std::fs::read(&lock).unwrap();
    for (clone, told) in [
        ("whole", "that commit contains the one that is checked out here"),
        ("shallow", "the commit that is checked out here is earlier, and not known to contain it"),
    ] {
        let ran = ends(&yard, &clones.path().join(clone), 6, &APPLY);
        assert!(ran.stderr.contains(told), "{clone}: {}", ran.stderr);
    }
    ends(&yard, &clones.path().join("latest"), 0, &["plan", "--detailed-exitcode"]);
    // Keys that a rotation has made and nobody has committed yet are not in other clones.
    yard.done(&["rotate", "rome-gw", "--yes"]);
    let ran = ends(&yard, &clones.path().join("latest"), 6, &APPLY);
    assert!(ran.stderr.contains("here are none of the edits that were applied"), "{}", ran.stderr);
    shell(yard.path(), &format!("{commit} three"));
    yard.settled();
    shell(&clones.path().join("whole"), "git pull -q");
    let plan = ends(&yard, &clones.path().join("whole"), 0, &["plan", "--format", "json"]).json(0);
    assert!(changes(&plan, "rome-gw").is_empty(), "{plan}");
    // Commits count there, and not runs.
    assert_eq!(std::fs::read(&lock).unwrap(), counted);
}

//! A host that the inventory no longer has: what of it is read, and where nobody logs in.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wgfleet::fleet::{Error, Login, Scope, Survey};
use wgfleet::model::HostName;
use wgfleet::plan::{FormerTarget, Found, NotAsked, Orphan, Plan, Remains, Says};
use wgfleet::remote::Believe;

use crate::scripted::connect::Scripted;
use crate::scripted::machine::Machine;
use crate::scripted::network::Network;
use crate::yard::{File, HOSTS, Yard, applied, host, login, play};

/// The last line of the fleet's file: host c.
const C: &str = "  c: {";

/// A machine that a pull request names.
const EVIL: &str = "root@evil.example.com";

struct Trial {
    yard: Yard,
    network: Network,
}

fn git(folder: &Path, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let done = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output();
    let done = done.expect("git");
    assert!(done.status.success(), "{done:?}");
}

impl Trial {
    /// Three hosts that have what the file says, which is a commit of git.
    fn committed() -> Self {
        let yard = Yard::new();
        git(yard.path(), &["init", "-q"]);
        git(yard.path(), &["add", "old.yaml"]);
        git(yard.path(), &["commit", "-q", "-m", "three hosts"]);
        Self::of(yard)
    }

    fn of(yard: Yard) -> Self {
        let network = applied(&yard, Network::of(&HOSTS), File::Old);
        Self { yard, network }
    }

    /// Changes the line of host c.
    fn edit(&self, change: impl Fn(&str) -> String) {
        let path = self.yard.path().join("old.yaml");
        let text = std::fs::read_to_string(&path).expect("a file");
        let lines = text
            .lines()
            .map(|line| if line.starts_with(C) { change(line) } else { line.to_owned() });
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
    }

    fn remove(&self) {
        self.edit(|_| String::new());
    }

    fn commit(&self, why: &str) {
        git(self.yard.path(), &["commit", "-q", "-a", "-m", why]);
    }

    fn login(&self) -> Login<Scripted> {
        let mut network = self.network.clone();
        network.logins.clear();
        login(network)
    }

    async fn plan(&self, login: &Login<Scripted>, limit: &[HostName]) -> Result<Plan, Error> {
        let fleet = self.yard.fleet(File::Old);
        let context = self.yard.context(File::Old);
        let overrides = self.yard.overrides();
        let scope = Scope { login, limit, binaries: None, overrides, without_identity: true };
        let survey = Survey::take(&context, scope, &fleet, None).await?;
        let plan = survey.whole_plan(&context, &fleet)?;
        survey.close().await;
        Ok(plan)
    }

    /// What the plan says of host c.
    fn c(&self, login: impl FnOnce(&Self) -> Login<Scripted>, limit: &[&str]) -> (Orphan, Tried) {
        let limit: Vec<HostName> = limit.iter().map(|name| host(name)).collect();
        play(async {
            let login = login(self);
            let plan = self.plan(&login, &limit).await.expect("a plan");
            let orphan = plan.orphans.iter().find(|orphan| orphan.name == "c");
            let orphan = orphan.unwrap_or_else(|| panic!("{:?}", plan.orphans)).clone();
            assert!(plan.hosts.iter().all(|share| share.host.as_str() != "c"));
            let took = login.connector.now();
            let logins = login.connector.network().logins.clone();
            (orphan, Tried { logins, took })
        })
    }
}

/// The logins of a plan, and how long all of it took.
struct Tried {
    logins: Vec<crate::scripted::network::Login>,
    took: Duration,
}

impl Tried {
    fn of(&self, name: &str) -> Vec<(&str, Believe)> {
        let own = self.logins.iter().filter(|login| login.host == name);
        own.map(|login| (login.target.as_str(), login.believe)).collect()
    }
}

/// Whose last logins are remembered.
fn remembering(target: &str) -> impl FnOnce(&Trial) -> Login<Scripted> {
    let last = BTreeMap::from([(host("c"), target.parse().expect("a target"))]);
    move |trial| Login { last, ..trial.login() }
}

fn remains(orphan: &Orphan) -> &Remains {
    orphan.remains.as_ref().unwrap_or_else(|| panic!("{orphan:?}"))
}

#[test]
fn what_still_runs_is_read_where_a_recorded_commit_says() {
    let trial = Trial::committed();
    trial.remove();
    trial.commit("without c");
    let (orphan, tried) = trial.c(Trial::login, &[]);
    assert_eq!(orphan.runs, Some(vec!["wg0".parse().expect("a name")]));
    let target = remains(&orphan).login.as_ref().expect("a target");
    assert_eq!(target.ssh.to_string(), "c");
    assert!(target.commit.is_some(), "{target:?}");
    let Found::Own { interfaces, files, .. } = &remains(&orphan).found else {
        panic!("{orphan:?}");
    };
    assert_eq!((interfaces[0].peers, interfaces[0].sessions), (2, 2), "{interfaces:?}");
    assert!(files.contains(&"/etc/wireguard/wg0.conf".to_owned()), "{files:?}");
    // Both have it as a peer now, and neither has once the plan is carried out.
    assert_eq!(orphan.peer_of, [host("a"), host("b")]);
    assert_eq!(orphan.stays_peer_of, []);
    // Only a known key counts there, and nobody else is asked more than before.
    assert_eq!(tried.of("c"), [("c", Believe::Known)]);
    assert_eq!(tried.of("a"), [("a", Believe::Configured)]);
}

#[test]
fn a_machine_that_is_gone_or_another_is_named() {
    let mut trial = Trial::committed();
    trial.remove();
    let gone = |trial: &Trial| {
        let login = trial.login();
        login.connector.network().lose("c");
        login
    };
    let (orphan, _) = trial.c(gone, &[]);
    assert_eq!((&orphan.runs, orphan.peer_of.len()), (&None, 2));
    let Found::Unreadable { reason } = &remains(&orphan).found else { panic!("{orphan:?}") };
    let text = reason.to_string();
    assert!(text.contains("Connection timed out"), "{text}");
    let says = |trial: &Trial| {
        let (orphan, _) = trial.c(Trial::login, &[]);
        match remains(&orphan).found.clone() {
            Found::Another { says, host, .. } => (says, host),
            other => panic!("{other:?}"),
        }
    };
    let c = trial.network.machines.insert("c".to_owned(), Machine::new("c"));
    assert_eq!(says(&trial), (Says::Nothing, None));
    // Its disk is in another machine.
    let mut copy = c.expect("a machine");
    copy.name = "copy".to_owned();
    trial.network.machines.insert("c".to_owned(), copy);
    assert_eq!(says(&trial), (Says::Copy, None));
    let b = trial.network.machines["b"].clone();
    trial.network.machines.insert("c".to_owned(), b);
    assert_eq!(says(&trial), (Says::OtherHost, Some(host("b"))));
}

/// Whatever a pull request makes of the target before it takes the host away, in one commit, in two, or
/// uncommitted: nobody logs in there.
#[test]
fn no_pull_request_says_where_a_removed_host_is() {
    let moved = |line: &str| line.replace("{ nat: true,", &format!("{{ ssh: {EVIL}, nat: true,"));
    let two = Trial::committed();
    two.edit(moved);
    two.commit("c moves");
    two.remove();
    two.commit("c goes");
    let edited = Trial::committed();
    edited.edit(moved);
    edited.commit("c moves");
    edited.remove();
    for trial in [two, edited] {
        let (orphan, tried) = trial.c(Trial::login, &[]);
        assert_eq!(tried.of("c"), [("c", Believe::Known)]);
        assert!(matches!(remains(&orphan).found, Found::Own { .. }), "{orphan:?}");
        assert!(tried.logins.iter().all(|login| login.target != EVIL), "{:?}", tried.logins);
    }
}

/// What root of one host writes into its record is no way around it: a commit of a pull request that it
/// names is looked into, but no key is believed there that is not known.
#[test]
fn a_commit_that_a_host_lies_about_leads_to_no_key_that_is_not_known() {
    let mut trial = Trial::committed();
    let moved = |line: &str| line.replace("{ nat: true,", &format!("{{ ssh: {EVIL}, nat: true,"));
    trial.edit(moved);
    trial.commit("c moves");
    let mut ask = Command::new("git");
    ask.arg("-C").arg(trial.yard.path()).args(["rev-parse", "HEAD"]);
    let mut head = ask.output().expect("git").stdout;
    head.truncate(40);
    let head = String::from_utf8(head).expect("a commit");
    trial.remove();
    let a = trial.network.machines.get_mut("a").expect("a machine");
    let (_, text) = a.state.files.get_mut("/var/lib/wgfleet/failures.json").expect("a record");
    let mut record: serde_json::Value = serde_json::from_str(text).expect("JSON");
    record["commit"]["id"] = head.into();
    record["commit"]["time"] = "2036-01-01T00:00:00Z".into();
    *text = record.to_string();
    let (_, tried) = trial.c(Trial::login, &[]);
    assert_eq!(tried.of("c"), [(EVIL, Believe::Known)]);
}

#[test]
fn without_a_commit_the_last_login_counts_and_without_that_nothing_is_asked() {
    let trial = Trial::of(Yard::new());
    trial.remove();
    let (orphan, tried) = trial.c(Trial::login, &[]);
    assert_eq!(*remains(&orphan), Remains::not_asked(NotAsked::NoTarget));
    assert_eq!((tried.of("c").len(), &orphan.runs), (0, &None));
    let (orphan, tried) = trial.c(remembering("root@192.0.2.3"), &[]);
    let ssh = "root@192.0.2.3".parse().expect("a target");
    assert_eq!(remains(&orphan).login, Some(FormerTarget { ssh, commit: None }));
    assert!(matches!(remains(&orphan).found, Found::Own { .. }), "{orphan:?}");
    assert_eq!(tried.of("c"), [("root@192.0.2.3", Believe::Known)]);
}

#[test]
fn the_commit_decides_where_it_differs_from_the_last_login() {
    let trial = Trial::committed();
    trial.remove();
    let commit = |orphan: &Orphan| {
        let login = remains(orphan).login.as_ref().expect("a target");
        (login.ssh.to_string(), login.commit.is_some())
    };
    let (orphan, tried) = trial.c(remembering("c"), &[]);
    assert_eq!((commit(&orphan), tried.of("c").len()), (("c".to_owned(), true), 1));
    // Where both lead to it, once is enough to know it; both are asked with known keys only.
    let (orphan, tried) = trial.c(remembering("root@192.0.2.3"), &[]);
    assert_eq!(commit(&orphan), ("c".to_owned(), true));
    let logins = [("root@192.0.2.3", Believe::Known), ("c", Believe::Known)];
    assert_eq!(tried.of("c"), logins);
}

#[test]
fn a_limit_leaves_it_out_unless_it_is_named() {
    let trial = Trial::committed();
    trial.remove();
    let (orphan, tried) = trial.c(remembering("c"), &["a"]);
    assert_eq!(*remains(&orphan), Remains::not_asked(NotAsked::OutsideLimit));
    assert!(tried.of("c").is_empty());
    let (orphan, tried) = trial.c(remembering("c"), &["c"]);
    assert!(matches!(remains(&orphan).found, Found::Own { .. }), "{orphan:?}");
    assert_eq!(tried.logins.len(), 1, "{:?}", tried.logins);
    let refused = play(async {
        let login = trial.login();
        trial.plan(&login, &[host("d")]).await.expect_err("nobody has that name")
    });
    assert!(refused.to_string().contains("`d`"), "{refused}");
}

#[test]
fn a_host_that_is_gone_is_waited_for_together_with_the_others() {
    let trial = Trial::committed();
    trial.remove();
    let gone = |trial: &Trial| {
        let login = remembering("c")(trial);
        login.connector.network().lose("b");
        login.connector.network().lose("c");
        login
    };
    let (_, tried) = trial.c(gone, &[]);
    assert!(tried.took < Duration::from_secs(15), "{:?}", tried.took);
}

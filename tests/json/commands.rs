//! Every command that has `--format` prints documents: each is run once, and those that it has no host
//! or machine for here are checked elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::documents::document;

/// A host that nobody reaches, another one, and a peer that gets its config from the vault.
const FLEET: &str = "fleet: acme
networks:
  n: { interface: wg0, prefixes: [10.9.0.0/24], psk: pairwise }
hosts:
  a: { address: 10.9.0.1, ssh: 'ssh://127.0.0.1:1', endpoint: '192.0.2.1:51820' }
  b: { address: 10.9.0.2, ssh: 'ssh://127.0.0.1:1', post_up: 'echo up' }
peers: { phone: { via: a } }
";

/// What is run, in order: the command, its arguments, and the kind of document that it prints.
const RUNS: &[(&str, &[&str], &str)] = &[
    ("vault init", &["--fleet", "acme"], "vault-init"),
    ("vault import", &["a"], "vault-import"),
    ("vault import", &["a"], "vault-import"),
    ("vault keygen", &[], "vault-keygen"),
    ("vault keygen", &[], "vault-keygen"),
    ("vault recipients", &[], "vault-recipients"),
    ("vault rekey", &["--yes"], "vault-rekey"),
    ("vault export", &["a", "--output", "../key"], "vault-export"),
    ("vault status", &[], "vault-status"),
    ("init", &["new"], "init"),
    ("init", &["with", "--templates"], "init"),
    ("render", &["--output", "../rendered"], "render"),
    ("peer show", &["phone"], "peer"),
    ("peer add", &["other", "--via", "a"], "peer"),
    ("peer rotate", &["other"], "peer"),
    ("peer remove", &["other"], "peer"),
    ("import", &["../rendered", "--output", "../adopted"], "import"),
    ("export", &["phone", "--to", "app", "--output", "../exported"], "export"),
    ("check", &[], "findings"),
    ("check", &["--reachability"], "reachability"),
    ("check", &["--failures"], "failures"),
    ("why", &["a", "b"], "why"),
    ("why", &["b", "203.0.113.9"], "why"),
    ("explain", &["a"], "explain"),
    ("explain", &["a", "b"], "explain"),
    ("plan", &["--offline", "--base", "HEAD"], "comparison"),
    ("plan", &["--out", "fleet.plan"], "plan"),
    ("show", &["fleet.plan"], "plan"),
    ("apply", &["--yes"], "apply"),
    ("status", &[], "status"),
    ("rotate", &["--yes", "a"], "rotate"),
    ("history", &[], "history"),
    ("lock list", &[], "locks"),
    ("lock break", &["a"], "locks"),
];

/// Commands that need more than this has, and the test that checks what they print.
const ELSEWHERE: &[(&str, &str)] = &[
    ("lab up", include_str!("../lab.rs")),
    ("lab status", include_str!("../lab.rs")),
    ("lab down", include_str!("../lab.rs")),
];

/// A private key for `vault import`.
const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";

fn wgfleet(folder: &Path, home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").expect("a path"));
    command.args(words).current_dir(folder).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // Who does not read it has ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(KEY.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn git(folder: &Path, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let done = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output();
    let done = done.expect("git runs");
    assert!(done.status.success(), "{words:?}: {done:?}");
}

/// The commands below one, as its help lists them.
fn commands(words: &[&str]) -> Vec<String> {
    let root = Path::new("/");
    let help = wgfleet(root, root, &[words, &["--help"]].concat()).stdout;
    let help = String::from_utf8(help).expect("text");
    let inner: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    if inner.is_empty() {
        let formats = help.contains("--format <FORMAT>");
        return formats.then(|| words.join(" ")).into_iter().collect();
    }
    // `wg` stands in for wg(8), and has its words for itself.
    let inner = inner.iter().filter(|name| *name != "wg");
    inner.flat_map(|name| commands(&[words, &[name.as_str()]].concat())).collect()
}

#[test]
fn every_command_with_a_format_prints_a_document() {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("fleet");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("fleet.yaml"), FLEET).expect("it can be written");
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "fleet.yaml"]);
    git(&folder, &["commit", "-q", "-m", "first"]);
    // The identity lies in the home: not in the work tree.
    let home = top.path().join("home");
    fs::create_dir(&home).expect("a folder");
    let edited = FLEET.replace("echo up", "echo down").replace("10.9.0.2,", "10.9.0.7, mtu: 1300,");
    let mut run = BTreeSet::new();
    for (command, arguments, kind) in RUNS {
        if *kind == "comparison" {
            fs::write(folder.join("fleet.yaml"), &edited).expect("it can be written");
        }
        let words: Vec<&str> = command.split(' ').chain(["--format", "json"]).collect();
        let words = [&words[..], *arguments].concat();
        let output = wgfleet(&folder, &home, &words);
        let printed = document(&output.stdout);
        assert_eq!(printed["kind"], *kind, "{words:?}: {output:?}");
        let told =
            output.stderr.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&b'{'));
        let events: Vec<_> = told.map(document).filter(|told| told["kind"] == "event").collect();
        let unread = events.iter().filter(|told| told["event"] == "unread");
        let asks = ["plan", "apply", "status", "rotate"].contains(command) && *kind != "comparison";
        assert_eq!(unread.count() >= 2, asks, "{words:?}: {output:?}");
        run.insert((*command).to_owned());
    }
    for (command, test) in ELSEWHERE {
        let words: Vec<String> = command.split(' ').map(|word| format!("\"{word}\"")).collect();
        let called = format!("{}, \"--format\", \"json\"", words.join(", "));
        assert!(test.contains(&called) && test.contains("document("), "{command}");
        run.insert((*command).to_owned());
    }
    assert_eq!(commands(&[]).into_iter().collect::<BTreeSet<_>>(), run);
}

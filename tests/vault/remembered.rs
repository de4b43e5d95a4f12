//! What the controller remembers of a vault: a pull request cannot exchange its secrets unnoticed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use wgfleet::vault::{Identities, Unattended, Vault, identity};

use crate::bench::{Bench, host, now};
use crate::command_line::bench_command;

/// Where what is known lies, below the home of the bench.
const MEMORY: &str = "home/.local/state/wgfleet/vault-acme.json";

/// Runs `wgfleet` on the bench; it ends with `code`. Gives what it said on stderr.
fn run(bench: &Bench, args: &[&str], code: i32) -> String {
    ends(bench_command(bench).args(args), code)
}

fn ends(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Every file of the vault with its bytes.
fn files(bench: &Bench) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["vault", "vault/keys", "vault/psk"] {
        for entry in fs::read_dir(bench.path(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The inventory that the commands need which look at hosts; there is nobody to log in to.
fn inventory(bench: &Bench) {
    let text = "fleet: acme\nnetworks:\n  n: { interface: wg0, prefixes: [10.9.0.0/24] }\nhosts:\n  \
                a: { address: 10.9.0.1, ssh: 'ssh://127.0.0.1:1', endpoint: '192.0.2.1:51820' }\n\
                peers: { c: { via: a, address: 10.9.0.3 } }\n";
    fs::write(bench.path("fleet.yaml"), text).unwrap();
}

/// A pull request brings a vault of its author's own, which the operator's identity opens: the author is
/// among its recipients, and knows all of its secrets.
#[test]
fn a_vault_that_was_exchanged_is_refused() {
    let bench = Bench::new();
    inventory(&bench);
    run(&bench, &["vault", "status", "--verify"], 0);
    let mode = fs::metadata(bench.path(MEMORY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let honest = bench.path("honest");
    fs::rename(bench.path("vault"), &honest).unwrap();

    let path = bench.path("stranger.txt");
    let stranger = identity::create(&path, bench.root.path(), None, now()).unwrap();
    let both = [bench.identities.recipients(), vec![stranger]].concat();
    let name = "acme".parse().unwrap();
    let mut vault = Vault::create(&bench.path("vault"), &name, &both, now()).unwrap();
    let theirs = Identities::load(&[path], &Unattended).unwrap();
    vault.ensure_keys(&[host("a"), host("b")], &theirs, now()).unwrap();
    let before = files(&bench);
    let export = bench.path("key");
    for args in [
        &["plan"][..],
        &["apply", "--yes"],
        &["render", "--output", "rendered"],
        &["rotate", "--yes", "a"],
        &["vault", "keygen", "c"],
        &["vault", "rekey", "--yes"],
        &["vault", "status", "--verify"],
        &["vault", "export", "a", "--output", export.to_str().unwrap()],
    ] {
        let said = run(&bench, args, 10);
        assert!(said.contains("the PSK material of epoch 1 is not what"), "{args:?}: {said}");
        assert!(said.contains("vault-acme.json and run the command again"), "{args:?}: {said}");
        assert_eq!(files(&bench), before, "{args:?}");
    }
    assert!(!export.exists());
    // Without an identity nothing of it is used.
    run(&bench, &["vault", "status"], 0);

    // A controller that has never seen the vault cannot know, and neither can one that was told to forget.
    let mut fresh = bench_command(&bench);
    ends(fresh.env("XDG_STATE_HOME", bench.path("fresh")).args(["vault", "status", "--verify"]), 0);
    let memory = fs::read(bench.path(MEMORY)).unwrap();
    fs::remove_file(bench.path(MEMORY)).unwrap();
    run(&bench, &["vault", "keygen", "c"], 0);
    fs::write(bench.path(MEMORY), memory).unwrap();

    // Only the secret of fingerprints, which guards saved plans.
    fs::remove_dir_all(bench.path("vault")).unwrap();
    copy(&honest, &bench.path("vault"));
    let index = bench.path("vault/index.json");
    let text = fs::read_to_string(&index).unwrap();
    let at = text.find("\"fingerprint\"").unwrap();
    let check = text[at..].find("\"check\":\"").unwrap() + at + 9;
    let other = text[..check].to_owned() + "0000000000000000" + &text[check + 16..];
    fs::write(&index, other).unwrap();
    let said = run(&bench, &["plan"], 10);
    assert!(said.contains("the fingerprint secret is not what"), "{said}");
    fs::write(&index, text).unwrap();
    run(&bench, &["vault", "status", "--verify"], 0);
}

/// The state before a colleague was removed is put back: with it they would be a recipient again.
#[test]
fn older_recipients_are_refused() {
    let bench = Bench::new();
    let path = bench.path("colleague.txt");
    let colleague = identity::create(&path, bench.root.path(), None, now()).unwrap();
    bench.add_recipient(colleague.as_str());
    run(&bench, &["vault", "rekey", "--yes"], 0);
    copy(&bench.path("vault"), &bench.path("older"));
    let recipients = bench.path("vault/recipients.txt");
    let text = fs::read_to_string(&recipients).unwrap();
    fs::write(&recipients, text.replace(colleague.as_str(), "")).unwrap();
    run(&bench, &["vault", "rekey", "--yes"], 0);
    run(&bench, &["vault", "keygen", "c"], 0);

    copy(&bench.path("vault"), &bench.path("newer"));
    fs::remove_dir_all(bench.path("vault")).unwrap();
    copy(&bench.path("older"), &bench.path("vault"));
    let before = files(&bench);
    for args in [&["vault", "keygen", "d"][..], &["vault", "rekey", "--yes"]] {
        let said = run(&bench, args, 10);
        assert!(said.contains("number 2, and this controller"), "{args:?}: {said}");
        assert!(said.contains(&format!("\n  + {colleague}")), "{args:?}: {said}");
        assert_eq!(files(&bench), before, "{args:?}");
    }
    fs::remove_dir_all(bench.path("vault")).unwrap();
    copy(&bench.path("newer"), &bench.path("vault"));
    assert_eq!(run(&bench, &["vault", "keygen", "d"], 0), "");

    // What a colleague confirms elsewhere is said, once.
    bench.add_recipient(colleague.as_str());
    let mut elsewhere = bench_command(&bench);
    elsewhere.env("XDG_STATE_HOME", bench.path("elsewhere"));
    ends(elsewhere.args(["vault", "rekey", "--yes"]), 0);
    let said = run(&bench, &["vault", "keygen", "e"], 0);
    assert!(said.contains("somebody has confirmed other recipients"), "{said}");
    assert!(said.contains(&format!("\n  + {colleague}")), "{said}");
    assert_eq!(run(&bench, &["vault", "keygen", "f"], 0), "");
}

/// What cannot be kept is said, and stops nobody.
#[test]
fn a_controller_that_cannot_remember_says_so() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "").unwrap();
    let verify = ["vault", "status", "--verify"];
    let mut command = bench_command(&bench);
    let said = ends(command.env("XDG_STATE_HOME", bench.path("file")).args(verify), 0);
    assert!(said.contains("is not kept on this controller"), "{said}");
    let mut command = bench_command(&bench);
    let said = ends(command.env_remove("HOME").args(verify), 0);
    assert!(said.contains("neither XDG_STATE_HOME nor HOME is set"), "{said}");
    fs::create_dir_all(bench.path(MEMORY).parent().unwrap()).unwrap();
    fs::write(bench.path(MEMORY), "{}").unwrap();
    let said = run(&bench, &verify, 1);
    assert!(said.contains("vault-acme.json if nothing else has written it"), "{said}");
}

/// Whoever makes a vault anew means it.
#[test]
fn a_vault_that_is_made_anew_is_known() {
    let bench = Bench::new();
    run(&bench, &["vault", "status", "--verify"], 0);
    fs::remove_dir_all(bench.path("vault")).unwrap();
    run(&bench, &["vault", "init", "--fleet", "acme"], 0);
    run(&bench, &["vault", "keygen", "a"], 0);
    run(&bench, &["vault", "status", "--verify"], 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

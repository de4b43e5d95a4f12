//! PSK material and fingerprint secrets that no command made, as a pull request can add them.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::bench::Bench;
use crate::command_line::bench_command;

/// Encrypts to the recipients of the vault, which anyone can.
fn encrypt(bench: &Bench, plain: &str, file: &str) {
    let mut age = Command::new("age")
        .arg("-a")
        .arg("-R")
        .arg(bench.path("vault/recipients.txt"))
        .arg("-o")
        .arg(bench.path(file))
        .stdin(Stdio::piped())
        .spawn()
        .expect("apt-get install age");
    age.stdin.take().unwrap().write_all(plain.as_bytes()).unwrap();
    assert!(age.wait().unwrap().success());
}

/// The public mark of a secret that the author of the pull request knows.
fn check(secret: [u8; 32]) -> String {
    let mut mark = [0; 8];
    Hkdf::<Sha256>::new(Some(b"wgfleet vault v1"), &secret).expand(b"check\0", &mut mark).unwrap();
    format!("{:016x}", u64::from_be_bytes(mark))
}

const INVENTORY: &str = "fleet: acme
networks: { n: { prefixes: 10.9.0.0/24, links: mesh, psk: pairwise } }
hosts:
  a: { address: 10.9.0.1, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.1:51820' }
  b: { address: 10.9.0.2, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.2:51820' }
";

fn run(bench: &Bench, args: &[&str]) -> (Option<i32>, String) {
    let output = bench_command(bench).env("PATH", "/usr/bin:/bin").args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The attack of the audit: an epoch whose master its author knows, and so every preshared key.
#[test]
fn an_epoch_of_a_pull_request_is_refused_by_everything_that_would_use_it() {
    let bench = Bench::new();
    fs::write(bench.path("fleet.yaml"), INVENTORY).unwrap();
    let (code, errors) = run(&bench, &["render", "-o", "before"]);
    assert_eq!(code, Some(0), "{errors}");

    let master = [0x41; 32];
    let text = format!("wgfleet-psk 1\nepoch 2\nmaster {}\n", STANDARD.encode(master));
    encrypt(&bench, &text, "vault/psk/2.age");
    let index = bench.path("vault/index.json");
    let good = fs::read_to_string(&index).unwrap();
    let (head, first) = good.split_once("    {\"epoch\":1").unwrap();
    let (first, tail) = first.split_once('\n').unwrap();
    let add = |mac: &str| {
        let entry = format!(
            "    {{\"epoch\":2,\"created\":\"2026-11-23T13:00:00Z\",\"check\":\"{}\"{mac}}}",
            check(master)
        );
        fs::write(&index, format!("{head}    {{\"epoch\":1{first},\n{entry}\n{tail}")).unwrap();
    };
    let commands = [
        &["vault", "status", "--verify"][..],
        &["vault", "rekey"],
        &["render", "-o", "after"],
        &["plan", "--connect-timeout", "2"],
        &["apply", "--yes", "--connect-timeout", "2"],
        &["rotate", "a", "--yes", "--connect-timeout", "2"],
    ];
    add("");
    for args in commands {
        let (code, errors) = run(&bench, args);
        assert_eq!(code, Some(10), "{args:?}: {errors}");
        assert!(errors.contains("epoch 2 of the PSK material has no proof"), "{args:?}: {errors}");
    }
    // A MAC that does not fit is found out by whoever can open the vault.
    add(&format!(",\"mac\":\"{}\"", "41".repeat(32)));
    for args in &commands[..3] {
        let (code, errors) = run(&bench, args);
        assert_eq!(code, Some(10), "{args:?}: {errors}");
        assert!(errors.contains("somebody who could not open the vault"), "{args:?}: {errors}");
    }
    assert!(!bench.path("after").exists() || empty(&bench, "after"));

    fs::write(&index, good).unwrap();
    let (code, errors) = run(&bench, &["render", "-o", "after"]);
    assert_eq!(code, Some(0), "{errors}");
    for host in ["a", "b"] {
        let read = |folder: &str| fs::read(bench.path(folder).join(host).join("wg0.conf")).unwrap();
        assert_eq!(read("before"), read("after"));
    }
}

/// Whether no file is below the folder.
fn empty(bench: &Bench, folder: &str) -> bool {
    let mut hosts = fs::read_dir(bench.path(folder)).unwrap();
    hosts.all(|host| fs::read_dir(host.unwrap().path()).unwrap().next().is_none())
}

/// A file that the index does not name, as a merge or a checkout of the index alone can leave.
#[test]
fn a_fingerprint_secret_that_the_index_does_not_name_is_not_overwritten() {
    let bench = Bench::new();
    let index = bench.path("vault/index.json");
    let text = fs::read_to_string(&index).unwrap();
    let old: String = text
        .lines()
        .filter(|line| !line.contains("\"fingerprint\""))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&index, old.replace("\"version\": 2", "\"version\": 1")).unwrap();
    let file = bench.path("vault/fingerprint.age");
    let before = fs::read(&file).unwrap();
    let (code, errors) = run(&bench, &["vault", "keygen", "c"]);
    assert_eq!(code, Some(10), "{errors}");
    assert!(errors.contains("the index names no such secret"), "{errors}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let (code, errors) = run(&bench, &["vault", "status"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("the index does not name"), "{errors}");

    fs::remove_file(&file).unwrap();
    let (code, errors) = run(&bench, &["vault", "keygen", "c"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("made the secret that keys fingerprints"), "{errors}");
    assert!(bench.unlock().verify().is_empty());
}

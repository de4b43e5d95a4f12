//! Other programs open what wgfleet writes, and the other way round.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use wgfleet::vault::{Identities, PassphraseError, Unattended, VaultError, identity};

use crate::bench::{Answer, Bench, host, now};

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("failed to run {command:?} ({error}): apt-get install age openssh-client")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn ssh_key(path: &Path, kind: &str, passphrase: &str) -> String {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-C", "a comment", "-N", passphrase, "-f"])
        .arg(path));
    fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

#[test]
fn age_opens_what_wgfleet_writes() {
    let bench = Bench::new();
    let output = run(Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(bench.path("identity.txt"))
        .arg(bench.key_file("a")));
    let key = bench.unlock().private_key(&host("a")).unwrap();
    let expected = format!("wgfleet-key 2\nhost a\nprivate {}\n", *key.expose_base64());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let output = run(Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(bench.path("identity.txt"))
        .arg(bench.path("vault/psk/1.age")));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("wgfleet-psk 2\nepoch 1\nmaster "));
    let recipient = &bench.identities.recipients()[0];
    assert!(text.ends_with(&format!("=\nconfirmed 1\nrecipient {recipient}\n")));
    let output = run(Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(bench.path("identity.txt"))
        .arg(bench.path("vault/fingerprint.age")));
    assert!(output.stdout.starts_with(b"wgfleet-fingerprint 2\nfleet acme\nsecret "));
}

#[test]
fn wgfleet_opens_what_age_writes_armored_or_binary() {
    let bench = Bench::new();
    let key = bench.unlock().private_key(&host("a")).unwrap();
    let plain = format!("wgfleet-key 1\nhost a\nprivate {}\n", *key.expose_base64());
    let file = bench.key_file("a");
    for armor in [&["-a"][..], &[]] {
        let mut age = Command::new("age")
            .args(armor)
            .arg("-R")
            .arg(bench.path("vault/recipients.txt"))
            .arg("-o")
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .expect("apt-get install age");
        age.stdin.take().unwrap().write_all(plain.as_bytes()).unwrap();
        assert!(age.wait().unwrap().success());
        let again = bench.unlock().private_key(&host("a")).unwrap();
        assert_eq!(again.public(), key.public());
    }
}

#[test]
fn identities_of_age_and_openssh_open_the_vault_with_and_without_passphrase() {
    let bench = Bench::new();
    let plain_ssh = bench.path("id_plain");
    let locked_ssh = bench.path("id_locked");
    let from_age = bench.path("from-age-keygen");
    let locked = bench.path("locked.txt");
    bench.add_recipient(&ssh_key(&plain_ssh, "ed25519", ""));
    bench.add_recipient(&ssh_key(&locked_ssh, "ed25519", "open sesame"));
    run(Command::new("age-keygen").arg("-o").arg(&from_age));
    let output = run(Command::new("age-keygen").arg("-y").arg(&from_age));
    bench.add_recipient(String::from_utf8(output.stdout).unwrap().trim());
    let secret = SecretString::from("open sesame");
    let recipient = identity::create(&locked, bench.root.path(), Some(secret), now()).unwrap();
    bench.add_recipient(recipient.as_str());

    let mut vault = bench.vault();
    assert!(vault.needs_rekey());
    assert_eq!(vault.rekey(&bench.identities, now()).unwrap(), 4);
    assert!(!vault.needs_rekey());
    let public = vault.index().current(&host("a")).unwrap();
    for path in [&plain_ssh, &locked_ssh, &from_age, &locked] {
        let identities =
            Identities::load(std::slice::from_ref(path), &Answer("open sesame")).unwrap();
        let unlocked = vault.unlock(&identities);
        assert_eq!(unlocked.private_key(&host("a")).unwrap().public(), public, "{path:?}");
        assert!(unlocked.verify().is_empty());
    }
    // Debian's age opens the rekeyed files with the SSH key too.
    run(Command::new("age").arg("-d").arg("-i").arg(&plain_ssh).arg(bench.key_file("b")));

    for path in [&locked_ssh, &locked] {
        let paths = std::slice::from_ref(path);
        let error = Identities::load(paths, &Answer("open barley")).unwrap_err();
        assert!(matches!(error, VaultError::WrongPassphrase { .. }), "{error}");
        let error = Identities::load(paths, &Unattended).unwrap_err();
        let VaultError::Passphrase { source: PassphraseError::NoTerminal, .. } = error else {
            panic!("{error}");
        };
    }
    assert!(fs::read_to_string(&locked).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE"));
    // The encrypted identity file is one that `age -d` asks a passphrase for.
    let header = fs::read(&locked).unwrap();
    assert!(
        STANDARD
            .decode(
                String::from_utf8(header)
                    .unwrap()
                    .lines()
                    .skip(1)
                    .take_while(|l| !l.starts_with('-'))
                    .collect::<String>()
            )
            .unwrap()
            .starts_with(b"age-encryption.org/v1\n-> scrypt ")
    );
}

#[test]
fn a_removed_recipient_is_shut_out_by_a_rekey_and_nobody_shuts_himself_out() {
    let bench = Bench::new();
    let theirs = bench.path("theirs");
    let recipient = identity::create(&theirs, bench.root.path(), None, now()).unwrap();
    let theirs = Identities::load(&[theirs], &Unattended).unwrap();
    let before = fs::read_to_string(bench.path("vault/recipients.txt")).unwrap();
    bench.add_recipient(recipient.as_str());
    bench.vault().rekey(&bench.identities, now()).unwrap();
    bench.vault().unlock(&theirs).private_key(&host("a")).unwrap();

    fs::write(bench.path("vault/recipients.txt"), format!("{recipient}\n")).unwrap();
    let error = bench.vault().rekey(&bench.identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::LockedOut { .. }), "{error}");

    fs::write(bench.path("vault/recipients.txt"), before).unwrap();
    bench.vault().rekey(&bench.identities, now()).unwrap();
    let error = bench.vault().unlock(&theirs).private_key(&host("a")).unwrap_err();
    let VaultError::WrongIdentity { tried, recipients, .. } = &error else { panic!("{error}") };
    assert_eq!(*tried, [recipient.to_string()]);
    assert_eq!(recipients.len(), 1);
}

#[test]
fn unusable_identities_say_why() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    ssh_key(&path("rsa"), "rsa", "");
    ssh_key(&path("ecdsa"), "ecdsa", "");
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("empty", "# nothing\n");
    write("garbage", "# one\n\nthis is secret\n");
    write("plugin", "AGE-PLUGIN-YUBIKEY-1QQQ\n");
    write("cut", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n");
    write("encrypted", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n");
    let messages: Vec<String> =
        ["absent", "rsa", "ecdsa", "empty", "garbage", "plugin", "cut", "encrypted"]
            .iter()
            .map(|name| {
                let error = Identities::load(&[path(name)], &Unattended).unwrap_err();
                error.to_string().replace(root.path().to_str().unwrap(), "…")
            })
            .collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    there is no identity at …/absent: pass --identity FILE or set WGFLEET_IDENTITY to an age identity file or an OpenSSH ed25519 key whose public part is in vault/recipients.txt, or set WGFLEET_IDENTITY_KEY to the identity itself
    the identity …/rsa cannot be used: only OpenSSH ed25519 keys can be identities
    the identity …/ecdsa cannot be used: only OpenSSH ed25519 keys can be identities
    the identity …/empty cannot be used: it holds no identity
    the identity …/garbage cannot be used: line 3 is neither AGE-SECRET-KEY-1… nor AGE-PLUGIN-…
    the identity …/plugin cannot be used: the identity in line 1 is cut off or mistyped
    the identity …/cut cannot be used: it is an SSH key that is cut off, damaged or of another format
    the identity …/encrypted cannot be used: it is an age file that is cut off or damaged
    ");
}

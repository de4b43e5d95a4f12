//! The vault against Debian's age, ssh-keygen, hostile files and the command line.
//!
//! Needs `age`, `age-keygen` and `ssh-keygen`; `make test` installs them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use proptest::prelude::*;
use secrecy::SecretString;
use wgfleet::model::{HostName, PrivateKey, PublicKey};
use wgfleet::vault::{
    Identities, KeyState, Passphrase, PassphraseError, Recipient, Unattended, Unlocked, Vault,
    VaultError, identity,
};

fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// A folder with an identity and a vault with keys for `a` and `b`.
struct Bench {
    root: tempfile::TempDir,
    identities: Identities,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("identity.txt");
        let recipient = identity::create(&path, root.path(), None, now()).unwrap();
        let folder = root.path().join("vault");
        let mut vault =
            Vault::create(&folder, &"acme".parse().unwrap(), &[recipient], now()).unwrap();
        vault.ensure_keys(&[host("a"), host("b")], now()).unwrap();
        let identities = Identities::load(&[path], &Unattended).unwrap();
        Self { root, identities }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn vault(&self) -> Vault {
        Vault::open(&self.path("vault")).unwrap()
    }

    fn unlock(&self) -> Unlocked {
        self.vault().unlock(&self.identities)
    }

    /// The file of a host's current key.
    fn key_file(&self, name: &str) -> PathBuf {
        let key = self.vault().index().current(&host(name)).unwrap();
        let digits: String = key.as_bytes()[..8].iter().map(|b| format!("{b:02x}")).collect();
        self.path("vault/keys").join(format!("{name}.{digits}.age"))
    }

    fn add_recipient(&self, line: &str) {
        let path = self.path("vault/recipients.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("failed to run {:?} ({error}): apt-get install age openssh-client", command)
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

/// Answers with a fixed passphrase.
struct Answer(&'static str);

impl Passphrase for Answer {
    fn ask(&self, _: &Path) -> Result<SecretString, PassphraseError> {
        Ok(SecretString::from(self.0))
    }
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
    let expected = format!("wgfleet-key 1\nhost a\nprivate {}\n", *key.expose_base64());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let output = run(Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(bench.path("identity.txt"))
        .arg(bench.path("vault/psk/1.age")));
    assert!(output.stdout.starts_with(b"wgfleet-psk 1\nepoch 1\nmaster "));
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
    assert_eq!(vault.rekey(&bench.identities).unwrap(), 3);
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
    bench.vault().rekey(&bench.identities).unwrap();
    bench.vault().unlock(&theirs).private_key(&host("a")).unwrap();

    fs::write(bench.path("vault/recipients.txt"), format!("{recipient}\n")).unwrap();
    let error = bench.vault().rekey(&bench.identities).unwrap_err();
    assert!(matches!(error, VaultError::LockedOut { .. }), "{error}");

    fs::write(bench.path("vault/recipients.txt"), before).unwrap();
    bench.vault().rekey(&bench.identities).unwrap();
    let error = bench.vault().unlock(&theirs).private_key(&host("a")).unwrap_err();
    let VaultError::WrongIdentity { tried, recipients, .. } = &error else { panic!("{error}") };
    assert_eq!(*tried, [recipient.to_string()]);
    assert_eq!(recipients.len(), 1);
}

#[test]
fn files_that_are_moved_swapped_cut_or_missing_are_each_a_clear_error() {
    let bench = Bench::new();
    let (a, b) = (bench.key_file("a"), bench.key_file("b"));
    let (of_a, of_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let open = || bench.unlock().private_key(&host("a")).unwrap_err();

    fs::write(&a, &of_b).unwrap();
    assert!(matches!(open(), VaultError::ForeignFile { found, .. } if found == "b"));

    // Another key of the same host, from another branch.
    let mut other = Vault::create(
        &bench.path("other"),
        &"acme".parse().unwrap(),
        &bench.identities.recipients(),
        now(),
    )
    .unwrap();
    other.ensure_keys(&[host("a")], now()).unwrap();
    let file = fs::read_dir(bench.path("other/keys")).unwrap().next().unwrap().unwrap().path();
    fs::copy(file, &a).unwrap();
    assert!(matches!(open(), VaultError::Mismatch { .. }));
    fs::copy(bench.path("other/psk/1.age"), bench.path("vault/psk/1.age")).unwrap();
    let error = bench.unlock().fingerprint_key(&host("a")).unwrap_err();
    assert!(matches!(error, VaultError::Mismatch { .. }), "{error}");
    fs::copy(bench.path("other/psk/1.age"), &a).unwrap();
    assert!(matches!(open(), VaultError::Damaged { .. }));

    for length in [0, 1, 20, 60, of_a.len() / 2, of_a.len() - 20, of_a.len() - 2] {
        fs::write(&a, &of_a[..length]).unwrap();
        assert!(matches!(open(), VaultError::Damaged { .. }), "cut at {length}: {}", open());
    }
    fs::remove_file(&a).unwrap();
    assert!(matches!(open(), VaultError::Missing { .. }));
    assert_eq!(bench.vault().oddities().unwrap().missing, [a.clone()]);
    assert!(bench.vault().ensure_keys(&[host("a")], now()).unwrap().is_empty());

    fs::write(&a, &of_a).unwrap();
    assert!(bench.unlock().private_key(&host("a")).is_ok());
}

#[test]
fn identity_files_are_kept_private_and_out_of_the_repository() {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("fleet");
    fs::create_dir_all(repository.join(".git")).unwrap();
    fs::create_dir_all(repository.join("inventory")).unwrap();
    let inventory = repository.join("inventory");

    for inside in ["fleet/identity", "fleet/new/identity", "fleet/inventory/../identity"] {
        let path = root.path().join(inside);
        let error = identity::create(&path, &inventory, None, now()).unwrap_err();
        assert!(matches!(error, VaultError::IdentityInWorkTree { .. }), "{error}");
        assert!(!path.exists());
    }
    std::os::unix::fs::symlink(&repository, root.path().join("elsewhere")).unwrap();
    let path = root.path().join("elsewhere/identity");
    assert!(identity::create(&path, &inventory, None, now()).is_err());

    let path = root.path().join("config/wgfleet/identity-acme.txt");
    identity::create(&path, &inventory, None, now()).unwrap();
    let text = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = path.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(identity::create(&path, &inventory, None, now()).is_err(), "it is never overwritten");
    assert_eq!(fs::read(&path).unwrap(), text);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Identities::load(&[path], &Unattended).unwrap_err();
    assert!(matches!(error, VaultError::IdentityExposed { mode: 0o644, .. }), "{error}");
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
    there is no identity at …/absent: pass --identity FILE or set WGFLEET_IDENTITY to an age identity file or an OpenSSH ed25519 key whose public part is in vault/recipients.txt
    the identity …/rsa cannot be used: only OpenSSH ed25519 keys can be identities
    the identity …/ecdsa cannot be used: only OpenSSH ed25519 keys can be identities
    the identity …/empty cannot be used: it holds no identity
    the identity …/garbage cannot be used: line 3 is no AGE-SECRET-KEY-1…
    the identity …/plugin cannot be used: line 1 is an identity of an age plugin, which is not supported
    the identity …/cut cannot be used: it is an SSH key that is cut off, damaged or of another format
    the identity …/encrypted cannot be used: it is an age file that is cut off or damaged
    ");
}

#[test]
fn unusable_recipients_are_listed_by_line_and_never_repeated() {
    let bench = Bench::new();
    let secret = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    for line in [
        "# a comment",
        &secret,
        "age1abc",
        "ssh-rsa AAAA",
        "age1yubikey1qqqqqq",
        "ssh-ed25519 AAAA me",
        "colleague",
    ] {
        bench.add_recipient(line);
    }
    let error = Vault::open(&bench.path("vault")).unwrap_err().to_string();
    assert!(!error.contains(&secret));
    insta::assert_snapshot!(error.replace(bench.root.path().to_str().unwrap(), "…"), @r"
    …/vault/recipients.txt has lines that are no recipients:
      line 6: this is a private identity: take it out of the file and out of git's history, and write its public part (`age-keygen -y FILE`) instead
      line 7: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
      line 8: only ssh-ed25519 keys can be recipients; write an ssh-ed25519 or an age1… key
      line 9: recipients of age plugins are not supported; write an age1… or ssh-ed25519 key
      line 10: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
      line 11: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
    ");
}

#[test]
fn nothing_prints_a_secret() {
    let bench = Bench::new();
    let unlocked = bench.unlock();
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for name in ["a", "b"] {
        secrets.push(unlocked.private_key(&host(name)).unwrap().expose().to_vec());
        secrets.push(unlocked.fingerprint_key(&host(name)).unwrap().to_vec());
    }
    let key = |name| bench.vault().index().current(&host(name)).unwrap();
    let psk = unlocked.pairwise_psk(&key("a"), &key("b"), 1).unwrap();
    secrets.push(psk.expose().to_vec());
    let identity = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let identity = identity.lines().last().unwrap().to_owned();

    let mut printed = format!(
        "{:?}\n{:#?}\n{unlocked:?}\n{:?}\n{psk:?}\n",
        bench.vault(),
        bench.vault(),
        bench.identities
    );
    for entry in fs::read_dir(bench.path("vault")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            printed.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let mut wgfleet = |args: &[&str]| {
        let output = bench_command(&bench).args(args).output().unwrap();
        printed.push_str(&String::from_utf8_lossy(&output.stdout));
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
    };
    let out = bench.path("out.key");
    for args in [
        &["vault", "status", "--verify"][..],
        &["vault", "status", "--format", "json"],
        &["vault", "keygen", "c", "a"],
        &["vault", "recipients"],
        &["vault", "rekey"],
        &["vault", "export", "a", "-o", out.to_str().unwrap()],
        &["vault", "export", "a", "-o", out.to_str().unwrap()],
        &["vault", "init", "--fleet", "acme", "--recipient", &identity],
    ] {
        wgfleet(args);
    }
    // Every way in which files can be wrong.
    fs::copy(bench.key_file("b"), bench.key_file("a")).unwrap();
    wgfleet(&["vault", "status", "--verify"]);
    fs::copy(bench.path("identity.txt"), bench.key_file("a")).unwrap();
    wgfleet(&["vault", "status", "--verify"]);
    bench.add_recipient(&identity);
    wgfleet(&["vault", "status"]);

    assert!(
        printed.contains("is no age header") && printed.contains("of b, not of a"),
        "{printed}"
    );
    assert!(!printed.contains(&identity[20..50]), "the identity is printed");
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(&secret);
        assert!(!printed.contains(&hex) && !printed.contains(&hex.to_uppercase()));
        assert!(!printed.contains(base64.trim_end_matches('=')));
        assert!(!printed.as_bytes().windows(32).any(|window| window == secret));
        assert!(!printed.contains(&format!("{secret:?}")));
    }
}

#[test]
fn a_rotation_keeps_the_old_key_until_the_new_one_is_proven() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let name = host("a");
    let old = vault.index().current(&name).unwrap();
    assert_eq!(vault.begin_rotation(&[name.clone()], now()).unwrap(), [name.clone()]);
    assert!(vault.begin_rotation(&[name.clone()], now()).unwrap().is_empty());
    let new = vault.index().next(&name).unwrap();
    assert_eq!(vault.index().current(&name), Some(old));
    let unlocked = vault.unlock(&bench.identities);
    assert_eq!(unlocked.private_key(&name).unwrap().public(), old);
    assert_eq!(unlocked.next_private_key(&name).unwrap().public(), new);

    assert_eq!(vault.promote(&[name.clone()]).unwrap(), [name.clone()]);
    assert!(vault.promote(&[name.clone()]).unwrap().is_empty());
    assert_eq!(vault.index().current(&name), Some(new));
    assert_eq!(vault.index().owner(&old).unwrap().1.state, KeyState::Retired);
    assert!(vault.unlock(&bench.identities).verify().is_empty());

    assert_eq!(vault.retire(&[name.clone()]).unwrap(), [name.clone()]);
    assert!(vault.retire(&[name.clone()]).unwrap().is_empty());
    assert!(vault.index().owner(&old).is_none());
    assert_eq!(fs::read_dir(bench.path("vault/keys")).unwrap().count(), 2);

    let error = vault.begin_rotation(&[host("unknown")], now()).unwrap_err();
    assert!(matches!(error, VaultError::NoKey { .. }));
    vault.begin_rotation(&[name.clone()], now()).unwrap();
    assert_eq!(vault.cancel_rotation(&[name.clone()]).unwrap(), [name.clone()]);
    assert_eq!(vault.index().current(&name), Some(new));
    assert_eq!(fs::read_dir(bench.path("vault/keys")).unwrap().count(), 2);
}

#[test]
fn an_import_overwrites_nothing() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let key = || PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
    assert!(vault.import(&host("c"), &key(), now()).unwrap());
    assert!(!vault.import(&host("c"), &key(), now()).unwrap());
    let error = vault.import(&host("d"), &key(), now()).unwrap_err();
    assert!(matches!(error, VaultError::KeyTaken { .. }));
    let error = vault.import(&host("a"), &PrivateKey::from_random([5; 32].into()), now());
    assert!(matches!(error.unwrap_err(), VaultError::HasKey { .. }));
    let opened = vault.unlock(&bench.identities).private_key(&host("c")).unwrap();
    assert_eq!(*opened.expose_base64(), *key().expose_base64());
}

#[test]
fn psks_differ_by_pair_and_epoch_and_agree_on_both_ends() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let key = |byte| PublicKey::from_bytes([byte; 32]);
    let unlocked = vault.unlock(&bench.identities);
    let psk = |one, other, epoch| {
        unlocked.pairwise_psk(&key(one), &key(other), epoch).map(|psk| psk.expose().to_owned())
    };
    assert_eq!(psk(1, 2, 1).unwrap(), psk(2, 1, 1).unwrap());
    assert_ne!(psk(1, 2, 1).unwrap(), psk(1, 3, 1).unwrap());
    assert!(matches!(psk(1, 2, 2).unwrap_err(), VaultError::NoEpoch { epoch: 2 }));
    assert_eq!(vault.new_psk_epoch(now()).unwrap(), 2);
    assert_eq!(vault.index().epoch(), Some(2));
    let after = vault.unlock(&bench.identities);
    assert_eq!(after.pairwise_psk(&key(1), &key(2), 1).unwrap().expose(), &psk(1, 2, 1).unwrap());
    assert_ne!(after.pairwise_psk(&key(1), &key(2), 2).unwrap().expose(), &psk(1, 2, 1).unwrap());
}

#[test]
fn a_thousand_hosts_open_in_about_a_second() {
    let bench = Bench::new();
    let names: Vec<HostName> = (0..1000).map(|number| host(&format!("h{number}"))).collect();
    let mut vault = bench.vault();
    assert_eq!(vault.ensure_keys(&names, now()).unwrap().len(), 1000);
    let unlocked = vault.unlock(&bench.identities);
    let start = Instant::now();
    assert_eq!(unlocked.private_keys(&names).unwrap().len(), 1000);
    let elapsed = start.elapsed();
    // One second on two idle cores; the machine may be busy with other tests.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

/// `wgfleet` on the bench, with nothing of this machine's configuration.
fn bench_command(bench: &Bench) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command
        .env_clear()
        .env("HOME", bench.path("home"))
        .current_dir(bench.root.path())
        .stdin(Stdio::null())
        .arg("--identity")
        .arg(bench.path("identity.txt"));
    command
}

#[test]
fn the_command_line_makes_a_vault_from_nothing() {
    let root = tempfile::tempdir().unwrap();
    let inventory = root.path().join("fleet");
    fs::create_dir_all(inventory.join(".git")).unwrap();
    let wgfleet = |args: &[&str], stdin: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
            .env_clear()
            .env("HOME", root.path().join("home"))
            .current_dir(&inventory)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(root.path().to_str().unwrap(), "…");
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, _, errors) = wgfleet(&["vault", "status"], "");
    assert_eq!(
        (code, errors.as_str()),
        (10, "wgfleet: there is no vault at ./vault: run `wgfleet vault init`\n")
    );
    let (code, output, errors) = wgfleet(&["vault", "init", "--fleet", "acme"], "");
    assert_eq!((code, output.as_str()), (0, ""), "{errors}");
    insta::assert_snapshot!(errors, @r"
    made the identity …/home/.config/wgfleet/identity-acme.txt: keep a backup of it
    made the vault ./vault for 1 recipient(s); commit it, then run `wgfleet vault keygen HOST…`
    ");
    let identity = root.path().join("home/.config/wgfleet/identity-acme.txt");
    assert_eq!(fs::metadata(identity).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wgfleet(&["vault", "init", "--fleet", "acme"], "").0, 10);

    let (code, output, _) = wgfleet(&["vault", "keygen", "paris-gw", "b7"], "");
    assert_eq!((code, output.lines().count()), (0, 2));
    let (code, output, errors) = wgfleet(&["vault", "keygen", "paris-gw", "b7"], "");
    assert_eq!((code, output.as_str(), errors.as_str()), (0, "", "every host has a key already\n"));

    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    let (code, _, errors) = wgfleet(&["vault", "import", "alice-phone"], key);
    assert_eq!(
        (code, errors.as_str()),
        (0, "alice-phone has the key hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= now\n")
    );
    let (code, _, errors) = wgfleet(&["vault", "import", "bob-phone"], "not a key");
    assert_eq!(code, 10, "{errors}");

    let (code, _, errors) = wgfleet(&["vault", "export", "alice-phone", "-o", "../alice"], "");
    assert_eq!(code, 0, "{errors}");
    let exported = root.path().join("alice");
    assert_eq!(fs::read_to_string(&exported).unwrap(), key);
    assert_eq!(fs::metadata(&exported).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wgfleet(&["vault", "export", "alice-phone", "-o", "../alice"], "").0, 10);

    let (code, output, errors) = wgfleet(&["vault", "status", "--verify"], "");
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(output.starts_with("NAME         PUBLIC KEY"), "{output}");
    assert_eq!(output.lines().count(), 5);
    let (_, output, _) = wgfleet(&["vault", "status", "--format", "json"], "");
    let status: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(status["keys"][0]["name"], "alice-phone");
    assert_eq!(status["keys"][0]["age_days"], 0);

    // A passphrase cannot be asked for here.
    let path = root.path().join("locked");
    let args = ["vault", "init", "--fleet", "acme", "--passphrase", "-f", "../other/fleet.yaml"];
    let with = [&args[..], &["--identity", path.to_str().unwrap()]].concat();
    let child = Command::new("setsid")
        .arg("-w")
        .arg(env!("CARGO_BIN_EXE_wgfleet"))
        .args(&with)
        .current_dir(&inventory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&child.stderr).contains("there is no terminal to ask on"));
}

/// The real thing: SIGKILL in the middle of making keys, then once more.
#[test]
fn a_killed_keygen_is_finished_by_the_next() {
    let bench = Bench::new();
    let names: Vec<String> = (0..300).map(|number| format!("h{number}")).collect();
    for milliseconds in [5, 15, 30, 60] {
        let mut child = bench_command(&bench)
            .args(["vault", "keygen"])
            .args(&names)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(bench.unlock().verify().is_empty());
    }
    let output = bench_command(&bench).args(["vault", "keygen"]).args(&names).output().unwrap();
    assert!(output.status.success());
    assert_eq!(bench.vault().index().names().count(), 302);
    assert!(bench.unlock().verify().is_empty());
    let mut text = String::new();
    for entry in fs::read_dir(bench.path("vault/keys")).unwrap() {
        text.push_str(entry.unwrap().file_name().to_str().unwrap());
    }
    assert!(!text.contains(".wgfleet-"), "temporary files stay behind");
}

#[test]
fn a_locked_vault_is_exit_5() {
    let bench = Bench::new();
    let folder = fs::File::open(bench.path("vault")).unwrap();
    folder.lock().unwrap();
    let output = bench_command(&bench).args(["vault", "keygen", "c"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}

/// All files of a folder with their bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let mut bytes = Vec::new();
            fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            all.push((path, bytes));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is in whichever file: no panic, and no file that was there changes but the index.
    #[test]
    fn hostile_bytes_never_panic_and_are_never_overwritten(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        keep in any::<bool>(),
        junk in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[ -~\n]{0,200}".prop_map(String::into_bytes),
            Just(b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n".to_vec()),
            Just(b"-----BEGIN AGE ENCRYPTED FILE-----\n".to_vec()),
        ],
    ) {
        let bench = Bench::new();
        let vault = bench.path("vault");
        let before = files(&vault);
        let (path, bytes) = &before[which.index(before.len())];
        let mut hostile = if keep { bytes.clone() } else { Vec::new() };
        let at = at.index(hostile.len() + 1);
        hostile.splice(at..at, junk);
        fs::write(path, &hostile).unwrap();
        let before = files(&vault);

        if let Ok(mut opened) = Vault::open(&vault) {
            let unlocked = opened.unlock(&bench.identities);
            let _ = unlocked.verify();
            let _ = unlocked.private_key(&host("a"));
            let _ = unlocked.fingerprint_key(&host("a"));
            let _ = opened.oddities();
            let _ = opened.ensure_keys(&[host("a"), host("c")], now());
            let _ = opened.begin_rotation(&[host("a")], now());
            let _ = opened.new_psk_epoch(now());
        }
        let after = files(&vault);
        for (path, bytes) in before {
            if path.file_name().unwrap() == "index.json" && Vault::open(&vault).is_ok() {
                continue;
            }
            prop_assert!(after.contains(&(path.clone(), bytes)), "{path:?} changed");
        }
        let _ = Identities::load(&[path.clone()], &Answer("x"));
    }

    #[test]
    fn no_text_panics_as_a_recipient(text in "\\PC{0,80}|age1[a-z0-9]{0,80}|ssh-ed25519 [A-Za-z0-9+/=]{0,80}") {
        let _ = text.parse::<Recipient>();
    }
}

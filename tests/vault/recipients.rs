//! Nothing is encrypted to somebody whom no rekey has confirmed.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wgfleet::vault::{Identities, Recipient, Unattended, Vault, VaultError, identity};

use crate::bench::{Bench, host, now};
use crate::command_line::{bench_command, on_a_terminal};

fn stranger(bench: &Bench) -> (PathBuf, Recipient) {
    let path = bench.path("stranger.txt");
    let recipient = identity::create(&path, bench.root.path(), None, now()).unwrap();
    (path, recipient)
}

fn run(bench: &Bench, args: &[&str], stdin: Stdio) -> (Option<i32>, String, String) {
    let output =
        bench_command(bench).env("PATH", "/usr/bin:/bin").args(args).stdin(stdin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The attack of the audit: a line that slips into recipients.txt, and a pipeline that makes keys.
#[test]
fn a_recipient_that_slipped_in_is_refused_by_everything_that_encrypts() {
    let bench = Bench::new();
    let inventory = "fleet: acme
networks: { n: { prefixes: 10.9.0.0/24, links: mesh } }
hosts:
  a: { address: 10.9.0.1, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.1:51820' }
  b: { address: 10.9.0.2, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.2:51820' }
peers: { gamma: { via: a, address: 10.9.0.3 } }
";
    fs::write(bench.path("fleet.yaml"), inventory).unwrap();
    let (theirs, recipient) = stranger(&bench);
    bench.add_recipient("# the new \u{202e}colleague");
    bench.add_recipient(recipient.as_str());
    let files = || {
        let mut all: Vec<PathBuf> = Vec::new();
        for folder in ["vault", "vault/keys", "vault/psk"] {
            let entries = fs::read_dir(bench.path(folder)).unwrap();
            all.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
        }
        all.sort();
        all.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    let key = bench.path("key");
    fs::write(&key, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n").unwrap();
    for args in [
        &["vault", "keygen", "gamma"][..],
        &["vault", "import", "gamma"],
        &["rotate", "a", "--yes", "--connect-timeout", "2"],
        &["rotate", "--older-than", "0", "--yes", "--connect-timeout", "2"],
    ] {
        let stdin = fs::File::open(&key).unwrap();
        let (code, _, errors) = run(&bench, args, stdin.into());
        assert_eq!(code, Some(10), "{args:?}: {errors}");
        let line = format!(
            "+ {recipient} (the new \\u{{202e}}colleague) would be able to read these keys\n  run \
             `wgfleet vault rekey` first"
        );
        assert!(errors.contains(&line), "{args:?}: {errors}");
        assert_eq!(files(), before, "{args:?}");
    }
    // What encrypts nothing goes on.
    assert_eq!(run(&bench, &["vault", "status", "--verify"], Stdio::null()).0, Some(0));
    let mut vault = bench.vault();
    assert!(vault.retire([&host("a")]).unwrap().is_empty());

    // A pipeline that rekeys has to say that it means it.
    let (code, _, errors) = run(&bench, &["vault", "rekey"], Stdio::null());
    assert_eq!(code, Some(64), "{errors}");
    assert!(errors.contains(&format!("+ {recipient} (the new")), "{errors}");
    assert!(errors.contains("add --yes"), "{errors}");
    assert_eq!(files(), before);
    let (code, _, errors) = run(&bench, &["vault", "rekey", "--yes"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains(&format!("+ {recipient} (the new")), "{errors}");
    let theirs = Identities::load(&[theirs], &Unattended).unwrap();
    assert!(bench.vault().unlock(&theirs).verify().is_empty());
    let (code, _, errors) = run(&bench, &["vault", "keygen", "gamma"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    assert!(bench.vault().unlock(&theirs).private_key(&host("gamma")).is_ok());
}

/// Every file of the vault with other text in it, as anyone can write it who reads the old one.
fn rewrite(bench: &Bench, file: &std::path::Path, text: impl Fn(String) -> String) {
    let mut open = Command::new("age");
    open.arg("-d").arg("-i").arg(bench.path("identity.txt")).arg(file);
    let output = open.output().expect("apt-get install age");
    let plain = text(String::from_utf8(output.stdout).unwrap());
    let mut seal = Command::new("age");
    seal.arg("-a").arg("-R").arg(bench.path("vault/recipients.txt")).arg("-o").arg(file);
    let mut child = seal.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(plain.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Makes a file as version 0.1.0 wrote it.
fn older(bench: &Bench, file: &std::path::Path) {
    rewrite(bench, file, |text| {
        let text = text.replacen(" 2\n", " 1\n", 1);
        text.lines()
            .filter(|line| !line.starts_with("recipient ") && !line.starts_with("confirmed "))
            .flat_map(|line| [line, "\n"])
            .collect()
    });
}

/// The next attack: the index and recipients.txt are changed together, and agree.
#[test]
fn lists_that_agree_confirm_nobody() {
    let bench = Bench::new();
    let (_, recipient) = stranger(&bench);
    let index = bench.path("vault/index.json");
    let root = bench.path("vault/psk/1.age");
    let good = fs::read_to_string(&index).unwrap();
    let newest = fs::read(&root).unwrap();
    bench.add_recipient(&format!("# the new colleague\n{recipient}"));
    let mine = &bench.identities.recipients()[0];
    let forged = good.replace(&format!("\"{mine}\""), &format!("\"{mine}\",\n    \"{recipient}\""));
    fs::write(&index, &forged).unwrap();
    let key = bench.path("key");
    fs::write(&key, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n").unwrap();
    let refused = |words: &str| {
        for args in [
            &["vault", "keygen", "gamma"][..],
            &["vault", "import", "gamma"],
            &["vault", "status", "--verify"],
        ] {
            let (code, _, errors) = run(&bench, args, fs::File::open(&key).unwrap().into());
            assert_eq!(code, Some(10), "{args:?}: {errors}");
            assert!(errors.contains(words), "{args:?}: {errors}");
            assert_eq!(fs::read_to_string(&index).unwrap(), forged, "{args:?}");
        }
    };
    refused(&format!("nothing was encrypted\n  + {recipient}"));
    // Without an identity nobody can tell, so nothing is made.
    let mut alone = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    alone.env_clear().env("HOME", bench.path("nobody")).current_dir(bench.root.path());
    let output = alone.args(["vault", "keygen", "gamma"]).output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no identity"), "{output:?}");
    // What says who was confirmed is exchanged for what stood there before.
    older(&bench, &root);
    refused("an older file was put in its place");
    fs::write(&root, newest).unwrap();

    // The operator sees it, and decides.
    let (code, _, errors) = run(&bench, &["vault", "rekey"], Stdio::null());
    assert_eq!(code, Some(64), "{errors}");
    assert!(errors.contains(&format!("+ {recipient} (the new colleague)")), "{errors}");
    let (code, _, errors) = run(&bench, &["vault", "rekey", "--yes"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = run(&bench, &["vault", "keygen", "gamma"], Stdio::null());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
}

#[test]
fn an_older_vault_says_once_that_it_confirms() {
    let bench = Bench::new();
    let mut files = vec![bench.path("vault/psk/1.age"), bench.path("vault/fingerprint.age")];
    files.extend(["a", "b"].map(|name| bench.key_file(name)));
    for file in &files {
        older(&bench, file);
    }
    assert_eq!(run(&bench, &["vault", "status", "--verify"], Stdio::null()).0, Some(0));
    let (code, _, errors) = run(&bench, &["vault", "keygen", "c"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    let mine = &bench.identities.recipients()[0];
    assert!(errors.contains("did not say who was confirmed"), "{errors}");
    assert!(errors.contains(&format!("rekey`:\n  {mine}\n")), "{errors}");
    let (code, _, errors) = run(&bench, &["vault", "keygen", "d"], Stdio::null());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(bench.unlock().verify().is_empty());
}

#[test]
fn a_rekey_shows_whom_it_adds_and_removes_and_asks() {
    let bench = Bench::new();
    let (_, recipient) = stranger(&bench);
    bench.add_recipient(&format!("# Alice\n{recipient}"));
    let index = || fs::read(bench.path("vault/index.json")).unwrap();
    let before = index();
    let args = "vault rekey --identity identity.txt";
    let (code, shown) = on_a_terminal(&bench, args, &["n"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(&format!("+ {recipient} (Alice)")), "{shown}");
    assert!(shown.contains("Encrypt every file to 2 recipients? [y/N]"), "{shown}");
    assert!(shown.contains("nothing was encrypted"), "{shown}");
    assert_eq!(index(), before);
    let (code, shown) = on_a_terminal(&bench, args, &["y"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("encrypted 4 files to 2 recipients"), "{shown}");

    let (_, output, errors) = run(&bench, &["vault", "recipients"], Stdio::null());
    assert!(output.contains(&format!("  {recipient} (Alice)")), "{output}");
    assert_eq!(errors, "");
    let file = bench.path("vault/recipients.txt");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(recipient.as_str(), "# gone")).unwrap();
    // Whoever goes reads nothing new: keys can be made before the rekey.
    let (code, _, errors) = run(&bench, &["vault", "keygen", "c"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    let (_, output, _) = run(&bench, &["vault", "recipients", "--format", "json"], Stdio::null());
    let status = crate::documents::document(output.as_bytes());
    assert_eq!(status["recipient_change"]["removed"][0], recipient.as_str());
    let (code, _, errors) = run(&bench, &["vault", "rekey", "--yes"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains(&format!("- {recipient}")), "{errors}");
    assert!(errors.contains("rotate --all"), "{errors}");
    // Nothing changes: there is nothing to ask.
    let (code, _, errors) = run(&bench, &["vault", "rekey"], Stdio::null());
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn a_recipients_file_that_was_there_before_the_vault_names_nobody_in_silence() {
    let bench = Bench::new();
    let (_, recipient) = stranger(&bench);
    let mine = bench.identities.recipients();
    let folder = bench.path("other/vault");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("recipients.txt"), format!("{}\n{recipient}\n", mine[0])).unwrap();
    let create =
        |wanted: &[Recipient]| Vault::create(&folder, &"acme".parse().unwrap(), wanted, now());
    let error = create(&mine).unwrap_err();
    assert!(matches!(&error, VaultError::Strangers { strangers, .. } if strangers.len() == 1));
    assert!(error.to_string().contains(recipient.as_str()), "{error}");
    let vault = create(&[mine[0].clone(), recipient]).unwrap();
    assert!(!vault.needs_rekey(), "nothing waits for a rekey after it was made");
}

/// What was shown is what is encrypted to, whoever edits the file meanwhile.
#[test]
fn recipients_that_come_while_it_is_asked_are_not_confirmed() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let (_, recipient) = stranger(&bench);
    bench.add_recipient(recipient.as_str());
    let error = vault.rekey(&bench.identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::RecipientsMoved { .. }), "{error}");
    assert_eq!(bench.vault().index().recipients().len(), 1);
}

#[test]
fn a_name_is_the_comment_above_an_age_key_or_behind_an_ssh_key() {
    let bench = Bench::new();
    let file = bench.path("vault/recipients.txt");
    let (_, recipient) = stranger(&bench);
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    let names = |text: String| {
        fs::write(&file, text).unwrap();
        let vault = bench.vault();
        let names = vault.recipients().iter().map(|one| one.name().map(ToString::to_string));
        names.collect::<Vec<_>>()
    };
    let just = |name: &str| vec![Some(name.to_owned())];
    assert_eq!(names(format!("# Alice\n{recipient}\n")), just("Alice"));
    assert_eq!(names(format!("# team\n# Alice\n{recipient}\n")), just("Alice"));
    assert_eq!(names(format!("# a section\n\n{recipient}\n")), [None]);
    assert_eq!(names(format!("#\n{recipient}\n")), [None]);
    assert_eq!(names(format!("{ssh} bob@laptop of bob\n")), just("bob@laptop of bob"));
    assert_eq!(names(format!("# Bob\n{ssh}\n")), just("Bob"));
}

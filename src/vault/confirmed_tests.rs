//! Who may be encrypted to is what the vault's own secrets say, whatever the files say that anyone can
//! write.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Identities, Layout, Recipient, Unattended, Vault, VaultError, age_file, identity};
use crate::model::{HostName, PrivateKey};

fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    identities: Identities,
}

impl Bench {
    /// A vault with the keys of two hosts.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (recipient, identities) = identity(folder.path(), "identity");
        let path = folder.path().join("vault");
        let mut vault =
            Vault::create(&path, &"acme".parse().unwrap(), &[recipient], now()).unwrap();
        vault.ensure_keys([&host("a"), &host("b")], &identities, now()).unwrap();
        Self { folder, identities }
    }

    fn vault(&self) -> Vault {
        Vault::open(&self.folder.path().join("vault")).unwrap()
    }

    fn stranger(&self) -> (Recipient, Identities) {
        identity(self.folder.path(), "stranger")
    }

    /// What a pull request can do: both lists name somebody else too.
    fn forge(&self, recipient: &Recipient) {
        let mut vault = self.vault();
        vault.index.recipients.push(recipient.to_string());
        vault.index.recipients.sort();
        fs::write(vault.folder().join("index.json"), vault.index.to_bytes()).unwrap();
        let path = vault.folder().join("recipients.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}# the new colleague\n{recipient}\n")).unwrap();
        assert!(!self.vault().needs_rekey(), "the lists agree");
    }

    /// Every command that encrypts, for hosts that need it.
    fn encrypting(&self) -> [Result<usize, VaultError>; 3] {
        let key = PrivateKey::from_random([9; 32].into());
        let ids = &self.identities;
        [
            self.vault().ensure_keys([&host("gamma")], ids, now()).map(|made| made.len()),
            self.vault().begin_rotation([&host("a")], ids, now()).map(|made| made.len()),
            self.vault().import(&host("delta"), &key, ids, now()).map(usize::from),
        ]
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let vault = self.vault();
        let mut files: Vec<_> = vault.files().into_iter().collect();
        files.push(vault.folder().join("index.json"));
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

fn identity(folder: &Path, name: &str) -> (Recipient, Identities) {
    let path = folder.join(name);
    let recipient = identity::create(&path, folder, None, now()).unwrap();
    (recipient, Identities::load(&[path], &Unattended).unwrap())
}

/// Makes every file of a vault as version 0.1.0 wrote it.
pub(super) fn make_older(vault: &Vault, identities: &Identities) {
    for path in vault.files() {
        let plain = age_file::open(&fs::read(&path).unwrap(), &identities.0).unwrap();
        let text = std::str::from_utf8(&plain).unwrap().replacen(" 2\n", " 1\n", 1);
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("recipient ") && !line.starts_with("confirmed "));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let sealed = age_file::seal(&vault.recipients, text.as_bytes(), &vault.prompts).unwrap();
        fs::write(path, sealed).unwrap();
    }
}

#[test]
fn lists_that_a_pull_request_forged_together_confirm_nobody() {
    let bench = Bench::new();
    let (stranger, theirs) = bench.stranger();
    bench.forge(&stranger);
    let before = bench.files();
    for result in bench.encrypting() {
        let error = result.unwrap_err();
        let VaultError::RecipientsForged { difference, .. } = &error else { panic!("{error}") };
        assert_eq!(difference, &[format!("+ {stranger} (the new colleague)")]);
        assert!(error.to_string().contains(&format!("\n  + {stranger}")), "{error}");
    }
    assert_eq!(bench.files(), before);
    // Whoever looks finds it, and what encrypts nothing goes on.
    let wrong = bench.vault().unlock(&bench.identities).verify();
    assert!(matches!(&wrong[..], [VaultError::RecipientsForged { .. }]), "{wrong:?}");
    bench.vault().retire([&host("a")]).unwrap();
    assert_eq!(bench.vault().ensure_keys([&host("a")], &bench.identities, now()).unwrap(), []);

    // A rekey shows it as what it is, and confirms it where the operator says so.
    let change = bench.vault().change_to_confirm(&bench.identities).unwrap();
    assert_eq!(change.lines(), [format!("+ {stranger} (the new colleague)")]);
    assert_eq!(bench.vault().rekey(&bench.identities, now()).unwrap(), 4);
    assert!(bench.vault().change_to_confirm(&bench.identities).unwrap().is_empty());
    assert!(bench.vault().unlock(&theirs).verify().is_empty());
    for result in bench.encrypting() {
        assert_eq!(result.unwrap(), 1);
    }
    assert!(bench.vault().unlock(&theirs).private_key(&host("gamma")).is_ok());
}

#[test]
fn whoever_was_removed_is_confirmed_no_more() {
    let bench = Bench::new();
    let (colleague, _) = bench.stranger();
    bench.forge(&colleague);
    bench.vault().rekey(&bench.identities, now()).unwrap();
    let path = bench.vault().folder().join("recipients.txt");
    let both = fs::read_to_string(&path).unwrap();
    fs::write(&path, both.replace(colleague.as_str(), "# gone")).unwrap();
    let change = bench.vault().change_to_confirm(&bench.identities).unwrap();
    assert_eq!(change.lines(), [format!("- {colleague}")]);
    // Nothing is encrypted to them any more, rekey or not.
    bench.vault().ensure_keys([&host("c")], &bench.identities, now()).unwrap();
    bench.vault().rekey(&bench.identities, now()).unwrap();
    let index = bench.vault().folder().join("index.json");
    let good = fs::read(&index).unwrap();
    bench.forge(&colleague);
    let error = bench.encrypting().into_iter().next().unwrap().unwrap_err();
    assert!(matches!(error, VaultError::RecipientsForged { .. }), "{error}");
    fs::write(&index, good).unwrap();
    let error = bench.encrypting().into_iter().next().unwrap().unwrap_err();
    assert!(matches!(error, VaultError::Unconfirmed { .. }), "{error}");
}

#[test]
fn an_older_vault_confirms_its_recipients_with_the_next_command_that_encrypts() {
    for rekeyed in [false, true] {
        let bench = Bench::new();
        let mut vault = bench.vault();
        make_older(&vault, &bench.identities);
        assert!(vault.unlock(&bench.identities).verify().is_empty());
        assert_eq!(vault.unlock(&bench.identities).confirmed().unwrap(), None);
        let keys = bench.vault().unlock(&bench.identities).private_key(&host("a")).unwrap();
        if rekeyed {
            // Nobody was confirmed: it shows all.
            let change = vault.change_to_confirm(&bench.identities).unwrap();
            assert_eq!(change.added, vault.recipients());
            vault.rekey(&bench.identities, now()).unwrap();
            assert!(!vault.newly_confirmed());
        } else {
            vault.ensure_keys([&host("c")], &bench.identities, now()).unwrap();
            assert!(vault.newly_confirmed());
            let again = bench.vault().ensure_keys([&host("d")], &bench.identities, now());
            assert_eq!(again.unwrap(), [host("d")]);
        }
        let unlocked = bench.vault().unlock(&bench.identities);
        let confirmed = unlocked.confirmed().unwrap().unwrap();
        assert_eq!(confirmed.recipients, bench.vault().index().recipients());
        assert_eq!(confirmed.count, 1);
        assert!(unlocked.verify().is_empty());
        assert_eq!(unlocked.private_key(&host("a")).unwrap().public(), keys.public());
        let (stranger, _) = bench.stranger();
        bench.forge(&stranger);
        let error = bench.encrypting().into_iter().next().unwrap().unwrap_err();
        assert!(matches!(error, VaultError::RecipientsForged { .. }), "{error}");
    }
}

/// The secret that says who is confirmed is taken from git's history, from before it said so.
#[test]
fn an_older_file_in_its_place_makes_nobody_confirmed() {
    let bench = Bench::new();
    make_older(&bench.vault(), &bench.identities);
    let root = Layout(bench.vault().folder()).epoch(1);
    let older = fs::read(&root).unwrap();
    bench.vault().ensure_keys([&host("c")], &bench.identities, now()).unwrap();
    let newer = fs::read(&root).unwrap();
    fs::write(&root, older).unwrap();
    let (stranger, _) = bench.stranger();
    bench.forge(&stranger);
    let before = bench.files();
    for result in bench.encrypting() {
        let error = result.unwrap_err();
        assert!(matches!(error, VaultError::ConfirmationLost { .. }), "{error}");
    }
    assert_eq!(bench.files(), before);
    let wrong = bench.vault().unlock(&bench.identities).verify();
    assert!(matches!(&wrong[..], [VaultError::ConfirmationLost { .. }]), "{wrong:?}");
    // A rekey shows everybody, so the stranger too.
    let change = bench.vault().change_to_confirm(&bench.identities).unwrap();
    assert_eq!(change.added.len(), 2);
    fs::write(&root, newer).unwrap();
    let error = bench.encrypting().into_iter().next().unwrap().unwrap_err();
    assert!(matches!(error, VaultError::RecipientsForged { .. }), "{error}");
}

/// A list without anybody, as no command writes it.
#[test]
fn a_list_of_nobody_is_damaged() {
    let bench = Bench::new();
    let vault = bench.vault();
    let path = Layout(vault.folder()).epoch(1);
    let plain = age_file::open(&fs::read(&path).unwrap(), &bench.identities.0).unwrap();
    let text = std::str::from_utf8(&plain).unwrap();
    let (head, _) = text.split_once("recipient ").unwrap();
    let sealed = age_file::seal(&vault.recipients, head.as_bytes(), &vault.prompts).unwrap();
    fs::write(path, sealed).unwrap();
    for result in bench.encrypting() {
        let error = result.unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
    }
}

/// A pull request takes the operator out of the list, of a vault of version 0.1.0 too.
#[test]
fn nobody_locks_the_operator_out() {
    for older in [false, true] {
        let bench = Bench::new();
        let (colleague, _) = bench.stranger();
        bench.forge(&colleague);
        bench.vault().rekey(&bench.identities, now()).unwrap();
        if older {
            make_older(&bench.vault(), &bench.identities);
        }
        let path = bench.vault().folder().join("recipients.txt");
        fs::write(path, format!("{colleague}\n")).unwrap();
        let before = bench.files();
        for result in bench.encrypting() {
            let error = result.unwrap_err();
            assert!(matches!(error, VaultError::NotARecipient { .. }), "{error}");
        }
        assert_eq!(bench.files(), before);
    }
}

/// What tells an older list from a newer one.
#[test]
fn each_rekey_counts() {
    let bench = Bench::new();
    let count = || bench.vault().unlock(&bench.identities).confirmed().unwrap().unwrap().count;
    assert_eq!(count(), 1);
    bench.vault().rekey(&bench.identities, now()).unwrap();
    assert_eq!(count(), 2);
    bench.vault().ensure_keys([&host("c")], &bench.identities, now()).unwrap();
    assert_eq!(count(), 2);
    // A vault of an older version begins anew.
    make_older(&bench.vault(), &bench.identities);
    bench.vault().rekey(&bench.identities, now()).unwrap();
    assert_eq!(count(), 1);
}

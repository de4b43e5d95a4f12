//! Keys that are taken over: they are used, they survive a rekey, and nobody slips in another one.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{Identities, Layout, Unattended, Vault, VaultError, age_file, derive, identity, pairs};
use crate::model::{HostName, PresharedKey, PrivateKey, PublicKey};

fn now() -> Timestamp {
    "2026-11-27T13:00:00Z".parse().unwrap()
}

fn vault(folder: &Path) -> (Vault, Identities) {
    let path = folder.join("identity");
    let recipient = identity::create(&path, folder, None, now()).unwrap();
    let vault = Vault::create(&folder.join("vault"), &"acme".parse().unwrap(), &[recipient], now());
    (vault.unwrap(), Identities::load(&[path], &Unattended).unwrap())
}

fn key(byte: u8) -> PrivateKey {
    PrivateKey::from_random(Zeroizing::new([byte; 32]))
}

fn psk(byte: u8) -> PresharedKey {
    PresharedKey::from_bytes(Zeroizing::new([byte; 32]))
}

fn hosts() -> Vec<(HostName, PrivateKey)> {
    vec![("a".parse().unwrap(), key(8)), ("b".parse().unwrap(), key(16))]
}

fn pair() -> (PublicKey, PublicKey) {
    (key(8).public(), key(16).public())
}

#[test]
fn what_is_taken_over_is_used_and_survives_a_rekey() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, identities) = vault(folder.path());
    let taken = vault.take_over(&hosts(), vec![(pair(), psk(5))], &identities, now()).unwrap();
    assert_eq!((taken.keys.len(), taken.pairs), (2, 1));
    let (a, b) = pair();
    let used = |vault: &Vault| {
        let unlocked = vault.unlock(&identities);
        assert!(unlocked.verify().is_empty());
        assert_eq!(unlocked.pairwise_psk(&a, &b, 1).unwrap().expose(), &[5; 32]);
        assert_eq!(unlocked.pairwise_psk(&b, &a, 1).unwrap().expose(), &[5; 32]);
        let other = unlocked.pairwise_psk(&a, &key(24).public(), 1).unwrap();
        assert_ne!(other.expose(), &[5; 32]);
        assert_eq!(unlocked.private_key(&"a".parse().unwrap()).unwrap().expose(), key(8).expose());
    };
    used(&vault);
    // Again, with another key for the pair: what is there stays.
    let again = vault.take_over(&hosts(), vec![((b, a), psk(6))], &identities, now()).unwrap();
    assert_eq!((again.keys.len(), again.pairs), (0, 0));
    vault.rekey(&identities, now()).unwrap();
    let vault = Vault::open(vault.folder()).unwrap();
    used(&vault);
    let oddities = vault.oddities().unwrap();
    assert!(oddities.missing.is_empty() && oddities.unknown.is_empty(), "{oddities:?}");
}

#[test]
fn a_key_of_another_host_takes_nothing_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, identities) = vault(folder.path());
    vault.take_over(&hosts(), Vec::new(), &identities, now()).unwrap();
    let more = vec![("c".parse().unwrap(), key(32)), ("d".parse().unwrap(), key(8))];
    let error = vault.take_over(&more, vec![(pair(), psk(5))], &identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::KeyTaken { .. }), "{error}");
    let changed = vec![("a".parse().unwrap(), key(40))];
    let error = vault.take_over(&changed, Vec::new(), &identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::HasKey { .. }), "{error}");
    assert_eq!(vault.index().names().count(), 2);
    assert!(vault.index().pairs().is_empty());
}

/// Anyone can encrypt to the recipients, so a pull request can bring a file with a key that its author
/// knows.
#[test]
fn a_file_of_somebody_without_the_master_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, identities) = vault(folder.path());
    vault.take_over(&hosts(), vec![(pair(), psk(5))], &identities, now()).unwrap();
    let path = Layout(vault.folder()).pairs(1);
    let (a, b) = pair();
    let keys = pairs::Keys::from([(pairs::pair(&a, &b), psk(7))]);
    let plain = pairs::encode(1, keys.iter());
    let sealed = age_file::seal(&vault.recipients, plain.as_bytes(), &vault.prompts).unwrap();
    fs::write(&path, sealed).unwrap();
    let refused = |vault: &Vault| {
        let error = vault.unlock(&identities).pairwise_psk(&a, &b, 1).unwrap_err();
        assert!(matches!(error, VaultError::Mismatch { .. }), "{error}");
        assert_eq!(vault.unlock(&identities).verify().len(), 1);
    };
    refused(&vault);
    let entry = vault.index.pairs.get_mut(&1).unwrap();
    entry.mac = derive::pairs_mac(&psk(9), 1, 1, entry.created, plain.as_bytes());
    fs::write(vault.folder().join("index.json"), vault.index.to_bytes()).unwrap();
    refused(&Vault::open(vault.folder()).unwrap());
}

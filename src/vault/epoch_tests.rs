//! Epochs of PSK material: one that the vault's own secrets vouch for is used, any other is refused.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use super::{
    Identities, Layout, PskEpoch, Unattended, Vault, VaultError, age_file, derive, identity, secret,
};
use crate::model::{Fingerprint, PresharedKey, PublicKey};

fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

fn psk(byte: u8) -> PresharedKey {
    PresharedKey::from_bytes([byte; 32].into())
}

fn vault(folder: &Path) -> (Vault, Identities) {
    let path = folder.join("identity");
    let recipient = identity::create(&path, folder, None, now()).unwrap();
    let vault = Vault::create(&folder.join("vault"), &"acme".parse().unwrap(), &[recipient], now());
    (vault.unwrap(), Identities::load(&[path], &Unattended).unwrap())
}

fn master(vault: &Vault, identities: &Identities, epoch: u32) -> PresharedKey {
    let path = Layout(vault.folder()).epoch(epoch);
    let plain = age_file::open(&fs::read(&path).unwrap(), &identities.0).unwrap();
    secret::decode_psk(&path, &plain, epoch).unwrap().master
}

/// Adds an epoch as anyone can who knows the recipients; what its MAC is made with is up to them.
fn add(vault: &mut Vault, epoch: u32, before: &PresharedKey, new: &PresharedKey) {
    let plain = secret::encode_psk(epoch, new, None);
    let sealed = age_file::seal(&vault.recipients, plain.as_bytes(), &vault.prompts);
    fs::write(Layout(vault.folder()).epoch(epoch), sealed.unwrap()).unwrap();
    let mac = Some(derive::epoch_mac(before, epoch, now(), new));
    let check = derive::check(new.expose());
    vault.index.epochs.insert(epoch, PskEpoch { created: now(), check, mac });
    fs::write(vault.folder().join("index.json"), vault.index.to_bytes()).unwrap();
}

#[test]
fn an_epoch_is_used_where_the_one_before_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, identities) = vault(folder.path());
    let first = master(&vault, &identities, 1);
    add(&mut vault, 2, &first, &psk(2));
    add(&mut vault, 3, &psk(2), &psk(3));
    let vault = Vault::open(vault.folder()).unwrap();
    let unlocked = vault.unlock(&identities);
    assert!(unlocked.verify().is_empty());
    let key = PublicKey::from_bytes([9; 32]);
    let derived = unlocked.pairwise_psk(&key, &key, 3).unwrap();
    assert_eq!(derived.expose(), derive::pairwise(&psk(3), &key, &key, 3).expose());

    let mut vault = Vault::open(vault.folder()).unwrap();
    assert_eq!(vault.rekey(&identities, now()).unwrap(), 4, "three epochs, the fingerprint secret");
    assert!(vault.unlock(&identities).verify().is_empty());
}

#[test]
fn an_epoch_that_nobody_vouches_for_is_refused_with_all_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, identities) = vault(folder.path());
    add(&mut vault, 2, &psk(66), &psk(2));
    add(&mut vault, 3, &psk(2), &psk(3));
    let mut vault = Vault::open(vault.folder()).unwrap();
    let unlocked = vault.unlock(&identities);
    let key = PublicKey::from_bytes([9; 32]);
    for epoch in [3, 2] {
        let error = unlocked.pairwise_psk(&key, &key, epoch).unwrap_err();
        assert!(matches!(error, VaultError::EpochForged { epoch: 2, .. }), "{error}");
    }
    assert!(unlocked.pairwise_psk(&key, &key, 1).is_ok());
    assert_eq!(unlocked.verify().len(), 2);
    assert!(matches!(vault.rekey(&identities, now()), Err(VaultError::EpochForged { .. })));

    // The MAC of another moment, or of none.
    let first = master(&vault, &identities, 1);
    add(&mut vault, 2, &first, &psk(2));
    vault.index.epochs.get_mut(&2).unwrap().mac = Some(Fingerprint::from_bytes([0; 32]));
    assert_eq!(vault.unlock(&identities).verify().len(), 2);
    add(&mut vault, 2, &first, &psk(2));
    assert!(vault.unlock(&identities).verify().is_empty());
    vault.index.epochs.get_mut(&2).unwrap().created = Timestamp::from_second(0).unwrap();
    assert_eq!(vault.unlock(&identities).verify().len(), 2);
}

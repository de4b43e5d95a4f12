//! Keys that come and go.

use std::fs;
use std::slice;

use wgfleet::model::{HostName, PrivateKey, PublicKey};
use wgfleet::vault::{KeyState, VaultError};

use crate::bench::{Bench, host, now};

#[test]
fn a_rotation_keeps_the_old_key_until_the_new_one_is_proven() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let name = host("a");
    let old = vault.index().current(&name).unwrap();
    assert_eq!(
        vault.begin_rotation(slice::from_ref(&name), &bench.identities, now()).unwrap(),
        slice::from_ref(&name)
    );
    assert!(
        vault.begin_rotation(slice::from_ref(&name), &bench.identities, now()).unwrap().is_empty()
    );
    let new = vault.index().next(&name).unwrap();
    assert_eq!(vault.index().current(&name), Some(old));
    let unlocked = vault.unlock(&bench.identities);
    assert_eq!(unlocked.private_key(&name).unwrap().public(), old);
    assert_eq!(unlocked.next_private_key(&name).unwrap().public(), new);

    assert_eq!(vault.promote(slice::from_ref(&name)).unwrap(), slice::from_ref(&name));
    assert!(vault.promote(slice::from_ref(&name)).unwrap().is_empty());
    assert_eq!(vault.index().current(&name), Some(new));
    assert_eq!(vault.index().owner(&old).unwrap().1.state, KeyState::Retired);
    assert!(vault.unlock(&bench.identities).verify().is_empty());

    assert_eq!(vault.retire(slice::from_ref(&name)).unwrap(), slice::from_ref(&name));
    assert!(vault.retire(slice::from_ref(&name)).unwrap().is_empty());
    assert!(vault.index().owner(&old).is_none());
    assert_eq!(fs::read_dir(bench.path("vault/keys")).unwrap().count(), 2);

    let error = vault.begin_rotation(&[host("unknown")], &bench.identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::NoKey { .. }));
    vault.begin_rotation(slice::from_ref(&name), &bench.identities, now()).unwrap();
    assert_eq!(vault.cancel_rotation(slice::from_ref(&name)).unwrap(), slice::from_ref(&name));
    assert_eq!(vault.index().current(&name), Some(new));
    assert_eq!(fs::read_dir(bench.path("vault/keys")).unwrap().count(), 2);
}

#[test]
fn an_import_overwrites_nothing() {
    let bench = Bench::new();
    let mut vault = bench.vault();
    let key = || PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
    assert!(vault.import(&host("c"), &key(), &bench.identities, now()).unwrap());
    assert!(!vault.import(&host("c"), &key(), &bench.identities, now()).unwrap());
    let error = vault.import(&host("d"), &key(), &bench.identities, now()).unwrap_err();
    assert!(matches!(error, VaultError::KeyTaken { .. }));
    let error = vault.import(
        &host("a"),
        &PrivateKey::from_random([5; 32].into()),
        &bench.identities,
        now(),
    );
    assert!(matches!(error.unwrap_err(), VaultError::HasKey { .. }));
    let opened = vault.unlock(&bench.identities).private_key(&host("c")).unwrap();
    assert_eq!(*opened.expose_base64(), *key().expose_base64());
}

#[test]
fn psks_differ_by_pair_and_agree_on_both_ends() {
    let bench = Bench::new();
    let vault = bench.vault();
    let key = |byte| PublicKey::from_bytes([byte; 32]);
    let unlocked = vault.unlock(&bench.identities);
    let psk = |one, other, epoch| {
        unlocked.pairwise_psk(&key(one), &key(other), epoch).map(|psk| psk.expose().to_owned())
    };
    assert_eq!(psk(1, 2, 1).unwrap(), psk(2, 1, 1).unwrap());
    assert_ne!(psk(1, 2, 1).unwrap(), psk(1, 3, 1).unwrap());
    assert!(matches!(psk(1, 2, 2).unwrap_err(), VaultError::NoEpoch { epoch: 2 }));
}

#[test]
fn every_key_of_a_thousand_hosts_opens() {
    let bench = Bench::new();
    let names: Vec<HostName> = (0..1000).map(|number| host(&format!("h{number}"))).collect();
    let mut vault = bench.vault();
    assert_eq!(vault.ensure_keys(&names, &bench.identities, now()).unwrap().len(), 1000);
    let wrong = vault.unlock(&bench.identities).verify();
    assert!(wrong.is_empty(), "{wrong:?}");
}

//! Every write step fails once: what remains is the old vault or the new one, it opens, and the
//! same operation run again ends as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::confirmed_tests::make_older;
use super::store::{Disk, Store};
use super::{
    Identities, Index, KeyState, Oddities, Recipient, Unattended, Vault, VaultError, identity,
};
use crate::model::{FleetName, HostName, PrivateKey};
use crate::sys::{FileError, Mode};

/// Where the machine stops: at its `step`-th write, before it or right after it.
#[derive(Debug)]
struct Dying {
    step: usize,
    after: bool,
    done: AtomicUsize,
}

impl Dying {
    fn write(
        &self,
        path: &Path,
        write: impl FnOnce() -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let step = self.done.fetch_add(1, Ordering::SeqCst);
        if step < self.step {
            return write();
        }
        if step == self.step && self.after {
            write()?;
        }
        let source = std::io::Error::other("the machine stops");
        Err(FileError::Write { path: path.to_owned(), source })
    }
}

impl Store for Dying {
    fn create(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
        self.write(path, || Disk.create(path, bytes, mode))
    }
    fn replace(&self, path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
        self.write(path, || Disk.replace(path, bytes, mode))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.write(to, || Disk.rename(from, to))
    }
    fn remove(&self, path: &Path) -> Result<(), FileError> {
        self.write(path, || Disk.remove(path))
    }
}

fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

fn names() -> [HostName; 3] {
    ["a", "b", "c"].map(|name| name.parse().unwrap())
}

fn fleet() -> FleetName {
    "acme".parse().unwrap()
}

fn identity(folder: &Path, name: &str) -> (Recipient, Identities) {
    let path = folder.join(name);
    let recipient = identity::create(&path, folder, None, now()).unwrap();
    (recipient, Identities::load(&[path], &Unattended).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// An index without what is random.
fn shape(index: &Index) -> (BTreeMap<String, Vec<KeyState>>, usize, bool, Vec<String>) {
    let keys = index.names().map(|name| {
        let states = index.generations(name).iter().map(|one| one.state).collect();
        (name.to_string(), states)
    });
    let own = index.fingerprint().is_some();
    (keys.collect(), index.epochs().len(), own, index.recipients().to_vec())
}

fn check_opens(vault: &Vault, identities: &Identities) {
    let unlocked = vault.unlock(identities);
    for name in vault.index().names() {
        unlocked.private_key(name).unwrap();
        if vault.index().next(name).is_some() {
            unlocked.next_private_key(name).unwrap();
        }
    }
    let wrong = unlocked.verify();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(vault.oddities().unwrap().missing.is_empty());
    if let Some(epoch) = vault.index().epoch() {
        let key = PrivateKey::from_random([1; 32].into()).public();
        unlocked.pairwise_psk(&key, &key, epoch).unwrap();
    }
}

type Operation = fn(&mut Vault, &Identities) -> Result<(), VaultError>;

/// Runs `operation` on copies of the vault that `prepare` makes, dying at every step.
fn survives(
    prepare: impl FnOnce(&mut Vault, &Identities),
    operation: Operation,
    recipients_after: Option<&dyn Fn(&Path)>,
    steps: usize,
) {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, identities) = identity(folder.path(), "identity");
    let master = folder.path().join("master");
    let mut vault = Vault::create(&master, &fleet(), &[recipient], now()).unwrap();
    prepare(&mut vault, &identities);
    if let Some(change) = recipients_after {
        change(&master);
    }
    let old = Vault::open(&master).unwrap().index().clone();

    let whole = folder.path().join("whole");
    copy(&master, &whole);
    let mut vault = Vault::open(&whole).unwrap();
    operation(&mut vault, &identities).unwrap();
    let new = shape(vault.index());

    let mut crashes = 0;
    for step in 0.. {
        let mut died = false;
        for after in [false, true] {
            let folder = folder.path().join(format!("{step}-{after}"));
            copy(&master, &folder);
            let store = Arc::new(Dying { step, after, done: AtomicUsize::new(0) });
            let mut vault = Vault::open_in(&folder, Arc::clone(&store) as _).unwrap();
            let result = operation(&mut vault, &identities);
            died |= store.done.load(Ordering::SeqCst) > step;
            assert!(died || result.is_ok());
            drop(vault);

            let mut vault = Vault::open(&folder).unwrap();
            assert!(
                *vault.index() == old || shape(vault.index()) == new,
                "step {step}, after {after}: neither the old index nor the new one"
            );
            check_opens(&vault, &identities);
            operation(&mut vault, &identities).unwrap();
            check_opens(&vault, &identities);
            assert!(vault.unlock(&identities).verify().is_empty(), "step {step}, after {after}");
            assert_eq!(vault.oddities().unwrap(), Oddities::default());
            let files = fs::read_dir(folder.join("keys")).unwrap().count();
            let keys = vault.index().names().map(|name| vault.index().generations(name).len());
            assert_eq!(files, keys.sum::<usize>());
        }
        if !died {
            break;
        }
        crashes += 1;
    }
    assert_eq!(crashes, steps, "the number of write steps");
}

fn with_keys(vault: &mut Vault, ids: &Identities) {
    vault.ensure_keys(&names(), ids, now()).unwrap();
}

fn with_next(vault: &mut Vault, ids: &Identities) {
    with_keys(vault, ids);
    vault.begin_rotation(&names(), ids, now()).unwrap();
}

fn with_retired(vault: &mut Vault, ids: &Identities) {
    with_next(vault, ids);
    vault.promote(&names()).unwrap();
}

/// Makes the vault one of version 0.1.0, whose fingerprints were keyed by the PSK material.
fn without_fingerprint(vault: &mut Vault, ids: &Identities) {
    with_keys(vault, ids);
    vault.index.fingerprint = None;
    fs::remove_file(vault.folder().join("fingerprint.age")).unwrap();
    fs::write(vault.folder().join("index.json"), vault.index.to_bytes()).unwrap();
    make_older(vault, ids);
    assert!(vault.index.to_bytes().starts_with(b"{\n  \"version\": 1,"));
}

// Three names: each key is written, the index is replaced, each key gets its own name.
#[test]
fn making_keys_survives_a_crash_at_every_step() {
    survives(|_, _| {}, |vault, ids| vault.ensure_keys(&names(), ids, now()).map(drop), None, 7);
}

#[test]
fn importing_survives_a_crash_at_every_step() {
    let import: Operation = |vault, ids| {
        let key = PrivateKey::from_random([9; 32].into());
        vault.import(&names()[0], &key, ids, now()).map(drop)
    };
    survives(|_, _| {}, import, None, 3);
}

#[test]
fn rotating_survives_a_crash_at_every_step() {
    survives(with_keys, |vault, ids| vault.begin_rotation(&names(), ids, now()).map(drop), None, 7);
    survives(with_next, |vault, _| vault.promote(&names()).map(drop), None, 1);
    survives(with_retired, |vault, _| vault.retire(&names()).map(drop), None, 7);
    survives(with_next, |vault, _| vault.cancel_rotation(&names()).map(drop), None, 7);
}

#[test]
fn a_rekey_survives_a_crash_at_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let (colleague, theirs) = identity(folder.path(), "colleague");
    let add = |folder: &Path| {
        let path = folder.join("recipients.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}# the colleague\n{colleague}\n")).unwrap();
    };
    // Three keys, one epoch, the fingerprint secret, the index.
    survives(with_keys, |vault, mine| vault.rekey(mine, now()).map(drop), Some(&add), 6);
    drop(theirs);
}

#[test]
fn an_old_vault_gets_its_fingerprint_secret_and_survives_a_crash_at_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, identities) = identity(folder.path(), "identity");
    let mut vault =
        Vault::create(&folder.path().join("vault"), &fleet(), &[recipient], now()).unwrap();
    without_fingerprint(&mut vault, &identities);
    let a = &names()[0];
    let key = |vault: &Vault| {
        let unlocked = vault.unlock(&identities);
        let id = unlocked.fingerprint_key_id().unwrap().to_owned();
        (*unlocked.fingerprint_key(a).unwrap().expose(), id)
    };
    let (old, old_id) = key(&vault);
    let epoch = vault.index().epochs()[&1].check.clone();
    assert_eq!(old_id, epoch, "its keys come from the PSK material, as they always did");
    vault.retire([a]).unwrap();
    assert_eq!(
        key(&Vault::open(vault.folder()).unwrap()).0,
        old,
        "what writes nothing adds nothing"
    );
    vault.ensure_keys([a], &identities, now()).unwrap();
    let vault = Vault::open(vault.folder()).unwrap();
    let (new, new_id) = key(&vault);
    assert!(new != old && new_id != old_id && new_id == vault.index().fingerprint().unwrap().check);
    assert!(vault.unlock(&identities).verify().is_empty());

    // Who is confirmed, the secret, the index, the secret's own name; and what each command does besides.
    survives(
        without_fingerprint,
        |vault, ids| vault.ensure_keys(&names(), ids, now()).map(drop),
        None,
        4,
    );
    let rotate: Operation = |vault, ids| vault.begin_rotation(&names(), ids, now()).map(drop);
    survives(without_fingerprint, rotate, None, 10);
    let rekey: Operation = |vault, mine| vault.rekey(mine, now()).map(drop);
    survives(without_fingerprint, rekey, None, 7);
    let import: Operation = |vault, ids| {
        let key = PrivateKey::from_random([9; 32].into());
        vault.import(&"d".parse().unwrap(), &key, ids, now()).map(drop)
    };
    survives(without_fingerprint, import, None, 6);
}

#[test]
fn making_a_vault_survives_a_crash_at_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, identities) = identity(folder.path(), "identity");
    for step in 0.. {
        let mut died = false;
        for after in [false, true] {
            let folder = folder.path().join(format!("{step}-{after}"));
            let store = Arc::new(Dying { step, after, done: AtomicUsize::new(0) });
            let wanted = [recipient.clone()];
            let _ = Vault::create_in(
                &folder,
                &fleet(),
                &wanted,
                now(),
                Arc::clone(&store) as _,
                Arc::new(Unattended),
            );
            died |= store.done.load(Ordering::SeqCst) > step;
            match Vault::create(&folder, &fleet(), &wanted, now()) {
                Ok(_) | Err(VaultError::Exists { .. }) => {}
                Err(error) => panic!("step {step}, after {after}: {error}"),
            }
            let vault = Vault::open(&folder).unwrap();
            check_opens(&vault, &identities);
            assert!(vault.unlock(&identities).verify().is_empty());
        }
        if !died {
            assert_eq!(step, 6, "recipients, epoch, fingerprint secret, index, the names of both");
            break;
        }
    }
}

#[test]
fn the_second_of_two_runs_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, ids) = identity(folder.path(), "identity");
    let path = folder.path().join("vault");
    let mut vault = Vault::create(&path, &fleet(), &[recipient], now()).unwrap();
    let lock = super::VaultLock::take(&path).unwrap();
    let error = vault.ensure_keys(&names(), &ids, now()).unwrap_err();
    assert!(matches!(error, VaultError::Locked { .. }), "{error}");
    drop(lock);
    assert_eq!(vault.ensure_keys(&names(), &ids, now()).unwrap().len(), 3);
    assert!(vault.ensure_keys(&names(), &ids, now()).unwrap().is_empty());
}

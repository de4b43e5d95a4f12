//! The vault: private keys and PSK material as small age files beside the inventory, in git.
//!
//! ```text
//! vault/recipients.txt                     who can open it; reviewed, `age -R` reads it
//! vault/index.json                         public keys, times, states; in clear, one entry a line
//! vault/keys/<host>.<16 hex digits>.age    one private key; the digits begin its public key
//! vault/psk/<epoch>.age                    the master secret of an epoch of pairwise PSKs
//! vault/psk/pairs-<number>.age             PSKs of pairs that had one before
//! vault/fingerprint.age                    the secret that keys the fingerprints in plans
//! ```
//!
//! A file of `keys` or `psk` is written once and never over another. Adding a key reads one secret,
//! that of the first epoch, which says to whom the vault may be encrypted. Whatever changes together changes in the index, whose replacement
//! is atomic: new files are first written under a pending name, then the index names them, then
//! they get their own name. A crash leaves the old index or the new one; pending files are read
//! where the index names them, and the next run renames or removes them. Only [`Vault::rekey`]
//! replaces files, by the same secrets for other recipients. `docs/vault.md` has the formats.

mod age_file;
mod derive;
mod error;
pub mod identity;
mod index;
mod keys;
mod layout;
mod pairs;
mod passphrase;
mod recipients;
mod secret;
mod secrets;
mod store;
mod unlocked;

#[cfg(test)]
mod confirmed_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod epoch_tests;
#[cfg(test)]
mod pairs_tests;

pub use age_file::{PluginFault, PluginPrompts, Recipient, RecipientError};
pub use error::VaultError;
pub use identity::Identities;
pub use index::{FingerprintEntry, Generation, Index, IndexError, KeyState, PairsEntry, PskEpoch};
pub use keys::TakenOver;
pub use passphrase::{Passphrase, PassphraseError, Unattended};
pub use recipients::RecipientChange;
pub use secret::Confirmation;
pub use unlocked::Unlocked;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::FleetName;
use crate::sys::{ConfinedError, FileError, Mode};
use layout::{Layout, pending, read, settled};
use recipients::Confirmed;
use store::{Disk, Store};

/// The most bytes the index may have: a million keys need less.
const INDEX_LIMIT: u64 = 1 << 28;
/// The most bytes a recipients file may have.
const RECIPIENTS_LIMIT: u64 = 1 << 20;

/// A vault without its secrets: the index and the recipients.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    index: Index,
    recipients: Vec<Recipient>,
    store: Arc<dyn Store>,
    /// How plugins that encrypt reach the user.
    prompts: Arc<dyn PluginPrompts>,
    newly_confirmed: bool,
}

/// What does not fit between the index and the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Files that the index names and that are not there.
    pub missing: Vec<PathBuf>,
    /// Files that the index does not name, as a merge of two branches can leave.
    pub unknown: Vec<PathBuf>,
}

/// Keeps other runs from writing while it lives.
#[derive(Debug)]
struct VaultLock {
    folder: File,
}

impl Drop for VaultLock {
    /// Closing alone would leave the lock to a child process that another thread has forked and
    /// that has not reached its exec yet.
    fn drop(&mut self) {
        let _ = self.folder.unlock();
    }
}

impl VaultLock {
    /// Locks the folder itself, so that no lock file lies in git.
    fn take(folder: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::Lock { path: folder.to_owned(), source };
        let file = File::open(folder).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { folder: file }),
            Err(TryLockError::WouldBlock) => Err(VaultError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Vault {
    /// Makes a vault with PSK material of epoch 1, a fingerprint secret and no keys. A recipients file that is already
    /// there is kept, and must name those of `recipients` and nobody else. An interrupted run is finished by
    /// the next.
    ///
    /// # Errors
    /// [`VaultError::Exists`], [`VaultError::IndexLost`], [`VaultError::RecipientMissing`],
    /// [`VaultError::Strangers`], [`VaultError::Locked`], or what writing failed of.
    pub fn create(
        folder: &Path,
        fleet: &FleetName,
        recipients: &[Recipient],
        now: Timestamp,
    ) -> Result<Self, VaultError> {
        Self::create_in(folder, fleet, recipients, now, Arc::new(Disk), Arc::new(Unattended))
    }

    /// Makes a vault as [`Self::create`] does, with somebody whom age plugins can ask.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_with(
        folder: &Path,
        fleet: &FleetName,
        recipients: &[Recipient],
        now: Timestamp,
        prompts: Arc<dyn PluginPrompts>,
    ) -> Result<Self, VaultError> {
        Self::create_in(folder, fleet, recipients, now, Arc::new(Disk), prompts)
    }

    fn create_in(
        folder: &Path,
        fleet: &FleetName,
        wanted: &[Recipient],
        now: Timestamp,
        store: Arc<dyn Store>,
        prompts: Arc<dyn PluginPrompts>,
    ) -> Result<Self, VaultError> {
        let layout = Layout(folder);
        if exists(folder)? {
            confine(folder)?;
        }
        for folder in [folder.to_owned(), layout.keys(), layout.psk()] {
            fs::create_dir_all(&folder)
                .map_err(|source| FileError::Write { path: folder, source })?;
        }
        let _lock = VaultLock::take(folder)?;
        if exists(&layout.index())? {
            return Err(VaultError::Exists { path: folder.to_owned() });
        }
        if holds_secrets(folder)? {
            return Err(VaultError::IndexLost { path: layout.index() });
        }
        let path = layout.recipients();
        if !exists(&path)? {
            if wanted.is_empty() {
                return Err(VaultError::NoRecipients { path });
            }
            store.create(&path, &recipients::render(wanted), Mode::Public)?;
        }
        let recipients = read_recipients(folder)?;
        if let Some(missing) = wanted.iter().find(|one| !recipients.contains(one)) {
            return Err(VaultError::RecipientMissing { path, recipient: missing.to_string() });
        }
        let strangers = recipients.iter().filter(|one| !wanted.contains(one));
        let strangers: Vec<String> = strangers.map(recipients::described).collect();
        if !strangers.is_empty() {
            return Err(VaultError::Strangers { path, strangers });
        }
        let index = Index::new(fleet.clone(), recipients::texts(&recipients));
        // Whoever makes the vault has named each of them.
        let confirmed = Confirmed::of(&recipients);
        let folder = folder.to_owned();
        let mut vault = Self { folder, index, recipients, store, prompts, newly_confirmed: false };
        vault.settle()?;
        vault.make_first_epoch(&confirmed, now)?;
        vault.ensure_fingerprint(&confirmed, now)?;
        vault.store.create(
            &Layout(&vault.folder).index(),
            &vault.index.to_bytes(),
            Mode::Public,
        )?;
        vault.settle_if_possible();
        Ok(vault)
    }

    /// Reads a vault's index and recipients; no identity is needed.
    ///
    /// # Errors
    /// [`VaultError::NoVault`], or what is wrong with either file.
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        Self::open_in(folder, Arc::new(Disk))
    }

    fn open_in(folder: &Path, store: Arc<dyn Store>) -> Result<Self, VaultError> {
        let layout = Layout(folder);
        if !exists(&layout.index())? {
            return Err(if holds_secrets(folder)? {
                VaultError::IndexLost { path: layout.index() }
            } else {
                VaultError::NoVault { path: folder.to_owned() }
            });
        }
        confine(folder)?;
        let index = read_index(folder)?;
        let recipients = read_recipients(folder)?;
        let prompts = Arc::new(Unattended);
        let folder = folder.to_owned();
        Ok(Self { folder, index, recipients, store, prompts, newly_confirmed: false })
    }

    /// Lets age plugins that encrypt ask somebody.
    #[must_use]
    pub fn with_prompts(self, prompts: Arc<dyn PluginPrompts>) -> Self {
        Self { prompts, ..self }
    }

    /// The vault's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The public index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Who can open what is written from now on.
    #[must_use]
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// What a rekey would change about who can open the vault, as far as the index says who can. Anyone
    /// can write that: [`Self::change_to_confirm`] asks the vault's own secrets.
    #[must_use]
    pub fn recipient_change(&self) -> RecipientChange {
        RecipientChange::between(&self.index.recipients, &self.recipients)
    }

    /// What a rekey would change: whom of `recipients.txt` no rekey has confirmed, and who is there no
    /// more. Where the vault does not say who was confirmed, nobody was.
    ///
    /// # Errors
    /// Why the file of the first epoch does not open; [`VaultError::NoEpoch`].
    pub fn change_to_confirm(
        &self,
        identities: &Identities,
    ) -> Result<RecipientChange, VaultError> {
        Ok(match self.unlock(identities).confirmed()? {
            Some(confirmed) => RecipientChange::between(&confirmed.recipients, &self.recipients),
            None => RecipientChange {
                added: self.recipients.clone(),
                removed: self.recipient_change().removed,
            },
        })
    }

    /// Whether this run took the recipients of a vault that did not say who was confirmed, as vaults of
    /// version 0.1.0 do not, for confirmed.
    #[must_use]
    pub fn newly_confirmed(&self) -> bool {
        self.newly_confirmed
    }

    /// Whether `recipients.txt` was changed since the last rekey.
    #[must_use]
    pub fn needs_rekey(&self) -> bool {
        !self.recipient_change().is_empty()
    }

    /// Adds identities to the vault. Nothing is decrypted before it is asked for.
    #[must_use]
    pub fn unlock(&self, identities: &Identities) -> Unlocked {
        Unlocked::new(
            self.folder.clone(),
            self.index.clone(),
            recipients::texts(&self.recipients),
            identities.clone(),
        )
    }

    /// Compares the index with the files that are there.
    ///
    /// # Errors
    /// [`VaultError::File`] where a folder cannot be read.
    pub fn oddities(&self) -> Result<Oddities, VaultError> {
        let layout = Layout(&self.folder);
        let mut present = BTreeSet::new();
        for folder in [layout.keys(), layout.psk()] {
            if exists(&folder)? {
                let files = list(&folder)?;
                present.extend(
                    files
                        .into_iter()
                        .filter(|path| !is_temporary(path))
                        .map(|path| settled(&path).unwrap_or(path)),
                );
            }
        }
        let fingerprint = layout.fingerprint();
        if exists(&fingerprint)? || exists(&pending(&fingerprint))? {
            present.insert(fingerprint);
        }
        let named = self.files();
        // A pending file that the index does not name is nothing yet.
        present.retain(|path| named.contains(path) || path.exists());
        Ok(Oddities {
            missing: named.difference(&present).cloned().collect(),
            unknown: present.difference(&named).cloned().collect(),
        })
    }

    /// The files that the index names.
    fn files(&self) -> BTreeSet<PathBuf> {
        let layout = Layout(&self.folder);
        let keys = self.index.keys.iter().flat_map(|(name, generations)| {
            generations.iter().map(move |one| layout.key(name, &one.public_key))
        });
        let epochs = self.index.epochs.keys().map(|epoch| layout.epoch(*epoch));
        let pairs = self.index.pairs.keys().map(|number| layout.pairs(*number));
        let fingerprint = self.index.fingerprint.as_ref().map(|_| layout.fingerprint());
        keys.chain(epochs).chain(pairs).chain(fingerprint).collect()
    }

    /// Runs a change under the lock, on the index as it is on disk now, and replaces the index
    /// where it changed.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let _lock = VaultLock::take(&self.folder)?;
        confine(&self.folder)?;
        self.index = read_index(&self.folder)?;
        self.recipients = read_recipients(&self.folder)?;
        self.settle()?;
        let before = self.index.clone();
        let result = change(self).and_then(|value| {
            if self.index != before {
                let path = Layout(&self.folder).index();
                self.store.replace(&path, &self.index.to_bytes(), Mode::Public)?;
                self.settle_if_possible();
            }
            Ok(value)
        });
        if result.is_err() {
            self.index = before;
        }
        result
    }

    /// Finishes what a run that died has begun: pending files that the index names get their own
    /// names, other pending and temporary files go. To be called under the lock.
    fn settle(&self) -> Result<(), VaultError> {
        let layout = Layout(&self.folder);
        let named = self.files();
        for folder in [self.folder.clone(), layout.keys(), layout.psk()] {
            // git does not keep empty folders.
            fs::create_dir_all(&folder)
                .map_err(|source| FileError::Write { path: folder.clone(), source })?;
            for path in list(&folder)? {
                match settled(&path) {
                    Some(own) if named.contains(&own) && !exists(&own)? => {
                        self.store.rename(&path, &own)?;
                    }
                    Some(_) => self.store.remove(&path)?,
                    None if is_temporary(&path) => self.store.remove(&path)?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Settles after a change. The change is made already: what fails here is done by the next run.
    fn settle_if_possible(&self) {
        if let Err(error) = self.settle() {
            tracing::debug!(%error, "pending files stay");
        }
    }
}

/// Whether it is the temporary file of a write that has not ended.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".wgfleet-"))
}

fn read_index(folder: &Path) -> Result<Index, VaultError> {
    let path = Layout(folder).index();
    let bytes = read(folder, &path, INDEX_LIMIT)?;
    Index::parse(&bytes).map_err(|source| VaultError::Index { path, source })
}

fn read_recipients(folder: &Path) -> Result<Vec<Recipient>, VaultError> {
    let path = Layout(folder).recipients();
    if !exists(&path)? {
        return Err(VaultError::Missing { path });
    }
    recipients::parse(&path, &read(folder, &path, RECIPIENTS_LIMIT)?)
}

/// Checks that the vault lies in the fleet's folder, and its folders in it: files are written to them
/// and removed from them.
fn confine(folder: &Path) -> Result<(), ConfinedError> {
    let home = match folder.parent() {
        Some(home) if !home.as_os_str().is_empty() => home,
        _ => Path::new("."),
    };
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
    };
    let layout = Layout(folder);
    let own = real(folder)?;
    let pairs =
        [(folder.to_owned(), real(home)?), (layout.keys(), own.clone()), (layout.psk(), own)];
    for (path, above) in pairs {
        if exists(&path)? && !real(&path)?.starts_with(above) {
            return Err(ConfinedError::Outside { path });
        }
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool, FileError> {
    path.try_exists().map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Whether there are files of secrets, other than what a run that died may have left.
fn holds_secrets(folder: &Path) -> Result<bool, FileError> {
    let layout = Layout(folder);
    for folder in [layout.keys(), layout.psk()] {
        let files = if exists(&folder)? { list(&folder)? } else { Vec::new() };
        if files.iter().any(|path| settled(path).is_none() && !is_temporary(path)) {
            return Ok(true);
        }
    }
    exists(&layout.fingerprint())
}

/// The files of a folder, without its folders.
fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                files.push(entry.path());
            }
        }
        Ok(files)
    };
    read().map_err(|source| FileError::Read { path: folder.to_owned(), source })
}

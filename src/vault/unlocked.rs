//! A vault with identities: what opens its files.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::age_file::{self, OpenProblem};
use super::secret::FingerprintSecret;
use super::{Identities, Index, Layout, PskEpoch, VaultError, derive, pending, read, secret};
use crate::model::{FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey};
use crate::sys::{ConfinedError, FileError};

/// The most bytes a file of the vault may have; with a thousand recipients it needs less.
const FILE_LIMIT: u64 = 1 << 20;

/// A file with what it holds, zeroed on drop.
type Plaintext = (PathBuf, Zeroizing<Vec<u8>>);

/// A vault's index together with identities that open its files, one file at a time.
///
/// It is a view of the vault as it was when it was unlocked.
pub struct Unlocked {
    folder: PathBuf,
    index: Index,
    recipients: Vec<String>,
    identities: Identities,
    /// A thousand-host mesh asks half a million times for the same master.
    masters: RwLock<BTreeMap<u32, Arc<PresharedKey>>>,
    fingerprint: RwLock<Option<Arc<FingerprintSecret>>>,
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlocked")
            .field("folder", &self.folder)
            .field("identities", &self.identities)
            .finish_non_exhaustive()
    }
}

impl Unlocked {
    pub(super) fn new(
        folder: PathBuf,
        index: Index,
        recipients: Vec<String>,
        identities: Identities,
    ) -> Self {
        Self {
            folder,
            index,
            recipients,
            identities,
            masters: RwLock::default(),
            fingerprint: RwLock::default(),
        }
    }

    /// The public index as it was when the vault was unlocked.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The key that the host uses.
    ///
    /// # Errors
    /// [`VaultError::NoKey`], or why its file does not open.
    pub fn private_key(&self, name: &HostName) -> Result<PrivateKey, VaultError> {
        let public = self.index.current(name);
        let public = public.ok_or_else(|| VaultError::NoKey { name: name.clone() })?;
        self.read_key(name, &public)
    }

    /// The key that the host gets with the rotation under way.
    ///
    /// # Errors
    /// [`VaultError::NoNextKey`], or why its file does not open.
    pub fn next_private_key(&self, name: &HostName) -> Result<PrivateKey, VaultError> {
        let public = self.index.next(name);
        let public = public.ok_or_else(|| VaultError::NoNextKey { name: name.clone() })?;
        self.read_key(name, &public)
    }

    /// The PSK of two peers in an epoch: the same whichever comes first.
    ///
    /// # Errors
    /// [`VaultError::NoEpoch`], or why the epoch's file does not open.
    pub fn pairwise_psk(
        &self,
        one: &PublicKey,
        other: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, VaultError> {
        Ok(derive::pairwise(&*self.master(epoch)?, one, other, epoch))
    }

    /// The key for digests of the host's files.
    ///
    /// # Errors
    /// Why the file of the fingerprint secret does not open; [`VaultError::NoEpoch`] in a vault with
    /// neither that nor PSK material.
    pub fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, VaultError> {
        Ok(derive::fingerprint(&*self.fingerprint_secret()?, name))
    }

    /// The public mark of what [`Self::fingerprint_key`] derives from: fingerprints that were made
    /// under different marks cannot be compared. 16 hex digits; none in a vault without secrets.
    #[must_use]
    pub fn fingerprint_key_id(&self) -> Option<&str> {
        self.index.fingerprint_key_id()
    }

    /// Opens every file that the index names, and gives all that is wrong.
    #[must_use]
    pub fn verify(&self) -> Vec<VaultError> {
        let keys = self
            .keys()
            .par_iter()
            .filter_map(|(name, public)| self.read_key(name, public).err())
            .collect::<Vec<_>>();
        let epochs = self.index.epochs().keys().filter_map(|epoch| self.master(*epoch).err());
        let fingerprint = self.index.fingerprint().and_then(|_| self.fingerprint_secret().err());
        keys.into_iter().chain(epochs).chain(fingerprint).collect()
    }

    /// Every file with its plaintext, checked against the index.
    pub(super) fn plaintexts(&self) -> Result<Vec<Plaintext>, VaultError> {
        let layout = Layout(&self.folder);
        let mut all = self
            .keys()
            .par_iter()
            .map(|(name, public)| {
                let path = layout.key(name, public);
                let plain = self.open(&path)?;
                secret::decode_key(&path, &plain, name, public)?;
                Ok((path, plain))
            })
            .collect::<Result<Vec<_>, VaultError>>()?;
        for epoch in self.index.epochs().keys() {
            self.master(*epoch)?;
            let path = layout.epoch(*epoch);
            let plain = self.open(&path)?;
            all.push((path, plain));
        }
        if self.index.fingerprint().is_some() {
            self.fingerprint_secret()?;
            let path = layout.fingerprint();
            let plain = self.open(&path)?;
            all.push((path, plain));
        }
        Ok(all)
    }

    /// All keys of the index.
    fn keys(&self) -> Vec<(&HostName, PublicKey)> {
        let keys = self.index.keys.iter();
        keys.flat_map(|(name, all)| all.iter().map(move |one| (name, one.public_key))).collect()
    }

    pub(super) fn read_key(
        &self,
        name: &HostName,
        public: &PublicKey,
    ) -> Result<PrivateKey, VaultError> {
        let path = Layout(&self.folder).key(name, public);
        let plain = self.open(&path)?;
        secret::decode_key(&path, &plain, name, public)
    }

    /// The master of an epoch. Each epoch is opened once, and believed only where the one before it
    /// vouches for it.
    fn master(&self, epoch: u32) -> Result<Arc<PresharedKey>, VaultError> {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(master) = masters.get(&epoch) {
            return Ok(Arc::clone(master));
        }
        drop(masters);
        if !self.index.epochs().contains_key(&epoch) {
            return Err(VaultError::NoEpoch { epoch });
        }
        // Whoever comes second waits here, and finds what the first has opened.
        let mut masters = self.masters.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: Option<Arc<PresharedKey>> = None;
        for (number, known) in self.index.epochs().range(..=epoch) {
            let master = match masters.get(number) {
                Some(master) => Arc::clone(master),
                None => Arc::new(self.open_epoch(*number, known, before.as_deref())?),
            };
            masters.insert(*number, Arc::clone(&master));
            before = Some(master);
        }
        before.ok_or(VaultError::NoEpoch { epoch })
    }

    fn open_epoch(
        &self,
        epoch: u32,
        known: &PskEpoch,
        before: Option<&PresharedKey>,
    ) -> Result<PresharedKey, VaultError> {
        let path = Layout(&self.folder).epoch(epoch);
        let master = secret::decode_psk(&path, &self.open(&path)?, epoch)?;
        if derive::check(master.expose()) != known.check {
            return Err(VaultError::Mismatch { path, what: "PSK material" });
        }
        let mac = before.map(|before| derive::epoch_mac(before, epoch, known.created, &master));
        if mac != known.mac {
            return Err(VaultError::EpochForged { path, epoch });
        }
        Ok(master)
    }

    fn fingerprint_secret(&self) -> Result<Arc<FingerprintSecret>, VaultError> {
        let held = self.fingerprint.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*held {
            return Ok(Arc::clone(secret));
        }
        drop(held);
        let mut held = self.fingerprint.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*held {
            return Ok(Arc::clone(secret));
        }
        let secret = match self.index.fingerprint() {
            None => {
                let epoch = self.index.epoch().ok_or(VaultError::NoEpoch { epoch: 1 })?;
                derive::of_epoch(&*self.master(epoch)?)
            }
            Some(known) => {
                let path = Layout(&self.folder).fingerprint();
                let plain = self.open(&path)?;
                let secret = secret::decode_fingerprint(&path, &plain, self.index.fleet())?;
                if derive::check(secret.expose()) != known.check {
                    return Err(VaultError::Mismatch { path, what: "fingerprint secret" });
                }
                secret
            }
        };
        let secret = Arc::new(secret);
        *held = Some(Arc::clone(&secret));
        Ok(secret)
    }

    fn open(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        // A run may be about to rename the file, or have died before: its own name, the pending
        // one, and once more its own, if it was renamed between the two.
        let pending = pending(path);
        let bytes = [path, &pending, path]
            .into_iter()
            .find_map(|path| match read(&self.folder, path, FILE_LIMIT) {
                Err(ConfinedError::File(FileError::Read { source, .. }))
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    None
                }
                result => Some(result),
            })
            .ok_or_else(|| VaultError::Missing { path: path.to_owned() })??;
        age_file::open(&bytes, &self.identities.0).map_err(|problem| match problem {
            OpenProblem::NoMatch => VaultError::WrongIdentity {
                path: path.to_owned(),
                tried: self.identities.names(),
                recipients: self.recipients.clone(),
            },
            OpenProblem::Damaged(why) => VaultError::Damaged { path: path.to_owned(), why },
            OpenProblem::Plugin { program, fault } => {
                VaultError::Plugin { path: path.to_owned(), program, fault }
            }
            OpenProblem::Newer => VaultError::Newer {
                path: path.to_owned(),
                found: "of another age".to_owned(),
                known: 1,
            },
        })
    }
}

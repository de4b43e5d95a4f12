//! A vault with identities: what opens its files.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::age_file::{self, OpenProblem};
use super::index::PairsEntry;
use super::layout::{Layout, pending, read};
use super::pairs::{self, Keys};
use super::secret::{Confirmation, Epoch, FingerprintSecret};
use super::{Identities, Index, PskEpoch, VaultError, derive, secret};
use crate::model::{FingerprintKey, HostName, PlanKey, PresharedKey, PrivateKey, PublicKey};
use crate::sys::{ConfinedError, FileError};

/// The most bytes a file of the vault may have; with a thousand recipients it needs less.
const FILE_LIMIT: u64 = 1 << 20;

/// A file with what it holds, zeroed on drop.
type Plaintext = (PathBuf, Zeroizing<String>);

/// A vault's index together with identities that open its files, one file at a time.
///
/// It is a view of the vault as it was when it was unlocked.
pub struct Unlocked {
    folder: PathBuf,
    index: Index,
    recipients: Vec<String>,
    identities: Identities,
    /// A thousand-host mesh asks half a million times for the same master.
    epochs: RwLock<BTreeMap<u32, Arc<Epoch>>>,
    fingerprint: RwLock<Option<Arc<FingerprintSecret>>>,
    /// Keys of pairs, by epoch.
    pairs: RwLock<Option<Arc<BTreeMap<u32, Keys>>>>,
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
            epochs: RwLock::default(),
            fingerprint: RwLock::default(),
            pairs: RwLock::default(),
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
        let kept = self.pairs()?;
        let kept = kept.get(&epoch).and_then(|keys| keys.get(&pairs::pair(one, other)));
        if let Some(key) = kept {
            return Ok(PresharedKey::from_bytes(Zeroizing::new(*key.expose())));
        }
        Ok(derive::pairwise(&self.epoch(epoch)?.master, one, other, epoch))
    }

    /// The keys of pairs that came from elsewhere, by epoch; their files are opened once.
    pub(super) fn pairs(&self) -> Result<Arc<BTreeMap<u32, Keys>>, VaultError> {
        let known = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(Arc::clone(known));
        }
        drop(known);
        let mut all: BTreeMap<u32, Keys> = BTreeMap::new();
        for (number, entry) in self.index.pairs() {
            // An earlier file keeps what it says.
            let keys = all.entry(entry.epoch).or_default();
            for (pair, key) in self.open_pairs(*number, entry)? {
                keys.entry(pair).or_insert(key);
            }
        }
        let all = Arc::new(all);
        *self.pairs.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&all));
        Ok(all)
    }

    fn open_pairs(&self, number: u32, known: &PairsEntry) -> Result<Keys, VaultError> {
        let path = Layout(&self.folder).pairs(number);
        let plain = self.open(&path)?;
        let master = &self.epoch(known.epoch)?.master;
        let mac = derive::pairs_mac(master, known.epoch, number, known.created, &plain);
        if mac != known.mac {
            return Err(VaultError::Mismatch { path, what: "list of preshared keys" });
        }
        pairs::decode(&path, &plain, number)
    }

    /// What only whoever has the master of an epoch can say of a file of keys of pairs.
    pub(super) fn pairs_mac(
        &self,
        epoch: u32,
        number: u32,
        created: jiff::Timestamp,
        plain: &[u8],
    ) -> Result<crate::model::Fingerprint, VaultError> {
        Ok(derive::pairs_mac(&self.epoch(epoch)?.master, epoch, number, created, plain))
    }

    /// The key for digests of the host's files.
    ///
    /// # Errors
    /// Why the file of the fingerprint secret does not open; [`VaultError::NoEpoch`] in a vault with
    /// neither that nor PSK material.
    pub fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, VaultError> {
        Ok(derive::fingerprint(&*self.fingerprint_secret()?, name))
    }

    /// The key of the MACs of saved plans.
    ///
    /// # Errors
    /// Those of [`Self::fingerprint_key`].
    pub fn plan_key(&self) -> Result<PlanKey, VaultError> {
        Ok(derive::plan(&*self.fingerprint_secret()?))
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
        let epochs = self.index.epochs().keys().filter_map(|epoch| self.epoch(*epoch).err());
        let fingerprint = self.index.fingerprint().and_then(|_| self.fingerprint_secret().err());
        let pairs = self.index.pairs().iter();
        let pairs = pairs.filter_map(|(number, entry)| self.open_pairs(*number, entry).err());
        let wrong = keys.into_iter().chain(epochs).chain(fingerprint).chain(pairs);
        let wrong: Vec<VaultError> = wrong.collect();
        if wrong.is_empty() { self.check_recipients().err().into_iter().collect() } else { wrong }
    }

    /// Every file with the plaintext that it is to have once these recipients are confirmed. What is
    /// there is checked against the index.
    pub(super) fn plaintexts(
        &self,
        confirmed: &Confirmation,
    ) -> Result<Vec<Plaintext>, VaultError> {
        let layout = Layout(&self.folder);
        let mut all = self
            .keys()
            .par_iter()
            .map(|(name, public)| {
                let path = layout.key(name, public);
                let key = secret::decode_key(&path, &self.open(&path)?, name, public)?;
                Ok((path, secret::encode_key(name, &key)))
            })
            .collect::<Result<Vec<_>, VaultError>>()?;
        for epoch in self.index.epochs().keys() {
            let confirmed = Some(confirmed).filter(|_| Some(*epoch) == self.index.first_epoch());
            let plain = secret::encode_psk(*epoch, &self.epoch(*epoch)?.master, confirmed);
            all.push((layout.epoch(*epoch), plain));
        }
        for (number, entry) in self.index.pairs() {
            let plain = pairs::encode(*number, self.open_pairs(*number, entry)?.iter());
            all.push((layout.pairs(*number), plain));
        }
        if self.index.fingerprint().is_some() {
            let plain =
                secret::encode_fingerprint(self.index.fleet(), &*self.fingerprint_secret()?);
            all.push((layout.fingerprint(), plain));
        }
        Ok(all)
    }

    /// The recipients that the last rekey confirmed, as the vault's own secrets have them, and not a
    /// file that anyone can write; none in a vault of a version that did not say.
    ///
    /// # Errors
    /// Why the file of the first epoch does not open; [`VaultError::NoEpoch`].
    pub fn confirmed(&self) -> Result<Option<Confirmation>, VaultError> {
        let epoch = self.index.first_epoch().ok_or(VaultError::NoEpoch { epoch: 1 })?;
        let confirmed = self.epoch(epoch)?.confirmed.clone();
        if confirmed.as_ref().is_some_and(|confirmed| confirmed.recipients.is_empty()) {
            let path = Layout(&self.folder).epoch(epoch);
            return Err(VaultError::Damaged { path, why: "it names no confirmed recipient" });
        }
        Ok(confirmed)
    }

    /// A file that was made in a vault that says who was confirmed. Where the vault does not say so,
    /// an older file was put in the place of the one that did.
    pub(super) fn made_since_confirmed(&self) -> Result<Option<PathBuf>, VaultError> {
        let layout = Layout(&self.folder);
        let fingerprint = self.index.fingerprint().map(|_| layout.fingerprint());
        let epochs = self.index.epochs().keys().map(|epoch| layout.epoch(*epoch));
        let keys = self.keys().into_iter().map(|(name, public)| layout.key(name, &public));
        let pairs = self.index.pairs().keys().map(|number| layout.pairs(*number));
        let files = fingerprint.into_iter().chain(epochs).chain(pairs).chain(keys);
        let files: Vec<PathBuf> = files.collect();
        let made = |path: PathBuf| -> Result<Option<PathBuf>, VaultError> {
            let since = secret::of_confirmed(&self.open(&path)?);
            Ok(since.then_some(path))
        };
        let made = files.into_par_iter().map(made).collect::<Result<Vec<_>, VaultError>>()?;
        Ok(made.into_iter().flatten().next())
    }

    /// Whether both lists that anyone can write name somebody whom no rekey has confirmed.
    fn check_recipients(&self) -> Result<(), VaultError> {
        let Some(confirmed) = self.confirmed()? else {
            return match self.made_since_confirmed()? {
                Some(made) => Err(self.stripped(made)),
                None => Ok(()),
            };
        };
        let forged: Vec<String> = self
            .recipients
            .iter()
            .filter(|one| {
                self.index.recipients().contains(one) && !confirmed.recipients.contains(one)
            })
            .map(|one| format!("+ {one}"))
            .collect();
        if forged.is_empty() {
            return Ok(());
        }
        Err(VaultError::RecipientsForged { path: Layout(&self.folder).index(), difference: forged })
    }

    /// These recipients, confirmed after all that were before.
    pub(super) fn next_confirmation(
        &self,
        recipients: Vec<String>,
    ) -> Result<Confirmation, VaultError> {
        let count = self.confirmed()?.map_or(0, |confirmed| confirmed.count).saturating_add(1);
        Ok(Confirmation { count, recipients })
    }

    /// The file of the first epoch, and the plaintext that confirms these recipients.
    pub(super) fn confirming(&self, confirmed: &Confirmation) -> Result<Plaintext, VaultError> {
        let epoch = self.index.first_epoch().ok_or(VaultError::NoEpoch { epoch: 1 })?;
        let plain = secret::encode_psk(epoch, &self.epoch(epoch)?.master, Some(confirmed));
        Ok((Layout(&self.folder).epoch(epoch), plain))
    }

    pub(super) fn stripped(&self, made: PathBuf) -> VaultError {
        let path = Layout(&self.folder).epoch(self.index.first_epoch().unwrap_or(1));
        VaultError::ConfirmationLost { path, made }
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

    /// The secrets of an epoch. Each epoch is opened once, and believed only where the one before it
    /// vouches for it.
    fn epoch(&self, epoch: u32) -> Result<Arc<Epoch>, VaultError> {
        let known = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.get(&epoch) {
            return Ok(Arc::clone(opened));
        }
        drop(known);
        if !self.index.epochs().contains_key(&epoch) {
            return Err(VaultError::NoEpoch { epoch });
        }
        // Whoever comes second waits here, and finds what the first has opened.
        let mut known = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: Option<Arc<Epoch>> = None;
        for (number, entry) in self.index.epochs().range(..=epoch) {
            let opened = match known.get(number) {
                Some(opened) => Arc::clone(opened),
                None => Arc::new(self.open_epoch(*number, entry, before.as_deref())?),
            };
            known.insert(*number, Arc::clone(&opened));
            before = Some(opened);
        }
        before.ok_or(VaultError::NoEpoch { epoch })
    }

    fn open_epoch(
        &self,
        epoch: u32,
        known: &PskEpoch,
        before: Option<&Epoch>,
    ) -> Result<Epoch, VaultError> {
        let path = Layout(&self.folder).epoch(epoch);
        let opened = secret::decode_psk(&path, &self.open(&path)?, epoch)?;
        if derive::check(opened.master.expose()) != known.check {
            return Err(VaultError::Mismatch { path, what: "PSK material" });
        }
        let mac = before
            .map(|before| derive::epoch_mac(&before.master, epoch, known.created, &opened.master));
        if mac != known.mac {
            return Err(VaultError::EpochForged { path, epoch });
        }
        Ok(opened)
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
                derive::of_epoch(&self.epoch(epoch)?.master)
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

//! How keys come and go: made, rotated, retired, imported; the fleet's own secrets; rekeying.
//!
//! Every operation can be run again after a crash, and does what is left to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::age_file::SealProblem;
use super::index::PairsEntry;
use super::index::whole_seconds;
use super::pairs::{self, Keys, Pair};
use super::recipients::{Confirmed, RecipientChange};
use super::secret::{Confirmation, FingerprintSecret};
use super::{
    FingerprintEntry, Generation, Identities, KeyState, Layout, PskEpoch, Unlocked, Vault,
    VaultError, age_file, derive, pending, recipients, secret,
};
use crate::model::{HostName, PresharedKey, PrivateKey, PublicKey};
use crate::sys::{FileError, Mode};

fn random() -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| VaultError::Random { why: error.to_string() })?;
    Ok(bytes)
}

/// What a vault has taken over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakenOver {
    /// The hosts whose keys are new.
    pub keys: Vec<HostName>,
    /// How many preshared keys are new.
    pub pairs: usize,
}

impl Vault {
    /// Makes a key for every name that has none, and says for which. The identities open what says who
    /// was confirmed, where there is something to make.
    ///
    /// # Errors
    /// [`VaultError`]; no key that was there is touched, and the index names only whole files.
    pub fn ensure_keys<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
        identities: &Identities,
        now: Timestamp,
    ) -> Result<Vec<HostName>, VaultError> {
        let names: BTreeSet<&HostName> = names.into_iter().collect();
        self.change(|vault| {
            let missing: Vec<HostName> = names
                .into_iter()
                .filter(|name| vault.index.current(name).is_none())
                .cloned()
                .collect();
            vault.make_keys(&missing, KeyState::Current, identities, now)?;
            Ok(missing)
        })
    }

    /// Makes a next key for every name that has none under way, and says for which; the current
    /// keys stay. The identities are used as in [`Self::ensure_keys`].
    ///
    /// # Errors
    /// [`VaultError::NoKey`] for a name without a current key, or what writing failed of.
    pub fn begin_rotation<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
        identities: &Identities,
        now: Timestamp,
    ) -> Result<Vec<HostName>, VaultError> {
        let names: BTreeSet<&HostName> = names.into_iter().collect();
        self.change(|vault| {
            if let Some(name) = names.iter().find(|name| vault.index.current(name).is_none()) {
                return Err(VaultError::NoKey { name: (*name).clone() });
            }
            let missing: Vec<HostName> = names
                .into_iter()
                .filter(|name| vault.index.next(name).is_none())
                .cloned()
                .collect();
            vault.make_keys(&missing, KeyState::Next, identities, now)?;
            Ok(missing)
        })
    }

    /// Makes the next key of every name its current one, and the current one retired; says for
    /// which. A name without a next key is left as it is.
    ///
    /// # Errors
    /// [`VaultError`] where the index cannot be written; it is then the old one.
    pub fn promote<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<Vec<HostName>, VaultError> {
        let names: BTreeSet<&HostName> = names.into_iter().collect();
        self.change(|vault| {
            let ready: Vec<HostName> = names
                .into_iter()
                .filter(|name| vault.index.next(name).is_some())
                .cloned()
                .collect();
            for name in &ready {
                let generations = vault.index.keys.remove(name).unwrap_or_default();
                for mut one in generations {
                    one.state = match one.state {
                        KeyState::Next => KeyState::Current,
                        KeyState::Current | KeyState::Retired => KeyState::Retired,
                    };
                    vault.index.add(name.clone(), one);
                }
            }
            Ok(ready)
        })
    }

    /// Forgets the retired keys of every name for good; says for which. To be called when the
    /// successors are proven.
    ///
    /// # Errors
    /// [`VaultError`] where the index cannot be written; it is then the old one.
    pub fn retire<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<Vec<HostName>, VaultError> {
        self.drop_keys(names, KeyState::Retired)
    }

    /// Forgets the next keys of every name: the rotation is given up. Says for which.
    ///
    /// # Errors
    /// [`VaultError`] where the index cannot be written; it is then the old one.
    pub fn cancel_rotation<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<Vec<HostName>, VaultError> {
        self.drop_keys(names, KeyState::Next)
    }

    /// Forgets every key of every name for good, those in use too; says for which. To be called for
    /// peers that left, or that keep their private key to themselves.
    ///
    /// # Errors
    /// [`VaultError`] where the index cannot be written; it is then the old one.
    pub fn forget<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<Vec<HostName>, VaultError> {
        self.drop_where(names, |_| true)
    }

    /// Gives the keys of each former name to the name that is there now, and says for which; a name that has
    /// keys of its own keeps them. The identities open the keys, which carry the name.
    ///
    /// # Errors
    /// Why a key does not open, or what writing failed of; the index names only whole files.
    pub fn rename(
        &mut self,
        moved: &[(HostName, HostName)],
        identities: &Identities,
        now: Timestamp,
    ) -> Result<Vec<(HostName, HostName)>, VaultError> {
        self.change(|vault| {
            let mut renamed = Vec::new();
            for (old, new) in moved {
                if !vault.index.generations(new).is_empty() {
                    continue;
                }
                let generations = vault.index.generations(old).to_vec();
                if generations.is_empty() {
                    continue;
                }
                let confirmed = vault.confirmed(identities)?;
                vault.ensure_fingerprint(&confirmed, now)?;
                let unlocked = vault.unlock(identities);
                for one in &generations {
                    let key = unlocked.read_key(old, &one.public_key)?;
                    let (path, sealed) = vault.seal_key(&confirmed, new, &key)?;
                    vault.put(&path, &sealed)?;
                }
                let layout = Layout(&vault.folder);
                for path in generations.iter().map(|one| layout.key(old, &one.public_key)) {
                    if super::exists(&path)? {
                        vault.store.rename(&path, &pending(&path))?;
                    }
                }
                vault.index.keys.remove(old);
                for one in generations {
                    vault.index.add(new.clone(), one);
                }
                renamed.push((old.clone(), new.clone()));
            }
            Ok(renamed)
        })
    }

    /// Takes over the key that a host already has; says whether the vault did not have it yet. The
    /// identities are used as in [`Self::ensure_keys`].
    ///
    /// # Errors
    /// [`VaultError::HasKey`] where the host has another, [`VaultError::KeyTaken`] where another
    /// host has this one.
    pub fn import(
        &mut self,
        name: &HostName,
        key: &PrivateKey,
        identities: &Identities,
        now: Timestamp,
    ) -> Result<bool, VaultError> {
        let public_key = key.public();
        self.change(|vault| {
            if let Some((owner, one)) = vault.index.owner(&public_key) {
                return match one.state {
                    KeyState::Current if owner == name => Ok(false),
                    _ if owner == name => Err(VaultError::HasKey { name: name.clone() }),
                    _ => Err(VaultError::KeyTaken { name: name.clone(), owner: owner.clone() }),
                };
            }
            if vault.index.current(name).is_some() {
                return Err(VaultError::HasKey { name: name.clone() });
            }
            let confirmed = vault.confirmed(identities)?;
            vault.ensure_fingerprint(&confirmed, now)?;
            let (path, sealed) = vault.seal_key(&confirmed, name, key)?;
            vault.put(&path, &sealed)?;
            let one =
                Generation { public_key, created: whole_seconds(now), state: KeyState::Current };
            vault.index.add(name.clone(), one);
            Ok(true)
        })
    }

    /// Takes over the keys that hosts have, and the preshared keys that pairs have, in one step; what the
    /// vault has already stays. The identities are used as in [`Self::ensure_keys`].
    ///
    /// # Errors
    /// Those of [`Self::import`]; nothing was taken then.
    pub fn take_over(
        &mut self,
        keys: &[(HostName, PrivateKey)],
        shared: Vec<((PublicKey, PublicKey), PresharedKey)>,
        identities: &Identities,
        now: Timestamp,
    ) -> Result<TakenOver, VaultError> {
        self.change(|vault| {
            let mut taken = TakenOver::default();
            let mut new = Vec::new();
            for (name, key) in keys {
                let public_key = key.public();
                match vault.index.owner(&public_key) {
                    Some((owner, one)) if owner == name && one.state == KeyState::Current => {}
                    Some((owner, _)) if owner != name => {
                        let (name, owner) = (name.clone(), owner.clone());
                        return Err(VaultError::KeyTaken { name, owner });
                    }
                    None if vault.index.current(name).is_none() => {
                        new.push((name, key, public_key));
                    }
                    _ => return Err(VaultError::HasKey { name: name.clone() }),
                }
            }
            let unlocked = vault.unlock(identities);
            let epoch = vault.index.epoch().ok_or(VaultError::NoEpoch { epoch: 1 })?;
            let known = unlocked.pairs()?;
            let known = |pair: &Pair| known.get(&epoch).is_some_and(|keys| keys.contains_key(pair));
            let shared = shared.into_iter().map(|((a, b), key)| (pairs::pair(&a, &b), key));
            let shared: Keys = shared.filter(|(pair, _)| !known(pair)).collect();
            if new.is_empty() && shared.is_empty() {
                return Ok(taken);
            }
            let confirmed = vault.confirmed(identities)?;
            vault.ensure_fingerprint(&confirmed, now)?;
            for (name, key, public_key) in new {
                let (path, sealed) = vault.seal_key(&confirmed, name, key)?;
                vault.put(&path, &sealed)?;
                let created = whole_seconds(now);
                let one = Generation { public_key, created, state: KeyState::Current };
                vault.index.add(name.clone(), one);
                taken.keys.push(name.clone());
            }
            let shared: Vec<(Pair, PresharedKey)> = shared.into_iter().collect();
            for some in shared.chunks(pairs::MOST) {
                let last = vault.index.pairs.last_key_value().map_or(0, |(number, _)| *number);
                let (number, created) = (last + 1, whole_seconds(now));
                let plain = pairs::encode(number, some.iter().map(|(pair, key)| (pair, key)));
                let mac = unlocked.pairs_mac(epoch, number, created, plain.as_bytes())?;
                let path = Layout(&vault.folder).pairs(number);
                let sealed = vault.seal(&confirmed, &path, plain.as_bytes())?;
                vault.put(&path, &sealed)?;
                vault.index.pairs.insert(number, PairsEntry { epoch, created, mac });
            }
            taken.pairs = shared.len();
            Ok(taken)
        })
    }

    /// Writes a file that the index is going to name. One of that name without an entry, from another
    /// branch, cannot be read here, so it is written again.
    fn put(&self, path: &Path, sealed: &[u8]) -> Result<(), VaultError> {
        if super::exists(path)? {
            self.store.replace(path, sealed, Mode::Private)?;
        } else {
            self.store.create(&pending(path), sealed, Mode::Private)?;
        }
        Ok(())
    }

    /// Encrypts every file again, to the recipients of `recipients.txt`, and so confirms those whom
    /// [`Vault::change_to_confirm`] adds; says how many. Every file
    /// is decrypted and checked before the first is replaced, and each is replaced as a whole: an
    /// interrupted rekey leaves a vault that opens, and is run again.
    ///
    /// # Errors
    /// [`VaultError::LockedOut`] where no identity at hand is a recipient,
    /// [`VaultError::RecipientsMoved`] where they are no longer those that the vault was opened with,
    /// or what is wrong with a file.
    pub fn rekey(&mut self, identities: &Identities, now: Timestamp) -> Result<usize, VaultError> {
        let shown = self.recipients.clone();
        self.change(|vault| {
            if vault.recipients != shown {
                let path = Layout(&vault.folder).recipients();
                return Err(VaultError::RecipientsMoved { path });
            }
            if !identities.may_open(&vault.recipients) {
                return Err(VaultError::LockedOut { tried: identities.names() });
            }
            // This is what confirms: whoever runs it has seen them.
            let confirmed = Confirmed::of(&vault.recipients);
            let texts = recipients::texts(&vault.recipients);
            let unlocked = vault.unlock(identities);
            let plain = unlocked.plaintexts(&unlocked.next_confirmation(texts.clone())?)?;
            vault.index.recipients = texts;
            let write = |(path, plain): &(PathBuf, Zeroizing<String>)| {
                let sealed = vault.seal(&confirmed, path, plain.as_bytes())?;
                vault.store.replace(path, &sealed, Mode::Private).map_err(VaultError::from)
            };
            // First what says who is confirmed: nothing else that is newer lies beside an older one.
            let first = vault.index.first_epoch().map(|epoch| Layout(&vault.folder).epoch(epoch));
            let (first, others): (Vec<_>, Vec<_>) =
                plain.iter().partition(|(path, _)| Some(path) == first.as_ref());
            first.into_iter().try_for_each(write)?;
            others.into_par_iter().try_for_each(write)?;
            // Only now: until the index names it, its file has no name of its own.
            vault.ensure_fingerprint(&confirmed, now)?;
            Ok(plain.len())
        })
    }

    /// Makes the PSK material of epoch 1, for a vault that has none.
    pub(super) fn make_first_epoch(
        &mut self,
        confirmed: &Confirmed,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let epoch = 1;
        let path = Layout(&self.folder).epoch(epoch);
        let master = PresharedKey::from_bytes(random()?);
        let recipients = recipients::texts(confirmed.recipients());
        let first = Confirmation { count: 1, recipients };
        let plain = secret::encode_psk(epoch, &master, Some(&first));
        let sealed = self.seal(confirmed, &path, plain.as_bytes())?;
        self.store.create(&pending(&path), &sealed, Mode::Private)?;
        let check = derive::check(master.expose());
        let made = PskEpoch { created: whole_seconds(now), check, mac: None };
        self.index.epochs.insert(epoch, made);
        Ok(())
    }

    /// Whom to encrypt to: the recipients of `recipients.txt`, where the vault's own secrets say that
    /// a rekey has confirmed each of them. A vault of a version that did not say takes those whom its
    /// index names for confirmed, once.
    fn confirmed(&mut self, identities: &Identities) -> Result<Confirmed, VaultError> {
        self.refuse_unconfirmed()?;
        let recipients = Confirmed::of(&self.recipients);
        // What is made is for whoever makes it as well: a line that was taken out of the file must not
        // lead to keys that a stranger can open and the operator cannot.
        if !identities.may_open(recipients.recipients()) {
            return Err(VaultError::NotARecipient {
                path: Layout(&self.folder).recipients(),
                tried: identities.names(),
            });
        }
        let unlocked = self.unlock(identities);
        let Some(confirmed) = unlocked.confirmed()? else {
            if let Some(made) = unlocked.made_since_confirmed()? {
                return Err(unlocked.stripped(made));
            }
            self.take_as_confirmed(&recipients, &unlocked)?;
            return Ok(recipients);
        };
        let change = RecipientChange::between(&confirmed.recipients, &self.recipients);
        if !change.added.is_empty() {
            let (path, difference) = (Layout(&self.folder).index(), change.lines());
            return Err(VaultError::RecipientsForged { path, difference });
        }
        Ok(recipients)
    }

    /// Refuses recipients whom not even the index names. Needs no identity: what encrypts asks for one
    /// only afterwards.
    ///
    /// # Errors
    /// [`VaultError::Unconfirmed`].
    pub fn refuse_unconfirmed(&self) -> Result<(), VaultError> {
        let added = self.recipient_change().added;
        if added.is_empty() {
            return Ok(());
        }
        let path = Layout(&self.folder).recipients();
        let added = added.iter().map(recipients::described).collect();
        Err(VaultError::Unconfirmed { path, added })
    }

    /// Writes into the vault who is confirmed.
    fn take_as_confirmed(
        &mut self,
        recipients: &Confirmed,
        unlocked: &Unlocked,
    ) -> Result<(), VaultError> {
        let texts = recipients::texts(recipients.recipients());
        let (path, plain) = unlocked.confirming(&unlocked.next_confirmation(texts)?)?;
        let sealed = self.seal(recipients, &path, plain.as_bytes())?;
        self.store.replace(&path, &sealed, Mode::Private)?;
        self.newly_confirmed = true;
        Ok(())
    }

    /// Makes the fingerprint secret where the vault has none, as one of version 0.1.0 has not.
    pub(super) fn ensure_fingerprint(
        &mut self,
        confirmed: &Confirmed,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if self.index.fingerprint.is_some() {
            return Ok(());
        }
        let path = Layout(&self.folder).fingerprint();
        if super::exists(&path)? {
            return Err(VaultError::Unnamed { path });
        }
        let secret = FingerprintSecret::from_bytes(random()?);
        let plain = secret::encode_fingerprint(&self.index.fleet, &secret);
        let sealed = self.seal(confirmed, &path, plain.as_bytes())?;
        self.store.create(&pending(&path), &sealed, Mode::Private)?;
        let check = derive::check(secret.expose());
        self.index.fingerprint = Some(FingerprintEntry { created: whole_seconds(now), check });
        Ok(())
    }

    fn make_keys(
        &mut self,
        names: &[HostName],
        state: KeyState,
        identities: &Identities,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if names.is_empty() && self.index.fingerprint.is_some() {
            return Ok(());
        }
        let confirmed = self.confirmed(identities)?;
        self.ensure_fingerprint(&confirmed, now)?;
        let made: Vec<Generation> = names
            .par_iter()
            .map(|name| {
                let key = PrivateKey::from_random(random()?);
                self.write_key(&confirmed, name, &key)?;
                Ok(Generation { public_key: key.public(), created: whole_seconds(now), state })
            })
            .collect::<Result<_, VaultError>>()?;
        for (name, generation) in names.iter().zip(made) {
            self.index.add(name.clone(), generation);
        }
        Ok(())
    }

    fn write_key(
        &self,
        confirmed: &Confirmed,
        name: &HostName,
        key: &PrivateKey,
    ) -> Result<(), VaultError> {
        let (path, sealed) = self.seal_key(confirmed, name, key)?;
        Ok(self.store.create(&pending(&path), &sealed, Mode::Private)?)
    }

    fn seal_key(
        &self,
        confirmed: &Confirmed,
        name: &HostName,
        key: &PrivateKey,
    ) -> Result<(PathBuf, Vec<u8>), VaultError> {
        let path = Layout(&self.folder).key(name, &key.public());
        let plain = secret::encode_key(name, key);
        let sealed = self.seal(confirmed, &path, plain.as_bytes())?;
        Ok((path, sealed))
    }

    /// Takes the keys in that state out of the index; their files are set aside first, and removed
    /// by `change` when the index no longer names them.
    fn drop_keys<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
        state: KeyState,
    ) -> Result<Vec<HostName>, VaultError> {
        self.drop_where(names, |one| one.state == state)
    }

    fn drop_where<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a HostName>,
        unwanted: impl Fn(&Generation) -> bool,
    ) -> Result<Vec<HostName>, VaultError> {
        let names: BTreeSet<&HostName> = names.into_iter().collect();
        self.change(|vault| {
            let layout = Layout(&vault.folder);
            let mut dropped = Vec::new();
            for name in names {
                let Some(generations) = vault.index.keys.get_mut(name) else { continue };
                let gone = generations.extract_if(.., |one| unwanted(one));
                let gone: Vec<PathBuf> =
                    gone.map(|one| layout.key(name, &one.public_key)).collect();
                for path in &gone {
                    if super::exists(path)? {
                        vault.store.rename(path, &pending(path))?;
                    }
                }
                if generations.is_empty() {
                    vault.index.keys.remove(name);
                }
                if !gone.is_empty() {
                    dropped.push(name.clone());
                }
            }
            Ok(dropped)
        })
    }

    /// Encrypts to recipients. The only place that does: nothing is ever encrypted to somebody whom no
    /// rekey has confirmed, and no plugin that only such a recipient names is ever run.
    fn seal(
        &self,
        confirmed: &Confirmed,
        path: &Path,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let sealed = age_file::seal(confirmed.recipients(), plain, &self.prompts);
        sealed.map_err(|problem| match problem {
            SealProblem::Plugin { program, fault } => {
                VaultError::Plugin { path: path.to_owned(), program, fault }
            }
            SealProblem::Io(source) => {
                VaultError::File(FileError::Write { path: path.to_owned(), source })
            }
        })
    }
}

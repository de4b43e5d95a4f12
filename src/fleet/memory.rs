//! What the controller remembers of a fleet's vault, beside its last logins.
//!
//! Anyone can encrypt to the recipients. So a pull request can bring a whole first epoch of PSK material
//! of its own, with its author among the confirmed recipients, and nothing in the vault tells. What it
//! is compared with lies on the controller, out of a pull request's reach: public marks of the vault's
//! secrets, and whom its own secrets named as confirmed the last time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{Context, Error, Kind};
use crate::event::Notice;
use crate::model::FleetName;
use crate::sys::{Clock as _, FileError, Mode, SystemClock, read_limited, write_atomic};
use crate::vault::{Confirmation, Identities, Index, Vault};

/// The most bytes that the file may have.
const LIMIT: u64 = 16 << 20;

/// The version of the file that is read and written.
const VERSION: u32 = 1;

/// The folder of what is kept of fleets on the controller: below `XDG_STATE_HOME` or
/// `~/.local/state`. `None` where there is no home.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(folder.join("wgfleet"))
}

/// What is remembered of a fleet's vault, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    version: u32,
    /// By the public part of the identity that opened it: another fleet of the same name has another.
    vaults: BTreeMap<String, Known>,
}

/// A vault that was opened here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Since when it is known, as RFC 3339 writes it.
    since: String,
    /// The public mark of the master of its first epoch.
    first_epoch: Option<String>,
    /// The public mark of its fingerprint secret; none in a vault of version 0.1.0.
    fingerprint: Option<String>,
    /// How many times recipients were confirmed, and who they were; none until that was read.
    confirmed: Option<KnownConfirmation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownConfirmation {
    count: u64,
    recipients: Vec<String>,
}

impl From<Confirmation> for KnownConfirmation {
    fn from(Confirmation { count, recipients }: Confirmation) -> Self {
        Self { count, recipients }
    }
}

impl Known {
    fn of(index: &Index) -> Self {
        let first = index.epochs().first_key_value();
        Self {
            since: since(),
            first_epoch: first.map(|(_, epoch)| epoch.check.clone()),
            fingerprint: index.fingerprint().map(|entry| entry.check.clone()),
            confirmed: None,
        }
    }

    /// What of a vault's secrets was exchanged since; `None`: nothing. A secret that an older vault did
    /// not have is none.
    fn exchanged(&self, now: &Self) -> Option<&'static str> {
        if self.first_epoch.is_some() && self.first_epoch != now.first_epoch {
            Some("the PSK material of epoch 1")
        } else if self.fingerprint.is_some() && self.fingerprint != now.fingerprint {
            Some("the fingerprint secret")
        } else {
            None
        }
    }
}

/// What a confirmation that somebody else made since says of the recipients.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    added: Vec<String>,
    removed: Vec<String>,
}

impl Moved {
    fn between(before: &[String], now: &[String]) -> Self {
        let without = |these: &[String], those: &[String]| {
            these.iter().filter(|one| !those.contains(one)).cloned().collect()
        };
        Self { added: without(now, before), removed: without(before, now) }
    }

    fn lines(&self) -> String {
        let added = self.added.iter().map(|one| format!("\n  + {one}"));
        added.chain(self.removed.iter().map(|one| format!("\n  - {one}"))).collect()
    }
}

impl Memory {
    fn read(path: &Path) -> Result<Self, FileError> {
        let wrong = |source| FileError::Read { path: path.to_owned(), source };
        match read_limited(path, LIMIT) {
            Ok(bytes) => {
                let memory: Self =
                    serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
                if memory.version != VERSION {
                    let error = std::io::Error::other("another version of wgfleet wrote it");
                    return Err(wrong(error));
                }
                Ok(memory)
            }
            Err(FileError::Read { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(Self { version: VERSION, vaults: BTreeMap::new() })
            }
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| FileError::Write { path: folder.to_owned(), source })?;
        }
        write_atomic(path, &bytes, Mode::Private)
    }

    /// What is known of the vault that one of these identities opens: of several, what is known longest.
    fn known(&self, names: &[String]) -> Option<&Known> {
        let known = names.iter().filter_map(|name| self.vaults.get(name));
        known.min_by(|a, b| a.since.cmp(&b.since))
    }

    fn remember(&mut self, names: &[String], known: &Known) {
        self.vaults.extend(names.iter().map(|name| (name.clone(), known.clone())));
    }
}

/// Refuses a vault whose secrets are not those that are known.
fn refuse_exchanged(path: &Path, known: &Known, now: &Known) -> Result<(), Error> {
    let Some(what) = known.exchanged(now) else { return Ok(()) };
    let since = &known.since;
    Err(Error::message(
        Kind::Vault,
        format!(
            "{what} is not what this controller has known since {since}: whoever exchanged it may know \
             what is derived from it; nothing was opened"
        ),
    )
    .hint("find the commit with `git log -p -- vault/index.json` and revert it")
    .hint(if_meant(path)))
}

/// Refuses recipients that were not confirmed after those that are known.
fn refuse_older(
    path: &Path,
    since: &str,
    known: &KnownConfirmation,
    now: &KnownConfirmation,
) -> Result<Moved, Error> {
    let moved = Moved::between(&known.recipients, &now.recipients);
    let same = moved.added.is_empty() && moved.removed.is_empty();
    if now.count > known.count || (now.count == known.count && same) {
        return Ok(moved);
    }
    let (times, before) = (now.count, known.count);
    Err(Error::message(
        Kind::Vault,
        format!(
            "vault/psk/1.age says that recipients were confirmed for time number {times}, and this \
             controller, which knows the vault since {since}, has seen number {before}, with others: an \
             older file was put in its place, or two people ran `wgfleet vault rekey` on two branches; \
             nothing was encrypted{}",
            moved.lines()
        ),
    )
    .hint("look at `git log -- vault/psk/1.age` and restore the newest one")
    .hint(if_meant(path)))
}

/// Now, in whole seconds.
fn since() -> String {
    let now = SystemClock.now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

fn if_meant(path: &Path) -> String {
    format!("if it is meant, remove {} and run the command again", path.display())
}

/// Whether it was said in this run that nothing is kept.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

impl Context {
    /// Compares the vault's secrets with those that this controller knows, and remembers a vault that
    /// it does not know yet. To be called before anything is opened.
    pub(super) fn compare_vault(
        &self,
        vault: &Vault,
        identities: &Identities,
    ) -> Result<(), Error> {
        let now = Known::of(vault.index());
        self.compare(vault.index().fleet(), &identities.names(), |path, known| {
            let Some(known) = known else { return Ok(now) };
            refuse_exchanged(path, known, &now)?;
            let Known { first_epoch, fingerprint, .. } = now;
            Ok(Known { first_epoch, fingerprint, ..known.clone() })
        })
    }

    /// Compares whom the vault names as confirmed with those whom this controller knows. To be called
    /// before anything is encrypted.
    pub(super) fn compare_recipients(
        &self,
        vault: &Vault,
        identities: &Identities,
    ) -> Result<(), Error> {
        let confirmed = vault.unlock(identities).confirmed()?;
        // A vault of version 0.1.0 does not say; afterwards none may say nothing any more.
        let now = confirmed.map(KnownConfirmation::from);
        self.compare(vault.index().fleet(), &identities.names(), |path, known| {
            let known = known.cloned().unwrap_or_else(|| Known::of(vault.index()));
            if let Some(before) = &known.confirmed {
                let nobody = KnownConfirmation { count: 0, recipients: Vec::new() };
                let after = now.as_ref().unwrap_or(&nobody);
                let Moved { added, removed } = refuse_older(path, &known.since, before, after)?;
                if !added.is_empty() || !removed.is_empty() {
                    self.notice(Notice::Reconfirmed { added, removed });
                }
            }
            Ok(Known { confirmed: now, ..known })
        })
    }

    /// Remembers whom this very run has confirmed.
    ///
    /// # Errors
    /// Where the vault cannot be opened.
    pub fn remember_recipients(&self, vault: &Vault, identities: &Identities) -> Result<(), Error> {
        let confirmed = vault.unlock(identities).confirmed()?.map(KnownConfirmation::from);
        self.compare(vault.index().fleet(), &identities.names(), |_, known| {
            let known = known.cloned().unwrap_or_else(|| Known::of(vault.index()));
            Ok(Known { confirmed, ..known })
        })
    }

    /// Remembers a vault that was just made, whatever another of its name was; `recipients` are those
    /// that its maker has identities of.
    pub fn remember_new(&self, vault: &Vault, recipients: &[String]) {
        let index = vault.index();
        let confirmed = KnownConfirmation { count: 1, recipients: index.recipients().to_vec() };
        let now = Known { confirmed: Some(confirmed), ..Known::of(index) };
        let kept = self.compare(index.fleet(), recipients, |_, _| Ok(now));
        if let Err(error) = kept {
            self.tell_not_remembered(&error.to_string());
        }
    }

    /// Gives what is known to `judge`, and keeps what that makes of it.
    fn compare(
        &self,
        fleet: &FleetName,
        names: &[String],
        judge: impl FnOnce(&Path, Option<&Known>) -> Result<Known, Error>,
    ) -> Result<(), Error> {
        let Some(path) = self.state_file("vault", fleet) else {
            self.tell_not_remembered("neither XDG_STATE_HOME nor HOME is set");
            return Ok(());
        };
        let mut memory = Memory::read(&path).map_err(|error| {
            let hint = format!("remove {} if nothing else has written it", path.display());
            Error::new(Kind::Failed, error).hint(hint)
        })?;
        let before = memory.clone();
        let known = judge(&path, memory.known(names))?;
        memory.remember(names, &known);
        if memory != before
            && let Err(error) = memory.write(&path)
        {
            self.tell_not_remembered(&described(&error));
        }
        Ok(())
    }

    fn tell_not_remembered(&self, why: &str) {
        if !IS_TOLD.swap(true, Ordering::Relaxed) {
            self.notice(Notice::VaultNotRemembered { why: why.to_owned() });
        }
    }
}

/// An error with its cause.
fn described(error: &FileError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

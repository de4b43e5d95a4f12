//! What the commands have in common that change the file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::handout::HandoutArgs;

use crate::cli::{CommandError, Context, Exit};
use crate::desired::DesiredHost;
use crate::finding;
use crate::fleet::{Edited, Fleet, Reading};
use crate::inventory::edit::PeerChange;
use crate::model::{HostName, PublicKey};
use crate::report;
use crate::sys::FileError;
use crate::vault::VaultError;

/// The key of the file that has a peer's own key.
pub(super) const PUBLIC_KEY: &str = "public_key";

/// The most bytes that are read of a file with a public key.
const LONGEST_KEY: u64 = 256;

/// The fleet as it will be, where nothing is wrong with it.
pub(super) fn proven(context: &Context, reading: Reading) -> Result<Fleet, CommandError> {
    if let Some(loaded) = reading.loaded() {
        context.show(&reading.findings, &loaded.sources);
    }
    let Reading { fleet, findings, .. } = reading;
    let fleet = fleet.filter(|_| !finding::any_error(&findings)).ok_or_else(|| {
        let told = report::findings::summary(&findings);
        CommandError::message(Exit::Findings, format!("{told}; nothing was changed"))
    })?;
    fleet.refuse_locked(&context.fleet)?;
    Ok(fleet)
}

/// Writes the changed file and what follows from it in the lock file; says which were written.
pub(super) fn write(
    context: &Context,
    fleet: &Fleet,
    edited: &Edited,
) -> Result<Vec<PathBuf>, CommandError> {
    edited.write()?;
    fleet.pin(&context.fleet)?;
    let lock = fleet.loaded.lock_path.iter().filter(|_| fleet.loaded.lock_changed).cloned();
    Ok(std::iter::once(edited.path.clone()).chain(lock).collect())
}

/// Hands a peer its configuration, then writes its public key into the file in the place of its private
/// key in the vault, which is forgotten for good. A peer with a key of its own has no preshared key, so
/// the configuration has none.
pub(super) fn hand_out_and_forget(
    context: &Context,
    fleet: Fleet,
    name: &HostName,
    handout: &HandoutArgs,
) -> Result<(DesiredHost, Vec<PathBuf>), CommandError> {
    let vault = context.fleet.vault()?;
    let key = vault.index().current(name).ok_or(VaultError::NoKey { name: name.clone() })?;
    let key = key.to_string();
    let changes = [PeerChange::Set(PUBLIC_KEY, &key)];
    let (reading, edited) = fleet.change_peer(&context.fleet, name, &changes)?;
    let fleet = proven(context, reading)?;
    let device = handout.device(&fleet, &vault, name)?;
    let prepared = handout.prepare(context, &fleet, &device)?;
    let mut files = handout.hand_out(context, name, prepared)?;
    files.extend(write(context, &fleet, &edited)?);
    context.fleet.vault_to_write()?.forget([name])?;
    context.say(&format!(
        "the vault has forgotten the private key of `{name}`; {} has its public key",
        edited.path.display()
    ));
    Ok((device, files))
}

/// The public key in a file, or on stdin for `-`. It cannot be an argument: there it could not be told from
/// a private key, which everybody on the machine would read.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, CommandError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST_KEY).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST_KEY).read_to_string(&mut text))
    };
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })
        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    text.trim().parse().map_err(|_| {
        let message = format!("{} holds no public key", path.display());
        CommandError::message(Exit::Usage, message)
            .hint("it is one line of 44 characters, as `wg pubkey` prints it")
    })
}

/// Says how hosts learn of a change.
pub(super) fn say_next(context: &Context, what: &str) {
    context.say(&format!(
        "{what}; hosts learn of it with `wgfleet apply`, and `wgfleet plan` shows what changes"
    ));
}

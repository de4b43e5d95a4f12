//! What work on a fleet needs to know of whoever asks for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::load::{Origin, load};
use super::{Error, Kind};
use crate::event::{Event, Notice};
use crate::model::{FleetName, HostName};
use crate::sys::{Events, Slept, Stop};
use crate::vault::{Identities, Index, PluginPrompts, Vault};

/// Who can open the vault.
pub trait Keyring: Send + Sync {
    /// The identities that open the vault of a fleet.
    ///
    /// # Errors
    /// Where there is none, or it cannot be used.
    fn identities(&self, fleet: &FleetName) -> Result<Identities, Error>;

    /// Answers what a plugin asks that encrypts to its recipients.
    fn prompts(&self) -> Arc<dyn PluginPrompts>;

    /// Whether there is none at all, as for the pull request of a stranger.
    fn is_empty(&self, fleet: &FleetName) -> bool;
}

/// Where a fleet is, and who works on it.
#[derive(Clone)]
pub struct Context {
    /// The fleet file, a folder that holds `fleet.yaml`, or `-` for stdin.
    pub file: PathBuf,
    /// The lock file, where it is not the one beside the fleet file.
    pub lock: Option<PathBuf>,
    /// Further folders that includes may come from.
    pub include_from: Vec<PathBuf>,
    /// The moment that the fleet is looked at for, where it is not now.
    pub now: Option<Timestamp>,
    /// The lock file is not written.
    pub locked: bool,
    /// The configuration file of ssh(1), where it is not the user's own.
    pub ssh_config: Option<PathBuf>,
    /// The folder of what is kept of fleets on the controller; `None`: nothing is kept.
    pub state: Option<PathBuf>,
    /// What opens the vault.
    pub keyring: Arc<dyn Keyring>,
    /// Hears what happens, and when.
    pub events: Events,
    /// Asks the run to stop.
    pub stop: Stop,
    /// Tells how long this machine has slept.
    pub slept: Slept,
    /// Ends the program, for work that nothing else ends.
    pub overrun: Overrun,
}

/// Ends the program: it is told what takes too much, and whether this run has changed hosts before. No
/// host is being changed then.
pub type Overrun = fn(&str, bool);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("file", &self.file).finish_non_exhaustive()
    }
}

impl<'a> From<&'a Context> for Origin<'a> {
    fn from(context: &'a Context) -> Self {
        Self {
            file: &context.file,
            lock: context.lock.as_deref(),
            include_from: &context.include_from,
            now: context.now,
        }
    }
}

impl Context {
    /// The folder that the inventory lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// The file of what is kept of a fleet on the controller.
    pub(super) fn state_file(&self, what: &str, fleet: &FleetName) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join(format!("{what}-{fleet}.json")))
    }

    /// The vault's folder.
    #[must_use]
    pub fn vault_folder(&self) -> PathBuf {
        self.folder().join("vault")
    }

    /// The vault beside the inventory.
    ///
    /// # Errors
    /// Where it is not there, or cannot be read.
    pub fn vault(&self) -> Result<Vault, Error> {
        Ok(Vault::open(&self.vault_folder())?)
    }

    /// The same, to be written to: plugins that encrypt can ask.
    ///
    /// # Errors
    /// Those of [`Self::vault`].
    pub fn vault_to_write(&self) -> Result<Vault, Error> {
        Ok(self.vault()?.with_prompts(self.keyring.prompts()))
    }

    /// The fleet's name, as the inventory has it.
    ///
    /// # Errors
    /// Where there is no inventory, or something is wrong with it.
    pub fn fleet_name(&self) -> Result<FleetName, Error> {
        let loaded = load(self)?;
        let inventory = loaded.inventory.ok_or_else(|| {
            let path = loaded.path.display();
            Error::message(
                Kind::Findings,
                format!("{path} has errors, so the fleet has no name yet"),
            )
            .hint("`wgfleet check` tells them")
        })?;
        Ok(inventory.fleet.value)
    }

    /// The hosts and peers that have got another name, of an inventory that can be read.
    #[must_use]
    pub fn moved(&self) -> Vec<(HostName, HostName)> {
        let inventory = load(self).ok().and_then(|loaded| loaded.inventory);
        let moved = inventory.map(|inventory| inventory.moved).unwrap_or_default();
        moved.into_iter().map(|moved| (moved.old.value, moved.new.value)).collect()
    }

    /// What opens a vault, where it is the vault that this controller knows.
    ///
    /// # Errors
    /// Those of [`Keyring::identities`], and where the vault's secrets were exchanged.
    pub fn identities(&self, vault: &Vault) -> Result<Identities, Error> {
        let identities = self.keyring.identities(vault.index().fleet())?;
        self.compare_vault(vault, &identities)?;
        Ok(identities)
    }

    /// What opens a vault that is about to be written to.
    ///
    /// # Errors
    /// Those of [`Self::identities`], and where the vault names older recipients than this controller
    /// knows.
    pub fn identities_to_write(&self, vault: &Vault) -> Result<Identities, Error> {
        let identities = self.identities(vault)?;
        self.compare_recipients(vault, &identities)?;
        Ok(identities)
    }

    /// Says what writing to a vault of an older version has given it.
    pub fn tell_upgrade(&self, before: &Index, vault: &Vault) {
        if vault.newly_confirmed() {
            let recipients = vault.recipients().iter().map(ToString::to_string).collect();
            self.notice(Notice::Confirmed { recipients });
        }
        if before.fingerprint().is_none() && vault.index().fingerprint().is_some() {
            let file = vault.folder().join("fingerprint.age");
            self.notice(Notice::FingerprintSecret { file });
        }
    }

    /// Says something that whoever asked may want to know.
    pub fn notice(&self, notice: Notice) {
        self.events.tell(Event::Notice { notice });
    }
}

/// The folder that an inventory lies in.
fn folder_of(inventory: &Path) -> &Path {
    if inventory.is_dir() {
        return inventory;
    }
    match inventory.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

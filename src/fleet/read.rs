//! An inventory that was read and checked, and what it makes with the keys of the vault.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::git::WorkTree;
use super::load::{Loaded, load, load_at};
use super::opened::Opened;
use super::watchdog::Watchdog;
use super::{Advice, Context, Error, Kind, Overrun};
use crate::check;
use crate::desired::{
    self, DEFAULT_TEMPLATE, DesiredHost, DesiredState, PublicKeys, Renderer, Secrets,
};
use crate::event::Notice;
use crate::finding::{self, Finding};
use crate::inventory::Inventory;
use crate::model::{HostName, NetworkName, PublicKey, count};
use crate::plan::RenderedHost;
use crate::topology::{self, Topology};
use crate::vault::Vault;

/// An inventory that has been read and checked.
#[derive(Debug)]
pub struct Fleet {
    /// The files.
    pub loaded: Loaded,
    /// What follows from them.
    pub topology: Topology,
    /// The generation of the lock file; 0: it has none.
    pub(super) generation: AtomicU64,
    /// The work tree whose commits the fleet file is part of, once that was asked.
    pub(super) tree: OnceLock<Option<WorkTree>>,
    /// Of the context that it was read in.
    pub(super) overrun: Overrun,
    /// Whether a host was changed in this run.
    pub(super) has_changed: Arc<AtomicBool>,
}

/// What reading an inventory brought.
#[derive(Debug)]
pub struct Reading {
    /// The fleet, unless the file itself is wrong.
    pub fleet: Option<Fleet>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// The files of an inventory that makes no fleet.
    loaded: Option<Loaded>,
}

impl Reading {
    /// The files.
    pub fn loaded(&self) -> Option<&Loaded> {
        self.fleet.as_ref().map(|fleet| &fleet.loaded).or(self.loaded.as_ref())
    }
}

impl Fleet {
    /// Reads the inventory and gives all findings; no fleet where the file itself is wrong.
    ///
    /// # Errors
    /// Where the fleet file itself cannot be read.
    pub fn read(context: &Context) -> Result<Reading, Error> {
        Ok(Self::of(context, load(context)?, |inventory| known_keys(context, inventory)))
    }

    /// The same of the inventory as a revision of git has it; `None` where that has none. Its keys
    /// are not compared with those of the vault, which may be another by now.
    ///
    /// # Errors
    /// Where there is no such revision, or its fleet file cannot be read.
    pub fn read_at(context: &Context, revision: &str) -> Result<Option<Reading>, Error> {
        Ok(load_at(context, revision)?.map(|loaded| Self::of(context, loaded, |_| Vec::new())))
    }

    pub(super) fn of(
        context: &Context,
        loaded: Loaded,
        keys: impl Fn(&Inventory) -> Vec<Finding>,
    ) -> Reading {
        let mut findings = loaded.findings.clone();
        let Some(inventory) = &loaded.inventory else {
            return Reading { fleet: None, findings, loaded: Some(loaded) };
        };
        let lock = &loaded.lock;
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(inventory, &addresses);
        findings.extend(check::check(inventory, &topology));
        findings.extend(keys(inventory));
        finding::settle(&mut findings);
        let generation = AtomicU64::new(lock.generation().unwrap_or_default());
        let (tree, has_changed, overrun) = (OnceLock::new(), Arc::default(), context.overrun);
        let fleet = Self { loaded, topology, generation, tree, overrun, has_changed };
        Reading { fleet: Some(fleet), findings, loaded: None }
    }

    /// Writes newly allocated addresses to the lock file.
    ///
    /// # Errors
    /// Where the lock file may not, or cannot, be written.
    pub fn pin(&self, context: &Context) -> Result<(), Error> {
        let Some(path) = &self.loaded.lock_path else {
            if !self.loaded.lock_changed {
                return Ok(());
            }
            return Err(Error::message(
                Kind::Usage,
                "the inventory on stdin has hosts without an address, and there is no lock file \
                 to pin one in",
            )
            .advise(Advice::NameLockFile));
        };
        self.refuse_locked(context)?;
        let saved = self.loaded.save_lock().map_err(|error| Error::new(Kind::Failed, error))?;
        if saved {
            context.notice(Notice::Pinned { lock: path.clone() });
        }
        Ok(())
    }

    /// Refuses where the lock file is to change and this run may not change it.
    ///
    /// # Errors
    /// [`Kind::Findings`].
    pub fn refuse_locked(&self, context: &Context) -> Result<(), Error> {
        match &self.loaded.lock_path {
            Some(path) if self.loaded.lock_changed && context.locked => Err(Error::message(
                Kind::Findings,
                format!("{} would change, and this run may not change it", path.display()),
            )
            .advise(Advice::LetLockChange)),
            _ => Ok(()),
        }
    }

    /// The generation of the lock file, where it has one.
    pub fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Relaxed)).filter(|generation| *generation > 0)
    }

    /// The inventory.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        // `read` gives a fleet only where the inventory is there.
        self.loaded.inventory.as_ref().unwrap_or_else(|| unreachable!("a fleet has an inventory"))
    }

    /// Every host and unmanaged peer that the vault has to have a key for.
    pub fn key_holders(&self) -> Vec<HostName> {
        let inventory = self.inventory();
        let hosts = inventory.hosts.iter().map(|host| &host.name.value);
        let peers = inventory.peers.iter().filter(|peer| peer.settings.public_key.is_none());
        hosts.chain(peers.map(|peer| &peer.name.value)).cloned().collect()
    }

    /// The vault beside the inventory, opened with the user's identity.
    ///
    /// # Errors
    /// Where there is no vault, or no identity that opens it.
    pub fn unlock(context: &Context) -> Result<(Vault, Opened), Error> {
        let vault = context.vault()?;
        let identities = context.identities(&vault)?;
        let unlocked = vault.unlock(&identities);
        Ok((vault, unlocked.into()))
    }

    /// The same, but where the user has no identity at all, the vault stays closed.
    ///
    /// # Errors
    /// Where there is no vault, or the identity does not open it.
    pub fn unlock_if_possible(context: &Context) -> Result<(Vault, Opened), Error> {
        let vault = context.vault()?;
        if context.keyring.is_empty(vault.index().fleet()) {
            return Ok((vault, Opened::without()?));
        }
        Self::unlock(context)
    }

    /// What the hosts are to have, with the keys that `keys` says.
    ///
    /// # Errors
    /// Where hosts have no keys.
    pub fn desired(&self, keys: &dyn PublicKeys) -> Result<DesiredState, Error> {
        let (state, missing) = desired::build(self.inventory(), &self.topology, keys);
        if missing.is_empty() {
            return Ok(state);
        }
        Err(without_keys(&missing))
    }

    /// Renders the files of hosts, in parallel.
    ///
    /// # Errors
    /// Where the template fails, or the vault has no such secret.
    pub fn render(
        &self,
        hosts: &[&DesiredHost],
        secrets: &Opened,
    ) -> Result<BTreeMap<HostName, RenderedHost>, Error> {
        let _watchdog = Watchdog::over(hosts.iter().copied(), self.overrun, &self.has_changed);
        let renderer = self.renderer()?;
        let fleet = &self.inventory().fleet.value;
        let render = |host: &&DesiredHost| {
            let mut files = BTreeMap::new();
            for interface in &host.interfaces {
                let file = renderer
                    .render(host, interface, secrets)
                    .map_err(|error| Error::new(kind_of(&error), error))?;
                files.insert(interface.name.clone(), file);
            }
            let key = Secrets::fingerprint_key(secrets, &host.name)?;
            let fleet = fleet.clone();
            let own = RenderedHost { fleet, files, key, secrets: secrets.state() };
            Ok((host.name.clone(), own))
        };
        hosts.par_iter().map(render).collect()
    }

    /// How many files the fleet's hosts have.
    fn files(&self) -> usize {
        self.inventory().hosts.iter().map(|host| host.interfaces.len()).sum()
    }

    /// What renders files: the fleet's own template, or that of wgfleet.
    ///
    /// # Errors
    /// Where the template cannot be read or understood.
    pub fn renderer(&self) -> Result<Renderer, Error> {
        let path = self.loaded.template_path();
        let template = self.loaded.template();
        let template = template.map_err(|error| Error::new(Kind::Findings, error))?;
        let text = match template {
            Some(bytes) => String::from_utf8(bytes).map_err(|_| {
                Error::message(Kind::Findings, format!("{} is not UTF-8", path.display()))
            })?,
            None => DEFAULT_TEMPLATE.to_owned(),
        };
        let renderer = Renderer::new(self.inventory().fleet.value.clone(), text);
        renderer.map(|renderer| renderer.for_files(self.files())).map_err(|error| {
            Error::new(Kind::Findings, error).hint(format!("fix {}", path.display()))
        })
    }
}

/// That hosts and peers have no keys yet.
pub(super) fn without_keys(missing: &[HostName]) -> Error {
    let names: Vec<&str> = missing.iter().take(8).map(HostName::as_str).collect();
    let more = if missing.len() > 8 { ", …" } else { "" };
    Error::message(
        Kind::Vault,
        format!("{} without keys: {}{more}", count(missing.len(), "host"), names.join(", ")),
    )
    .hint("run `wgfleet vault keygen`")
}

/// What kind of failure it is that a file cannot be rendered.
pub(super) const fn kind_of<E: std::error::Error>(error: &desired::RenderError<E>) -> Kind {
    match error {
        desired::RenderError::Secret { .. } => Kind::Vault,
        desired::RenderError::Template { .. }
        | desired::RenderError::Endless { .. }
        | desired::RenderError::TooLong { .. }
        | desired::RenderError::Markers { .. }
        | desired::RenderError::Control { .. } => Kind::Findings,
    }
}

/// What the vault's public keys say about those in the file. They are readable without identity; a
/// vault that is not there, or that cannot be read, is the affair of the commands that need it.
pub(super) fn known_keys(context: &Context, inventory: &Inventory) -> Vec<Finding> {
    if inventory.peers.iter().all(|peer| peer.settings.public_key.is_none()) {
        return Vec::new();
    }
    let Ok(vault) = context.vault() else { return Vec::new() };
    let index = vault.index();
    let keys = index.names().flat_map(|name| {
        index.generations(name).iter().map(move |generation| (name, generation.public_key))
    });
    check::against_vault(inventory, keys)
}

/// Every name by every key that it has or had.
pub(super) fn names(state: &DesiredState, vault: &Vault) -> BTreeMap<PublicKey, HostName> {
    let mut names = (*state.names).clone();
    for name in vault.index().names() {
        for generation in vault.index().generations(name) {
            names.entry(generation.public_key).or_insert_with(|| name.clone());
        }
    }
    names
}

//! What most commands begin with: the inventory, its topology, the vault, and the rendered files.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::load::{Loaded, load, load_at};
use super::opened::Opened;
use super::provenance::{Counting, counts};
use super::watchdog::Watchdog;
use super::{CommandError, Exit, Format, Global};
use crate::desired::{
    self, DEFAULT_TEMPLATE, DesiredHost, DesiredState, PublicKeys, Renderer, Secrets,
};
use crate::finding::{self, Finding};
use crate::inventory::Inventory;
use crate::model::{HostName, NetworkName, PublicKey};
use crate::plan::{Provenance, RenderedHost};
use crate::topology::{self, Topology};
use crate::vault::Vault;
use crate::{check, report};

/// An inventory that has been read and checked.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) loaded: Loaded,
    pub(super) topology: Topology,
    /// The generation of the lock file; 0: it has none.
    generation: AtomicU64,
}

/// What reading an inventory brought.
#[derive(Debug)]
pub(super) struct Reading {
    /// The fleet, unless the file itself is wrong.
    pub(super) fleet: Option<Fleet>,
    /// Everything that is wrong.
    pub(super) findings: Vec<Finding>,
    /// The files of an inventory that makes no fleet.
    loaded: Option<Loaded>,
}

impl Reading {
    /// The files.
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.fleet.as_ref().map(|fleet| &fleet.loaded).or(self.loaded.as_ref())
    }
}

impl Fleet {
    /// Reads and checks the inventory. Errors are reported on stderr and end the command with
    /// exit 3; warnings are reported and go on.
    pub(super) fn load(global: &Global) -> Result<Self, CommandError> {
        let reading = Self::read(global)?;
        if let Some(loaded) = reading.loaded() {
            show(global, &reading.findings, loaded);
        }
        let Reading { fleet, findings, .. } = reading;
        match fleet {
            Some(fleet) if !finding::any_error(&findings) => {
                fleet.pin(global)?;
                Ok(fleet)
            }
            _ => Err(CommandError::message(
                Exit::Findings,
                format!("{}; nothing was touched", report::findings::summary(&findings)),
            )),
        }
    }

    /// Reads the inventory and gives all findings; no fleet where the file itself is wrong.
    pub(super) fn read(global: &Global) -> Result<Reading, CommandError> {
        Ok(Self::of(load(global)?, |inventory| known_keys(global, inventory)))
    }

    /// The same of the inventory as a revision of git has it; `None` where that has none. Its keys
    /// are not compared with those of the vault, which may be another by now.
    pub(super) fn read_at(
        global: &Global,
        revision: &str,
    ) -> Result<Option<Reading>, CommandError> {
        Ok(load_at(global, revision)?.map(|loaded| Self::of(loaded, |_| Vec::new())))
    }

    fn of(loaded: Loaded, keys: impl Fn(&Inventory) -> Vec<Finding>) -> Reading {
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
        let fleet = Self { loaded, topology, generation };
        Reading { fleet: Some(fleet), findings, loaded: None }
    }

    /// Writes newly allocated addresses to the lock file.
    pub(super) fn pin(&self, global: &Global) -> Result<(), CommandError> {
        let Some(path) = &self.loaded.lock_path else {
            if !self.loaded.lock_changed {
                return Ok(());
            }
            return Err(CommandError::message(
                Exit::Usage,
                "the inventory on stdin has hosts without an address, and there is no lock file \
                 to pin one in",
            )
            .hint("name the lock file with --lock FILE, or write the addresses into the file"));
        };
        let path = path.display();
        if self.loaded.lock_changed && global.locked {
            return Err(CommandError::message(
                Exit::Findings,
                format!("{path} would change, and --locked forbids it"),
            )
            .hint("run the command without --locked and commit the lock file"));
        }
        let saved =
            self.loaded.save_lock().map_err(|error| CommandError::new(Exit::Failed, &error))?;
        if saved && !global.quiet {
            anstream::eprintln!("pinned new tunnel addresses in {path}: commit it");
        }
        Ok(())
    }

    /// The generation of the lock file, where it has one.
    pub(super) fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Relaxed)).filter(|generation| *generation > 0)
    }

    /// Counts a run that is about to change the fleet, where no commit tells which files are newer:
    /// from now on every other copy of these files is older. `recorded` is the highest generation that
    /// hosts have recorded.
    pub(super) fn count_run(
        &self,
        global: &Global,
        here: &Provenance,
        recorded: Option<u64>,
    ) -> Result<(), CommandError> {
        match counts(self, here) {
            Counting::Yes if !global.locked => {}
            Counting::Yes | Counting::No => return Ok(()),
            Counting::Unknown => {
                if !global.quiet {
                    anstream::eprintln!(
                        "git cannot read the repository of {}, so hosts do not record a commit, and \
                         an old checkout will not be noticed; run `git status` there",
                        self.loaded.folder.display()
                    );
                }
                return Ok(());
            }
        }
        let next = self.generation().max(recorded).unwrap_or_default().saturating_add(1);
        self.loaded.write_lock(&self.loaded.lock.of_generation(next)).map_err(|error| {
            CommandError::new(Exit::Failed, &error).hint(
                "add --locked to leave the lock file as it is; old copies are then not noticed",
            )
        })?;
        self.generation.store(next, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn inventory(&self) -> &Inventory {
        // `read` gives a fleet only where the inventory is there.
        self.loaded.inventory.as_ref().unwrap_or_else(|| unreachable!("a fleet has an inventory"))
    }

    /// Every host and unmanaged peer that the vault has to have a key for.
    pub(super) fn key_holders(&self) -> Vec<HostName> {
        let inventory = self.inventory();
        let hosts = inventory.hosts.iter().map(|host| &host.name.value);
        let peers = inventory.peers.iter().filter(|peer| peer.public_key.is_none());
        hosts.chain(peers.map(|peer| &peer.name.value)).cloned().collect()
    }

    /// The vault beside the inventory, opened with the user's identity.
    pub(super) fn unlock(global: &Global) -> Result<(Vault, Opened), CommandError> {
        let vault = Vault::open(&super::vault::folder(&global.file))?;
        let identities = super::vault::identities(global, &vault)?;
        let unlocked = vault.unlock(&identities);
        Ok((vault, unlocked.into()))
    }

    /// The same, but where the user has no identity at all, the vault stays closed.
    pub(super) fn unlock_if_possible(global: &Global) -> Result<(Vault, Opened), CommandError> {
        let vault = Vault::open(&super::vault::folder(&global.file))?;
        if super::identity::is_none(global, vault.index().fleet()) {
            return Ok((vault, Opened::without()?));
        }
        Self::unlock(global)
    }

    /// What the hosts are to have, with the keys that `keys` says.
    pub(super) fn desired(&self, keys: &dyn PublicKeys) -> Result<DesiredState, CommandError> {
        let (state, missing) = desired::build(self.inventory(), &self.topology, keys);
        if missing.is_empty() {
            return Ok(state);
        }
        let names: Vec<&str> = missing.iter().take(8).map(HostName::as_str).collect();
        let more = if missing.len() > 8 { ", …" } else { "" };
        Err(CommandError::message(
            Exit::Vault,
            format!("{} without keys: {}{more}", count(missing.len(), "host"), names.join(", ")),
        )
        .hint("run `wgfleet vault keygen`"))
    }

    /// Renders the files of hosts, in parallel.
    pub(super) fn render(
        &self,
        hosts: &[&DesiredHost],
        secrets: &Opened,
    ) -> Result<BTreeMap<HostName, RenderedHost>, CommandError> {
        let _watchdog = Watchdog::over(hosts.iter().copied());
        let renderer = self.renderer()?;
        let fleet = &self.inventory().fleet.value;
        let render = |host: &&DesiredHost| {
            let mut files = BTreeMap::new();
            for interface in &host.interfaces {
                let file = renderer
                    .render(host, interface, secrets)
                    .map_err(|error| CommandError::new(exit_of(&error), &error))?;
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

    pub(super) fn renderer(&self) -> Result<Renderer, CommandError> {
        let path = self.loaded.template_path();
        let template = self.loaded.template();
        let template = template.map_err(|error| CommandError::new(Exit::Findings, &error))?;
        let text = match template {
            Some(bytes) => String::from_utf8(bytes).map_err(|_| {
                CommandError::message(Exit::Findings, format!("{} is not UTF-8", path.display()))
            })?,
            None => DEFAULT_TEMPLATE.to_owned(),
        };
        let renderer = Renderer::new(self.inventory().fleet.value.clone(), text);
        renderer.map(|renderer| renderer.for_files(self.files())).map_err(|error| {
            CommandError::new(Exit::Findings, &error).hint(format!("fix {}", path.display()))
        })
    }
}

/// How a command ends that cannot render a file.
pub(super) const fn exit_of<E: std::error::Error>(error: &desired::RenderError<E>) -> Exit {
    match error {
        desired::RenderError::Secret { .. } => Exit::Vault,
        desired::RenderError::Template { .. }
        | desired::RenderError::Endless { .. }
        | desired::RenderError::TooLong { .. }
        | desired::RenderError::Markers { .. }
        | desired::RenderError::Control { .. } => Exit::Findings,
    }
}

/// What the vault's public keys say about those in the file. They are readable without identity; a
/// vault that is not there, or that cannot be read, is the affair of the commands that need it.
fn known_keys(global: &Global, inventory: &Inventory) -> Vec<Finding> {
    if inventory.peers.iter().all(|peer| peer.public_key.is_none()) {
        return Vec::new();
    }
    let Ok(vault) = Vault::open(&super::vault::folder(&global.file)) else { return Vec::new() };
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

/// Reports findings on stderr: warnings and errors unless quiet, where only errors.
pub(super) fn show(global: &Global, findings: &[Finding], loaded: &Loaded) {
    let least = if global.quiet { finding::Severity::Error } else { finding::Severity::Warning };
    let shown: Vec<Finding> = findings.iter().filter(|f| f.severity >= least).cloned().collect();
    if shown.is_empty() {
        return;
    }
    if global.format == Format::Json {
        let json = report::findings::json(&shown, &loaded.sources);
        anstream::eprint!("{}", report::json::line(&json).unwrap_or_default());
    } else {
        anstream::eprint!("{}", report::findings::human(&shown, &loaded.sources, true));
    }
}

/// `1 host`, `2 hosts`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

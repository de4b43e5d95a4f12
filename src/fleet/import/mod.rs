//! Taking over a fleet that runs already: what is read of it, and what is written.

mod files;
mod gathered;
mod hosts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::load::{FLEET_FILE, load};
use super::{Context, Error, Kind};
use crate::adopt::{Adoption, KnownHost, There, adopt, joined};
use crate::inventory::Inventory;
use crate::model::{FleetName, HostName, NetworkName, PublicKey};
use crate::sys::{self, Mode};
use crate::vault::{Index, TakenOver, Vault};

pub use files::read_files;
pub use gathered::{Gathered, Unreached};
pub use hosts::read_hosts;

/// What the folder has already.
#[derive(Debug, Default)]
pub struct Present {
    /// Its inventory, where there is one.
    inventory: Option<Inventory>,
    /// The name of the fleet that its inventory or vault has.
    pub fleet: Option<FleetName>,
    /// Who has which key.
    names: BTreeMap<PublicKey, HostName>,
}

impl Present {
    /// Looks at a folder that an import writes to.
    ///
    /// # Errors
    /// Where there is an inventory or a vault that cannot be read.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let mut present = Self::default();
        if folder.join("vault/index.json").exists() {
            let vault = Vault::open(&folder.join("vault"))?;
            present.fleet = Some(vault.index().fleet().clone());
            present.names = keys(vault.index());
        }
        let path = folder.join(FLEET_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(present);
        }
        let loaded = load(&path)?;
        let Some(inventory) = loaded.inventory else {
            let message = format!(
                "{} is there already and has errors, so that nothing can be added to it",
                path.display()
            );
            let hint = format!("correct it first: wgfleet check --file {}", path.display());
            return Err(Error::message(Kind::Findings, message).hint(hint));
        };
        present.fleet = Some(inventory.fleet.value.clone());
        for peer in &inventory.peers {
            if let Some(key) = &peer.settings.public_key {
                present.names.insert(key.value, peer.name.value.clone());
            }
        }
        present.inventory = Some(inventory);
        Ok(present)
    }

    /// The hosts and unmanaged peers that the inventory has.
    fn there(&self) -> There {
        let Some(inventory) = &self.inventory else { return There::default() };
        There {
            hosts: inventory.hosts.iter().map(|host| host.name.value.clone()).collect(),
            peers: inventory.peers.iter().map(|peer| peer.name.value.clone()).collect(),
        }
    }

    /// Calls what is known by the names that it has already.
    fn name(&self, hosts: &mut [KnownHost]) {
        for host in hosts {
            let mut keys = host.interfaces.iter().filter_map(crate::adopt::KnownInterface::key);
            if let Some(name) = keys.find_map(|key| self.names.get(&key)) {
                host.name = name.to_string();
                for interface in &mut host.interfaces {
                    let network = self.network(
                        name,
                        interface.addresses.iter().flatten().map(ipnet::IpNet::addr),
                    );
                    interface.network =
                        network.map(ToString::to_string).or(interface.network.take());
                }
            }
            for peer in host.interfaces.iter_mut().flat_map(|one| &mut one.peers) {
                if let Some(name) = self.names.get(&peer.public_key) {
                    peer.names.insert(0, name.to_string());
                }
            }
        }
    }

    /// The network in which a host has one of these addresses.
    fn network(
        &self,
        name: &HostName,
        mut addresses: impl Iterator<Item = std::net::IpAddr>,
    ) -> Option<&NetworkName> {
        let inventory = self.inventory.as_ref()?;
        let host = inventory.hosts.iter().find(|host| host.name.value == *name)?;
        let networks = || host.interfaces.iter().map(|one| &inventory.networks[one.network]);
        let holds = |addr: std::net::IpAddr| {
            networks().find(|one| one.prefixes.iter().any(|net| net.value.contains(&addr)))
        };
        Some(&addresses.find_map(holds)?.name.value)
    }
}

/// The owners of the current keys of a vault.
fn keys(index: &Index) -> BTreeMap<PublicKey, HostName> {
    index.names().filter_map(|name| Some((index.current(name)?, name.clone()))).collect()
}

/// Draws the inventory of what was read; of a fleet that is there already, only what is new.
///
/// # Errors
/// Where nothing was read, or no inventory can have it.
pub fn draw(fleet: &FleetName, present: &Present, gathered: Gathered) -> Result<Adoption, Error> {
    let mut hosts = joined(gathered.hosts);
    present.name(&mut hosts);
    adopt(fleet, hosts, gathered.remarks, &present.there()).map_err(|error| {
        Error::new(Kind::Findings, error).hint(
            "name files of wg-quick(8), or what `wg showconf` or `wg show all dump` print as root",
        )
    })
}

/// What an import has written.
#[derive(Debug)]
pub struct Written {
    /// The inventory, or what is new of it; none where nothing is.
    pub file: Option<PathBuf>,
    /// Whether fleet.yaml has yet to include that file.
    pub to_include: bool,
    /// What the vault has taken over.
    pub vault: TakenOver,
}

/// Puts keys into the vault of a folder, which is there already, and writes what is new of the inventory.
///
/// # Errors
/// Where the vault cannot be used, or has other keys of these hosts; or a file cannot be written. The
/// inventory comes last, so that it is not there unless its keys are.
pub fn write(
    context: &Context,
    folder: &Path,
    present: &Present,
    adoption: &mut Adoption,
    now: Timestamp,
) -> Result<Written, Error> {
    let mut vault = Vault::open(&folder.join("vault"))?.with_prompts(context.keyring.prompts());
    vault.refuse_unconfirmed()?;
    let identities = context.identities_to_write(&vault)?;
    let shared = std::mem::take(&mut adoption.preshared_keys);
    let shared = shared.into_iter().map(|shared| (shared.pair, shared.key)).collect();
    let taken = vault.take_over(&adoption.keys, shared, &identities, now)?;
    let is_new = present.inventory.is_none();
    if !adoption.has_new() {
        return Ok(Written { file: None, to_include: false, vault: taken });
    }
    let path = if is_new { folder.join(FLEET_FILE) } else { unused(folder) };
    sys::write_new(&path, adoption.text().as_bytes(), Mode::Public)
        .map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Written { file: Some(path), to_include: !is_new, vault: taken })
}

/// A file for what is new that is not there yet.
fn unused(folder: &Path) -> PathBuf {
    let numbered = (2..).map(|number| folder.join(format!("imported-{number}.yaml")));
    let mut all = std::iter::once(folder.join("imported.yaml")).chain(numbered);
    let free = all.find(|path| fs::symlink_metadata(path).is_err());
    free.unwrap_or_else(|| unreachable!("there is always another number"))
}

//! What a draft means: the topology that follows from its text.

use std::path::PathBuf;

use super::draft::Draft;
use super::text;
use crate::finding::{Finding, Severity};
use crate::inventory::{self, Inventory, LockFile, allocate};
use crate::model::{HostName, NetworkName};
use crate::topology::{self, InterfaceId, Topology};

/// The name of a draft's file.
pub(super) const FILE: &str = "fleet.yaml";

/// A draft's inventory, and what follows from it.
pub(super) struct Meaning {
    pub(super) inventory: Inventory,
    pub(super) topology: Topology,
}

impl Meaning {
    /// Reads the text of a draft as every command does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(draft: &Draft) -> Result<Self, Vec<Finding>> {
        let parsed = inventory::parse(PathBuf::from(FILE), text::text(draft));
        let errors = |findings: Vec<Finding>| -> Vec<Finding> {
            findings.into_iter().filter(|one| one.severity == Severity::Error).collect()
        };
        let Some(inventory) = parsed.inventory else { return Err(errors(parsed.findings)) };
        let (lock, _) = allocate(&inventory, &LockFile::default());
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(&inventory, &addresses);
        Ok(Self { inventory, topology })
    }

    /// The interface of a member of a network of the draft.
    pub(super) fn member(
        &self,
        draft: &Draft,
        network: usize,
        name: &HostName,
    ) -> Option<InterfaceId> {
        let name_of = &draft.networks[network].name;
        let network = self.inventory.networks.iter().position(|one| one.name.value == *name_of)?;
        self.topology.member(self.topology.find(name)?, network)
    }
}

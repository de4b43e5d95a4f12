//! The paths of a lab, and the first processes of its hosts.

use std::fs;
use std::path::{Path, PathBuf};

use super::netns::{network_of, network_of_process};
use super::spec::Node;
use crate::model::FleetName;

/// The folder that holds a folder for each lab.
pub const STATE_ROOT: &str = "/run/wgfleet-lab";

/// The paths of a lab.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(name: &FleetName) -> Self {
        Self(Path::new(STATE_ROOT).join(name.as_str()))
    }

    pub(super) const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Exists once every host has answered.
    pub(super) fn ready(&self) -> PathBuf {
        self.0.join("ready")
    }

    /// Where network namespaces are pinned.
    pub(super) fn pins(&self) -> PathBuf {
        self.0.join("ns")
    }

    pub(super) fn pin(&self, node: Node) -> PathBuf {
        self.pins().join(node.id())
    }

    /// A host's disk, log and PID.
    pub(super) fn host(&self, id: &str) -> PathBuf {
        self.0.join("hosts").join(id)
    }

    /// A layer that hosts share.
    pub(super) fn layer(&self, name: &str) -> PathBuf {
        self.0.join("layers").join(name)
    }

    pub(super) fn ssh_key(&self) -> PathBuf {
        self.0.join("id_ed25519")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    pub(super) fn ssh_config(&self) -> PathBuf {
        self.0.join("ssh_config")
    }

    /// PID of a host's first process; `None` where the host is off. The namespace is compared, since
    /// a number may have a new owner.
    pub(super) fn pid(&self, node: Node) -> Option<u32> {
        if !matches!(node, Node::Host(_)) {
            return None;
        }
        let pid = fs::read_to_string(self.host(&node.id()).join("pid")).ok()?.parse().ok()?;
        let network = network_of(&self.pin(node))?;
        (network_of_process(pid)? == network).then_some(pid)
    }
}

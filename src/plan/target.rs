//! What one host is to have once its facts are known: backend, files, units, rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::firewall::Firewall;
use super::helper::HelperSource;
use super::manager::Manager;
use super::names::Names;
use super::obstacle::Obstacle;
use super::ownership::clash;
use super::rename::Renames;
use crate::desired::{DesiredHost, DesiredInterface, RenderedFile, secret_digest};
use crate::model::{Fingerprint, FingerprintKey, FleetName, HostPath, InterfaceName, UnitName};
use crate::observed::{LiveBackend, ObservedFile, ObservedHost, UnitState};

/// The rendered files of one host and the key of its fingerprints.
pub struct RenderedHost {
    /// The fleet that the host is of.
    pub fleet: FleetName,
    /// wg0.conf by interface.
    pub files: BTreeMap<InterfaceName, RenderedFile>,
    /// Key of the fingerprints of this host's files.
    pub key: FingerprintKey,
    /// Whether the files have the secrets of the vault.
    pub secrets: SecretState,
}

impl std::fmt::Debug for RenderedHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RenderedHost").field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

/// One host as it is to be, everything decided.
#[derive(Debug)]
pub struct Target<'a> {
    /// What the file says of it.
    pub desired: &'a DesiredHost,
    /// Its interfaces.
    pub interfaces: Vec<TargetInterface<'a>>,
    /// Whether wgfleet's own binary has to be there.
    pub helper: bool,
    /// Files by path.
    pub files: BTreeMap<HostPath, TargetFile>,
    /// Files of interfaces that were seen with the wanted secrets, whatever else differs.
    pub(super) alike: BTreeSet<HostPath>,
    /// Units by name.
    pub units: BTreeMap<UnitName, UnitState>,
    /// What configures its interfaces.
    pub(super) manager: &'static dyn Manager,
    /// What it masquerades with.
    pub firewall: Option<Firewall>,
    /// The names of what this fleet has there and other fleets have too.
    pub names: Names,
    /// What still has a name without the fleet's in it.
    pub(super) renames: Renames,
    /// Why it cannot be done.
    pub blocked: Option<Obstacle>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// One interface as it is to be.
#[derive(Debug)]
pub struct TargetInterface<'a> {
    /// What the file says of it.
    pub desired: &'a DesiredInterface,
    /// What is to carry its packets.
    pub backend: LiveBackend,
    /// Whether it is started through wg-quick, which alone does policy routing, DNS and hooks.
    pub quick: bool,
}

/// One file as it is to be.
#[derive(Debug, Clone)]
pub struct TargetFile {
    /// Permission bits.
    pub mode: u32,
    /// Keyed digest of the content.
    pub fingerprint: Fingerprint,
    /// The content with secrets hidden.
    pub public_text: String,
    /// The interface whose rendered file it is; `None`: the public text is the content.
    pub conf: Option<InterfaceName>,
    /// Whether the fingerprint is that of the secrets too; otherwise only the public text counts.
    pub secrets: SecretState,
}

impl TargetFile {
    /// Whether a file has this content, as far as it is known.
    #[must_use]
    pub fn is_content_of(&self, seen: &ObservedFile) -> bool {
        match self.secrets {
            SecretState::Compared => seen.fingerprint == self.fingerprint,
            SecretState::NotCompared => seen.public_text == self.public_text,
        }
    }
}

impl Target<'_> {
    /// Whether its changes may turn out to be blocked; [`super::diff_host`] says whether they are.
    #[must_use]
    pub fn may_be_blocked(
        &self,
        fleet: &FleetName,
        observed: &ObservedHost,
        helpers: &HelperSource,
    ) -> bool {
        let facts = &observed.facts;
        let by_kernel = |own: &TargetInterface<'_>| {
            own.quick && own.backend != LiveBackend::Kernel && facts.kernel_wireguard
        };
        self.blocked.is_some()
            || observed.armed.is_some()
            || (self.helper && !helpers.builds.contains_key(&facts.machine))
            || self.interfaces.iter().any(by_kernel)
            || clash(fleet, self.desired, observed).is_some()
    }

    /// Keyed digest of all that the host is to have, whatever it has now.
    #[must_use]
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        let mut text = String::new();
        for interface in &self.interfaces {
            let (name, backend) = (&interface.desired.name, interface.backend);
            let _ = writeln!(text, "interface {name} {backend:?} {}", interface.quick);
        }
        for (path, file) in &self.files {
            let _ = writeln!(text, "file {path} {:o} {}", file.mode, file.fingerprint);
        }
        for (unit, state) in &self.units {
            let _ = writeln!(text, "unit {unit} {} {}", state.enabled, state.active);
        }
        secret_digest(key, text.as_bytes())
    }
}

/// Whether a plan compares private and preshared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecretState {
    /// The vault was open, and every key was compared.
    Compared,
    /// The vault was not open: what only differs in a key is not in the plan, and it cannot be
    /// carried out.
    NotCompared,
}

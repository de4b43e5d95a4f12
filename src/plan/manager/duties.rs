//! What everyone who configures interfaces has to say of it.

use std::fmt::Debug;

use super::units::Units;
use crate::model::{HostPath, InterfaceName, Tool, UnitName};
use crate::observed::{Facts, LiveBackend};
use crate::plan::{Obstacle, Op};

/// Who configures interfaces.
pub(in crate::plan) trait Manager: Debug + Sync {
    /// Whether it configures the interfaces of such a host, unless one before it does.
    fn takes(&self, facts: &Facts) -> bool;

    /// What it runs to start and stop an interface; wgfleet's own binary stands in for what a host
    /// does not have. `_quick`: whether wg-quick(8) has to start it.
    fn needs(&self, _quick: bool) -> &'static [Tool] {
        &[Tool::Wg, Tool::WgQuick]
    }

    /// What starts an interface that wg-quick(8) has to start, from its file; `None`: its unit does.
    fn quick_up(&self, _interface: &InterfaceName, _backend: LiveBackend) -> Option<Op> {
        None
    }

    /// What runs its units; `None`: it has none, and nothing comes back with the next boot.
    fn units(&self) -> Option<&'static dyn Units>;

    /// What the operator should know of such a host.
    fn note(&self) -> Option<&'static str> {
        None
    }

    /// Why it cannot have an interface of that name.
    fn refuses(&self, _interface: &InterfaceName) -> Option<Obstacle> {
        None
    }

    /// The unit of an interface.
    fn unit(&self, _interface: &InterfaceName) -> Option<UnitName> {
        None
    }

    /// The interface of a unit of its own.
    fn interface_of_unit(&self, _unit: &str) -> Option<InterfaceName> {
        None
    }

    /// Where the file lies that it has for an interface beside that of wg-quick(8).
    fn path(&self, _interface: &InterfaceName) -> Option<HostPath> {
        None
    }

    /// The interface of such a file.
    fn interface_of(&self, _path: &str) -> Option<InterfaceName> {
        None
    }

    /// What is in such a file.
    fn text(&self, _wanted: &Wanted<'_>) -> String {
        String::new()
    }
}

/// An interface as it is to be, for the text of a file.
#[derive(Debug)]
pub(in crate::plan) struct Wanted<'a> {
    /// Its name.
    pub(in crate::plan) interface: &'a InterfaceName,
    /// What is to carry its packets.
    pub(in crate::plan) backend: LiveBackend,
    /// Its file, without secrets.
    pub(in crate::plan) conf: &'a str,
    /// Rules that are loaded once it is up.
    pub(in crate::plan) rules: Option<&'a HostPath>,
}

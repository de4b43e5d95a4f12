//! No service manager that wgfleet knows: interfaces are started plainly.

use super::duties::Manager;
use super::units::Units;
use crate::model::{InterfaceName, Tool};
use crate::observed::{Facts, LiveBackend};
use crate::plan::Op;

/// A host without systemd.
#[derive(Debug)]
pub(super) struct Plain;

impl Manager for Plain {
    fn takes(&self, _facts: &Facts) -> bool {
        true
    }

    fn needs(&self, quick: bool) -> &'static [Tool] {
        if quick { &[Tool::Wg, Tool::WgQuick] } else { &[Tool::Wg] }
    }

    fn quick_up(&self, interface: &InterfaceName, backend: LiveBackend) -> Option<Op> {
        Some(Op::QuickUp { interface: interface.clone(), backend })
    }

    fn units(&self) -> Option<&'static dyn Units> {
        None
    }

    fn note(&self) -> Option<&'static str> {
        Some("no systemd: the interfaces are started plainly and do not survive a reboot")
    }
}

//! Why a group does not change.

use crate::event::Reason;
use crate::model::HostName;

/// Why a group does not change: one of its hosts, or whoever stops the run.
#[derive(Debug, Clone)]
pub(super) struct Blame {
    /// The host; `None`: it is not about one.
    host: Option<HostName>,
    reason: Reason,
}

impl Blame {
    /// A host did not change.
    pub(super) fn host(host: &HostName, reason: Reason) -> Self {
        Self { host: Some(host.clone()), reason }
    }

    /// The run is to stop.
    pub(super) const fn interrupted() -> Self {
        Self { host: None, reason: Reason::Interrupted }
    }

    /// Why a host of the group does not change.
    pub(super) fn of(&self, name: &HostName) -> Reason {
        match &self.host {
            Some(host) if host != name => {
                Reason::Group { host: host.clone(), reason: Box::new(self.reason.clone()) }
            }
            _ => self.reason.clone(),
        }
    }
}

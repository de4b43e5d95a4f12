//! Why a group does not change.

use crate::event::Reason;
use crate::model::HostName;

/// Why a group does not change: one of its hosts, or the run itself.
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

    /// It is about the run, and no host.
    pub(super) const fn run(reason: Reason) -> Self {
        Self { host: None, reason }
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

//! What happens while a command runs, as data: bars, plain lines, NDJSON and tests read the same.

mod notice;

pub use notice::Notice;

use serde::Serialize;

use crate::model::HostName;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A stage of work over several hosts begins.
    Begin {
        /// Which.
        stage: Stage,
        /// Over how many hosts.
        hosts: usize,
    },
    /// A host is being worked on.
    Working {
        /// The host.
        host: HostName,
        /// What is being done, as a lower-case fragment.
        what: String,
    },
    /// A host is done with the stage.
    Done {
        /// The host.
        host: HostName,
        /// What came out, as a lower-case fragment.
        outcome: String,
    },
    /// A host failed the stage.
    Failed {
        /// The host.
        host: HostName,
        /// Why.
        reason: String,
    },
    /// The stage is over.
    End {
        /// Which.
        stage: Stage,
    },
    /// Something worth saying.
    Notice {
        /// What.
        notice: Notice,
    },
}

/// A stage of work over several hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Hosts are read.
    Observe,
    /// Hosts are changed.
    Apply,
}

/// Takes events as they happen, from any task.
pub trait Sink: Send + Sync {
    /// Takes one.
    fn event(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Sink for F {
    fn event(&self, event: Event) {
        self(event);
    }
}

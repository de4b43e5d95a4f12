//! The lines of a journal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::model::{FleetName, HostName, Moment, Untrusted};
use crate::observed::Commit;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entry")]
pub enum Entry {
    /// The first line: a run begins.
    Begin(Header),
    /// These hosts are about to be changed.
    Intent {
        /// When.
        at: Moment,
        /// The hosts.
        hosts: Vec<HostName>,
        /// The same in waves, and each of those in groups that change together or not at all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waves: Vec<Vec<Vec<HostName>>>,
    },
    /// Something happened to a host.
    Told {
        /// When.
        at: Moment,
        /// What.
        event: Event,
    },
    /// The last line: the run has ended, and said how each host did.
    End {
        /// When.
        at: Moment,
    },
}

/// Who runs what, and from which state of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// The run's id.
    pub run: String,
    /// When it began.
    pub at: Moment,
    /// What is run.
    pub kind: RunKind,
    /// The fleet.
    pub fleet: FleetName,
    /// Who runs it, as `user@machine`.
    pub who: Untrusted,
    /// The commit that the inventory is at; `None` outside git.
    pub commit: Option<Commit>,
    /// The generation of the lock file, where it has one.
    pub generation: Option<u64>,
}

impl Header {
    /// The version that this program writes, and the only one that it reads.
    pub const VERSION: u32 = 1;
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// A plan is carried out.
    Apply,
    /// Keys are changed.
    Rotate,
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apply => "apply",
            Self::Rotate => "rotate",
        })
    }
}

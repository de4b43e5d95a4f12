//! What can go wrong with a lab.

use std::io;
use std::path::PathBuf;

use crate::model::did_you_mean;
use crate::sys::FileError;

/// Why a lab could not be raised, used or taken down.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The user is not root.
    #[error("a lab needs root: it makes namespaces, mounts and network interfaces")]
    NotRoot,
    /// Tunnels have no device.
    #[error("there is no /dev/net/tun; load the tun module, or give the container the device")]
    NoTun,
    /// A program that the lab runs is missing.
    #[error("{program} is missing; install the Debian package {package}")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A lab that is not up was asked for.
    #[error("there is no lab {name}")]
    NoLab {
        /// Its name.
        name: String,
    },
    /// A half-made or half-removed lab was asked for.
    #[error(
        "the lab {name} is incomplete: an earlier `lab up` or `lab down` did not finish; run `wgfleet lab down --name {name}`"
    )]
    NotWhole {
        /// Its name.
        name: String,
    },
    /// A node that the lab does not have was named.
    #[error("the lab {lab} has no node `{node}`{}", did_you_mean(.close.as_deref()))]
    NoNode {
        /// The lab.
        lab: String,
        /// What was named.
        node: String,
        /// The node with the closest name.
        close: Option<String>,
    },
    /// A node was to be switched off or on that is no host.
    #[error("only hosts can be switched off and on: `{node}` of the lab {lab} is none")]
    NotHost {
        /// The lab.
        lab: String,
        /// What was named.
        node: String,
    },
    /// A node was named that has no underlay cable.
    #[error("`{node}` of the lab {lab} has no underlay cable: name a host, or router-SITE")]
    NoCable {
        /// The lab.
        lab: String,
        /// What was named.
        node: String,
    },
    /// A host is switched off.
    #[error("{host} is switched off; run `wgfleet lab start {host}`")]
    Off {
        /// The host.
        host: String,
    },
    /// Another lab of the same name has other contents.
    #[error("the lab {name} is up with a different inventory; run `wgfleet lab down` first")]
    Differs {
        /// Its name.
        name: String,
    },
    /// A program that the lab ran has failed.
    #[error("{what} failed: {said}")]
    Program {
        /// What was run, for people.
        what: String,
        /// What it said on standard error.
        said: String,
    },
    /// A system call has failed.
    #[error("failed to {what}")]
    Io {
        /// What was tried, as an infinitive.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A host does not answer.
    #[error("{host} does not answer on its ssh port: {said}")]
    Silent {
        /// The host.
        host: String,
        /// The last lines of its log.
        said: String,
    },
    /// The state file of a lab says nonsense.
    #[error("{path} is not the state of a lab")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Something of a lab would not go away.
    #[error("the lab {name} is still held: {what}")]
    Held {
        /// Its name.
        name: String,
        /// What is left.
        what: String,
    },
}

/// Attaches what was tried to an I/O error.
pub(super) trait Tried<T> {
    /// Says what was tried, as an infinitive.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|error| LabError::Io { what: what(), source: error.into() })
    }
}

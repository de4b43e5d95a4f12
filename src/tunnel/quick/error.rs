//! Why an interface is not started, stopped or saved.

use std::io;
use std::path::PathBuf;

use crate::model::{InterfaceName, NameError};
use crate::sys::FileError;
use crate::tunnel::conf::ConfError;
use crate::tunnel::{ResolveError, TunnelError};

/// Why an interface was not started, stopped or saved.
#[derive(Debug, thiserror::Error)]
pub enum QuickError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not called after an interface.
    #[error("{path} must be called INTERFACE.conf")]
    FileName {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        #[source]
        source: Option<NameError>,
    },
    /// The file says something that cannot be.
    #[error("{path}")]
    Conf {
        /// The file.
        path: PathBuf,
        /// What and where.
        #[source]
        source: ConfError,
    },
    /// An interface of that name is there.
    #[error("`{0}' already exists")]
    Exists(InterfaceName),
    /// There is no such interface.
    #[error("`{0}' is not a WireGuard interface")]
    NotWireGuard(InterfaceName),
    /// A program is not installed; nothing was touched.
    #[error("{tool} is missing, which {purpose} needs; nothing was touched")]
    Missing {
        /// The program.
        tool: &'static str,
        /// Who needs it.
        purpose: &'static str,
    },
    /// A program failed.
    #[error("`{command}' failed: {why}")]
    Tool {
        /// The program with its arguments.
        command: String,
        /// What it said.
        why: String,
    },
    /// A program cannot be started.
    #[error("failed to run `{command}'")]
    Run {
        /// The program with its arguments.
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A name does not resolve; nothing was touched.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The interface does not take its configuration.
    #[error("failed to configure the interface")]
    Configure(#[source] io::Error),
    /// The userspace tunnel does not start.
    #[error("failed to start the userspace tunnel")]
    Tunnel(#[from] TunnelError),
    /// Somebody ended it.
    #[error("interrupted; what was begun is undone")]
    Interrupted,
    /// Nobody could end it.
    #[error("failed to listen for interrupts")]
    Interrupts(#[source] io::Error),
    /// A kernel setting cannot be made.
    #[error("failed to set {name}")]
    Sysctl {
        /// The setting.
        name: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

//! Hosts behind the system's ssh(1); the only module that knows openssh.
//!
//! All that runs on a host is one static script (`host.sh`); what varies goes to its stdin.

mod observe;
mod session;

pub(crate) use observe::describe;
pub use observe::{Look, Observing, observe_all, observe_host};
pub use session::{Connector, Host, RemoteError, Reply};

/// The host's side: POSIX sh, static.
pub(crate) const HOST_SCRIPT: &str = include_str!("host.sh");

//! The data plane: what turns IP packets into `WireGuard`'s datagrams and back.
//!
//! [`Engine`] is all that the rest of the crate knows of it. [`Userspace`] is the one
//! implementation: peers, `AllowedIPs`, sockets and threads around the pure state machines of
//! [`crate::tunnel::noise`].

mod allowed_ips;
mod answers;
mod binding;
mod clock;
mod codel;
mod configure;
mod device;
mod guard;
mod handshakes;
mod inbound;
mod index_table;
mod outbound;
mod outer;
mod packet;
mod peer;
mod refusal;
mod send_batch;
mod sockets;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod turnstile;
mod workers;

pub use allowed_ips::AllowedIps;
pub use device::Userspace;
pub use workers::Workers;

use std::io;
use std::time::SystemTime;

use super::{DeviceChange, DeviceSnapshot};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The port is taken, or the sockets cannot be made.
    #[error("failed to bind UDP port {port}")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mark is not allowed.
    #[error("failed to set the mark of the UDP sockets")]
    Mark(#[source] io::Error),
    /// A thread cannot be started.
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
}

impl EngineError {
    /// The number of errno.h that UAPI reports.
    #[must_use]
    pub fn errno(&self) -> i32 {
        let (Self::Bind { source, .. } | Self::Mark(source) | Self::Thread(source)) = self;
        source.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
    }
}

/// What the system says of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it is up.
    pub up: bool,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// A running tunnel.
pub trait Engine: Send + Sync {
    /// Changes the interface. Whatever the change does not name keeps its sessions, its counters
    /// and its sockets, and no packet of it waits.
    ///
    /// # Errors
    /// [`EngineError`]; peers are not touched then.
    fn apply(&self, change: DeviceChange) -> Result<(), EngineError>;

    /// The interface as it is now.
    fn snapshot(&self) -> DeviceSnapshot;

    /// The interface went up or down, or its MTU changed.
    ///
    /// # Errors
    /// [`EngineError::Bind`] where it went up and its port, or a family of it, is taken. What is
    /// missing is asked for again for as long as the interface is up.
    fn link(&self, state: LinkState) -> Result<(), EngineError>;

    /// The host's routes are not what they were: messages leave from where they lead now.
    fn routes_changed(&self);

    /// The time that the last initiation carried.
    fn last_initiation(&self) -> Option<SystemTime>;

    /// Has each initiation carry a later time than this, which another process has sent.
    fn go_on_after(&self, initiation: SystemTime);

    /// Ends every thread and closes every socket; no session outlives it.
    fn stop(&self);
}

//! The embedded tunnel, and the stand-ins for `wg` and `wg-quick`.
//!
//! [`Engine`] is the data plane between the two [`transport`] traits; [`uapi`] is how `wg` talks
//! to it. [`DeviceChange`] and [`DeviceSnapshot`] are the values that all of them exchange.

mod access;
mod change;
pub mod conf;
mod confinement;
mod daemon;
mod drops;
pub mod engine;
mod kernel;
mod link;
mod netlink;
pub mod noise;
mod notify;
pub mod offload;
mod own_service;
mod panic;
mod priority;
pub mod quick;
mod resolve;
mod routes;
mod show;
mod snapshot;
mod stamp;
mod system_log;
pub mod transport;
mod tun;
pub mod uapi;
mod udp;
mod wake;

pub use access::{get, interfaces, runs_in_userspace, set};
pub use change::{AllowedIpChange, DeviceChange, PeerChange, Setting};
pub use daemon::{Announce, TunnelError, UserspaceCommand, run, start_in_background};
pub use drops::{Cause, Drops};
pub use engine::{Engine, EngineError, LinkState, Userspace, Workers};
pub use kernel::Kernel;
pub use link::{LinkEvent, LinkWatch, kernel_interfaces};
pub use own_service::ended;
pub use resolve::{ResolveError, Retries, resolve};
pub use show::{Field, show_conf, show_field, show_human};
pub use snapshot::{DeviceSnapshot, PeerSnapshot};
pub use tun::{SystemTun, TunError};
pub use udp::SystemSockets;

/// Reads any bytes as messages of the kernel, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub fn read_netlink(bytes: &[u8]) {
    for message in netlink::messages(bytes) {
        kernel::read(&message);
        link::read(&message);
    }
}

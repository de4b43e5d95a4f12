//! The embedded tunnel, and the stand-ins for `wg` and `wg-quick`.
//!
//! [`Engine`] is the data plane between the two [`transport`] traits; [`uapi`] is how `wg` talks
//! to it. [`DeviceChange`] and [`DeviceSnapshot`] are the values that all of them exchange.

mod change;
mod daemon;
pub mod engine;
mod link;
mod netlink;
mod snapshot;
pub mod transport;
mod tun;
pub mod uapi;
mod udp;
mod wake;

pub use change::{AllowedIpChange, DeviceChange, PeerChange, Setting};
pub use daemon::{Announce, TunnelError, run, start_in_background};
pub use engine::{Engine, EngineError, LinkState, Userspace};
pub use link::{LinkEvent, LinkWatch, kernel_interfaces};
pub use snapshot::{DeviceSnapshot, PeerSnapshot};
pub use tun::{SystemTun, TunError};
pub use udp::SystemSockets;

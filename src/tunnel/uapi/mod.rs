//! The cross-platform userspace protocol: `get=1` and `set=1` over a Unix socket.
//!
//! Follows <https://www.wireguard.com/xplatform/> and, where that is silent, what `wg` and
//! wireguard-go do. A tunnel of ours adds `dropped_CAUSE=COUNT` to what it says of the interface and of
//! each peer, for each [`Cause`](super::Cause) that occurred.

mod client;
mod lines;
mod parse;
mod render;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ClientError, Connection};
pub use parse::{ParseError, Reason, Request, RequestParser, SnapshotParser};
pub use render::{render_change, render_snapshot};
pub use server::{Server, ServerError};

use std::path::PathBuf;

use crate::model::InterfaceName;

/// Where the sockets of all interfaces are.
pub const FOLDER: &str = "/var/run/wireguard";

/// What our own keys of the protocol begin with: how much was dropped, and why.
const DROPPED: &str = "dropped_";

/// The socket of one interface.
#[must_use]
pub fn socket_path(interface: &InterfaceName) -> PathBuf {
    PathBuf::from(format!("{FOLDER}/{interface}.sock"))
}

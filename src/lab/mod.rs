//! The digital twin: a fleet's hosts, LANs and underlay as namespaces of one Linux machine.
//!
//! [`Spec`] says what there is to raise (pure, derived from the inventory); [`Lab`] raises it,
//! runs commands in it and takes it down again. Everything that a lab makes lies in one folder
//! with a tmpfs of its own, in network namespaces pinned there, and in one branch of the cgroup
//! tree: taking it down needs no memory of how far it came up.
//!
//! What exists in a lab:
//!
//! - every host: its own network, mount, PID, UTS, IPC and cgroup namespace over a private overlay
//!   of the machine's root, with its own sshd;
//! - `internet`: the router between all sites, with a stub address to test full tunnels against;
//! - a router for each site, with the MTU of the site's way out, and real source NAT for those
//!   hosts of the site that the inventory puts behind NAT;
//! - a LAN with one client for each subnet behind a gateway;
//! - a management segment that ssh uses, so that a cut underlay never hides a host.

mod boot;
mod cgroup;
mod connect;
mod derive;
mod disk;
mod down;
mod error;
mod folder;
mod init;
mod limits;
mod machine;
mod nat;
mod netns;
mod pool;
mod power;
mod skeleton;
mod spec;
mod ssh;
mod state;
mod up;
mod wiring;
mod workers;

pub use boot::boot;
pub use connect::connect;
pub use derive::{UNDERLAY_V4, UNDERLAY_V6};
pub use error::LabError;
pub use folder::STATE_ROOT;
pub use init::init;
pub use machine::places_of;
pub use power::Cable;
pub use spec::{Cabling, Forward, HostSpec, Init, Lan, Login, Node, Router, Spec, SpecError};
pub use state::{Lab, NodeStatus};

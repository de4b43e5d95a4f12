//! From a host's changes to what is sent there: staged files, operations, and the rollback.
//!
//! Pure: the same plan, target, observation and secrets give the same bytes.

mod boot;
mod conf;
mod host_settings;
mod interface;
mod op;
mod payload;
mod peers;
mod routes;
mod word;

pub use op::{Op, Saved};
pub use payload::Payload;
pub use word::{Mode, Seconds, Staged, Sysctl};

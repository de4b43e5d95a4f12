//! Carrying out a plan: staged on the host, armed with a deadline, done, and confirmed over a new
//! connection; what is not confirmed goes back by itself.

mod before;
mod boot;
mod conf;
mod fleet;
mod host;
mod host_settings;
mod interface;
mod payload;
mod peers;
mod rotate;
mod routes;
mod verdict;

pub use fleet::{Job, apply_all};
pub use host::{ApplyError, Outcome};
pub use payload::Payload;
pub use rotate::{GRACE, Rotation, rotate};

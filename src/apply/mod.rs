//! Carrying out a plan: staged on the host, armed with a deadline, done, and confirmed over a new
//! connection; what is not confirmed is rolled back by the host itself.

mod before;
mod blame;
mod clock;
mod context;
mod deadline;
mod fleet;
mod flip;
mod health;
mod host;
mod job;
mod lock;
mod member;
mod prepare;
mod probe;
mod push;
mod rekeyed;
mod rotate;
mod run_lock;
mod settle;
mod transaction;
mod verdict;
mod verify;

pub use context::Conduct;
pub use fleet::apply_groups;
pub use job::Job;
pub use rotate::{Rotation, rotate};
pub use run_lock::RunLock;
pub use verdict::{GRACE, ROLLBACK_LIMIT};

//! Carrying out a plan: staged on the host, armed with a deadline, done, and confirmed over a new
//! connection; what is not confirmed is rolled back by the host itself.

mod before;
mod context;
mod fleet;
mod health;
mod host;
mod job;
mod push;
mod rotate;
mod verdict;

pub use fleet::apply_all;
pub use job::Job;
pub use rotate::{GRACE, Rotation, rotate};
pub use verdict::ROLLBACK_LIMIT;

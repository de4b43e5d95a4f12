//! Carrying out a plan: staged on the host, armed with a deadline, done, and confirmed over a new
//! connection; what is not confirmed goes back by itself.

mod before;
mod fleet;
mod host;
mod rotate;
mod verdict;

pub use fleet::{Job, apply_all};
pub use host::{ApplyError, Outcome};
pub use rotate::{GRACE, Rotation, rotate};
pub use verdict::ROLLBACK_LIMIT;

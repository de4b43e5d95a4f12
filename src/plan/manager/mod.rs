//! Who configures an interface on a host: what it writes there, which unit it has, what starts and stops
//! that, and which programs it needs.
//!
//! Each has a file here and a row in [`choice`], which alone decides. A host may also have what another
//! one left, so what is there is known by asking all of them.

mod choice;
mod duties;
mod own_unit;
mod plain;
mod systemd;
mod units;
mod wg_quick;

pub use choice::{files_of, units_of};
pub(super) use choice::{interface_of, of, operation, reader_of};
pub(super) use duties::{Manager, Wanted};
pub(super) use units::Step;

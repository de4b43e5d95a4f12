//! The machine below: files that are written whole or not at all, descriptors that stay here, the
//! clock, events that have its times, and what a run hears that is to stop.

mod clock;
mod confined;
mod descriptors;
mod digest;
mod elf;
mod environment;
mod events;
mod file;
mod gzip;
mod hangup;
mod memory;
mod run_folder;
mod slept;
mod stop;

pub use clock::{Clock, FixedClock, SystemClock};
pub use confined::{ConfinedError, Confinement, read_named, read_regular};
pub use descriptors::forget_inherited_descriptors;
pub use digest::sha256;
pub use elf::{Elf, read_elf};
pub use environment::take_variable;
pub use events::Events;
pub use file::{FileError, Mode, read_limited, write_atomic, write_new};
pub use gzip::gzip;
pub use hangup::ignores_hangup;
pub use memory::resident_bytes;
pub use run_folder::RunFolder;
pub use slept::Slept;
pub use stop::Stop;

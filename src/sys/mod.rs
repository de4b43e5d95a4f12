//! The machine below: files that are written whole or not at all.

mod file;

pub use file::{FileError, Mode, read_limited, write_atomic};

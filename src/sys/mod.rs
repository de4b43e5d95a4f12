//! The machine below: files that are written whole or not at all, descriptors that stay here.

mod descriptors;
mod file;

pub use descriptors::forget_inherited_descriptors;
pub use file::{FileError, Mode, read_limited, write_atomic};

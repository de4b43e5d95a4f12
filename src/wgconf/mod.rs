//! The text of `WireGuard` configuration files: the one reader, writer and redactor of
//! `[Interface]` and `[Peer]`.
//!
//! [`lines`] takes any bytes apart as wg(8) and wg-quick(8) do, and [`Document`] groups what it finds
//! by section; neither loses a byte nor refuses one. What a value may be, and which setting stands
//! where, is for whoever reads: `tunnel::conf` is as strict as wg(8), `plan` reads files of strangers.
//! [`Writer`] writes, and [`redact`] hides secrets.

mod document;
mod line;
mod redact;
mod setting;
#[cfg(test)]
mod tests;
mod writer;

pub use document::{Document, Section};
pub use line::{Content, Entry, Line, lines};
pub use redact::redact;
pub use setting::{Heading, Setting};
pub use writer::Writer;

//! What an import shows people: what was found and written, and what could not be told.

use std::fmt::Write as _;

use super::document::Import;
use crate::model::{Untrusted, count};

/// The report of an import.
#[must_use]
pub fn human(import: &Import<'_>) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "found {}, {} and {}",
        count(import.hosts.len(), "host"),
        count(import.peers.len(), "unmanaged peer"),
        count(import.networks, "network")
    );
    match import.file {
        Some(file) => {
            let _ = writeln!(text, "wrote {}", file.display());
        }
        None => text.push_str("nothing is new: no file was written\n"),
    }
    if !import.keys.is_empty() || import.preshared_keys > 0 {
        let _ = writeln!(
            text,
            "the vault took over {} and {}",
            count(import.keys.len(), "private key"),
            count(import.preshared_keys, "preshared key")
        );
    }
    for one in import.not_read {
        let _ = writeln!(text, "not read: {}: {}", one.target, one.text);
    }
    for path in import.skipped {
        let _ = writeln!(
            text,
            "not read: {}: it is no file of WireGuard's",
            Untrusted::new(path.display().to_string())
        );
    }
    if !import.remarks.is_empty() {
        let _ = writeln!(text, "\nto look at ({}):", import.remarks.len());
    }
    for remark in import.remarks {
        let _ = writeln!(text, "- {}", Untrusted::new(&remark.text));
        for line in remark.hint.iter().flat_map(|hint| hint.lines()) {
            let _ = writeln!(text, "    {}", Untrusted::new(line));
        }
    }
    text
}

//! wgfleet's own binary on hosts that lack something.

use std::collections::BTreeMap;

use crate::model::Fingerprint;

/// The folder of the binary and of its names as `wg`, `wg-quick` and `wgfleet-tunnel` on a host.
pub const HELPER_FOLDER: &str = "/usr/local/lib/wgfleet";

/// The binary on a host.
pub const HELPER: &str = "/usr/local/lib/wgfleet/wgfleet";

/// The binaries that could be pushed: digest by `uname -m`.
#[derive(Debug, Clone, Default)]
pub struct HelperSource {
    /// SHA-256 of the statically linked build for each machine.
    pub builds: BTreeMap<String, Fingerprint>,
    /// Where builds are looked for, for the message when there is none.
    pub hint: String,
}

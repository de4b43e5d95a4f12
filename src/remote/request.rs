//! What is asked of a host, and how much it may answer.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::Believe;
use crate::model::{Become, FingerprintKey, HostName, InterfaceName, SshTarget};

/// What is asked of a host.
#[derive(Debug, Clone)]
pub struct ObserveRequest {
    /// The host.
    pub name: HostName,
    /// How ssh(1) reaches it.
    pub ssh: SshTarget,
    /// How the login user becomes root.
    pub r#become: Become,
    /// Which host keys are believed.
    pub believe: Believe,
    /// Key of the fingerprints of its files, and of the digest of all that is seen.
    pub key: FingerprintKey,
    /// The interfaces that the inventory gives it.
    pub interfaces: Vec<InterfaceName>,
    /// How many peers they have together; by that the host's answer is limited.
    pub peers: usize,
}

/// The most bytes that a host may answer with, and the most on top of that for each of its peers.
const MOST_BYTES: usize = 16 << 20;
const MOST_BYTES_OF_A_PEER: usize = 4 << 10;

/// The most bytes that it may tell of one file, and on top of that for each of its peers; a rendered
/// file has at most as many.
const MOST_TEXT: usize = 1 << 20;
const MOST_TEXT_OF_A_PEER: usize = 1 << 10;

impl ObserveRequest {
    /// What the verb `observe` reads: the fingerprint key, which is a secret, the interfaces, and
    /// how much of a file is told.
    #[must_use]
    pub fn stdin(&self) -> Zeroizing<String> {
        let mut stdin = Zeroizing::new(String::with_capacity(128 + self.interfaces.len() * 32));
        let _ = writeln!(stdin, "{}", *self.key.expose_hex());
        for interface in &self.interfaces {
            let _ = writeln!(stdin, "interface {interface}");
        }
        let _ = writeln!(stdin, "text {}", MOST_TEXT + MOST_TEXT_OF_A_PEER * self.peers);
        stdin
    }

    /// The most bytes that the answer may have.
    pub(super) fn most(&self) -> u64 {
        (MOST_BYTES + MOST_BYTES_OF_A_PEER * self.peers) as u64
    }
}

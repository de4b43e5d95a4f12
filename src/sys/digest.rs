//! Digests of what is not secret.

use sha2::{Digest as _, Sha256};

use crate::model::Fingerprint;

/// SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Fingerprint {
    Fingerprint::from_bytes(Sha256::digest(bytes).into())
}

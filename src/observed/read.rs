//! A host as its answer has it, with everything that the controller's own key makes of it.

use super::{ObserveError, ObservedHost, digest, parse};
use crate::model::FingerprintKey;

impl ObservedHost {
    /// Reads a host's answer, with keyed fingerprints of its files in place of the digests that it
    /// told, and with the digest of all of it.
    ///
    /// # Errors
    /// Those of [`parse`].
    pub fn read(answer: &str, key: &FingerprintKey) -> Result<Self, ObserveError> {
        let mut host = parse(answer)?;
        for file in host.files.values_mut() {
            file.fingerprint = key.of_file(&file.fingerprint);
        }
        host.digest = Some(digest::of(key, answer));
        Ok(host)
    }
}

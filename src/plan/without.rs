//! What files are rendered with where no identity opens the vault.

use std::convert::Infallible;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::desired::Secrets;
use crate::model::{FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey};

/// Secrets that are none: the text of a file without its secrets is the same with them.
///
/// The fingerprint key is one of the run, so that hosts can compare what is not secret; the
/// fingerprint of a file with secrets means nothing.
#[derive(Default)]
pub struct WithoutSecrets {
    key: [u8; 32],
}

impl std::fmt::Debug for WithoutSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithoutSecrets").finish_non_exhaustive()
    }
}

impl WithoutSecrets {
    /// With random bytes for the key of fingerprints.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self { key: random }
    }
}

impl Secrets for WithoutSecrets {
    type Error = Infallible;

    fn private_key(&self, _: &HostName, _: &PublicKey) -> Result<PrivateKey, Infallible> {
        Ok(PrivateKey::from_random(Zeroizing::new([1; 32])))
    }

    fn preshared_key(
        &self,
        _: &PublicKey,
        _: &PublicKey,
        _: u32,
    ) -> Result<PresharedKey, Infallible> {
        Ok(PresharedKey::from_bytes(Zeroizing::new([1; 32])))
    }

    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, Infallible> {
        let digest = Sha256::new().chain_update(self.key).chain_update(name.as_str());
        Ok(FingerprintKey::from_bytes(Zeroizing::new(digest.finalize().into())))
    }
}

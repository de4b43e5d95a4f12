//! The vault as the source of secrets for rendering.

use super::{Unlocked, VaultError};
use crate::desired::Secrets;
use crate::model::{FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey};

impl Secrets for Unlocked {
    type Error = VaultError;

    fn private_key(&self, name: &HostName, public: &PublicKey) -> Result<PrivateKey, VaultError> {
        self.read_key(name, public)
    }

    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, VaultError> {
        self.pairwise_psk(a, b, epoch)
    }

    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, VaultError> {
        Self::fingerprint_key(self, name)
    }
}

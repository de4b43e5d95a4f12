//! The secrets of a run: those of the vault, or none where the user has no identity.

use crate::desired::Secrets;
use crate::model::{FingerprintKey, HostName, PlanKey, PresharedKey, PrivateKey, PublicKey};
use crate::plan::{SecretState, WithoutSecrets};
use crate::vault::{Unlocked, VaultError};

use super::{Error, Kind};

/// Where a run has its secrets from.
#[derive(Debug)]
pub enum Opened {
    /// The vault, opened with the user's identity.
    Vault(Box<Unlocked>),
    /// Nowhere: only what is not secret is compared.
    Without(WithoutSecrets),
}

impl From<Unlocked> for Opened {
    fn from(unlocked: Unlocked) -> Self {
        Self::Vault(Box::new(unlocked))
    }
}

impl Opened {
    /// No secrets, and a key of this run for fingerprints.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn without() -> Result<Self, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Error::new(Kind::Failed, error))?;
        Ok(Self::Without(WithoutSecrets::new(random)))
    }

    /// The key of the MACs of saved plans; `None` without secrets.
    ///
    /// # Errors
    /// Why the file of the secret that it is derived from does not open.
    pub fn plan_key(&self) -> Result<Option<PlanKey>, VaultError> {
        match self {
            Self::Vault(vault) => vault.plan_key().map(Some),
            Self::Without(_) => Ok(None),
        }
    }

    /// Whether secrets can be compared.
    #[must_use]
    pub const fn state(&self) -> SecretState {
        match self {
            Self::Vault(_) => SecretState::Compared,
            Self::Without(_) => SecretState::NotCompared,
        }
    }
}

impl Secrets for Opened {
    type Error = VaultError;

    fn private_key(&self, name: &HostName, public: &PublicKey) -> Result<PrivateKey, VaultError> {
        match self {
            Self::Vault(vault) => Secrets::private_key(vault.as_ref(), name, public),
            Self::Without(without) => without.private_key(name, public).map_err(|e| match e {}),
        }
    }

    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, VaultError> {
        match self {
            Self::Vault(vault) => Secrets::preshared_key(vault.as_ref(), a, b, epoch),
            Self::Without(without) => without.preshared_key(a, b, epoch).map_err(|e| match e {}),
        }
    }

    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, VaultError> {
        match self {
            Self::Vault(vault) => Secrets::fingerprint_key(vault.as_ref(), name),
            Self::Without(without) => without.fingerprint_key(name).map_err(|e| match e {}),
        }
    }
}

//! Public keys for inventories that are only compared.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::desired::PublicKeys;
use crate::model::{HostName, PublicKey};

/// Keys for inventories that are only compared: those that are known, and for every other name one
/// that no private key belongs to.
#[derive(Debug, Clone)]
pub struct StandIns {
    known: BTreeMap<HostName, PublicKey>,
    random: [u8; 32],
}

impl StandIns {
    /// With the keys that are known, and random bytes, so that nobody can give a peer of a file the
    /// key that stands in for another's.
    #[must_use]
    pub const fn new(known: BTreeMap<HostName, PublicKey>, random: [u8; 32]) -> Self {
        Self { known, random }
    }
}

impl PublicKeys for StandIns {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let digest = || Sha256::new().chain_update(self.random).chain_update(name.as_str());
        let known = self.known.get(name).copied();
        known.or_else(|| Some(PublicKey::from_bytes(digest().finalize().into())))
    }

    fn psk_epoch(&self) -> Option<u32> {
        Some(1)
    }
}

//! What the commands print as JSON that write to a vault, or from it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::vault_status::RecipientChange;
use crate::model::{Document, FleetName, HostName, Kind, PublicKey, Version};

/// A vault that was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultInit<'a> {
    /// `vault-init`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// The vault.
    pub vault: NewVault,
}

impl Document for VaultInit<'_> {
    const KIND: &'static str = "vault-init";
    const VERSION: u32 = 1;
}

/// A new vault, and what opens it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NewVault {
    /// Its folder.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub folder: PathBuf,
    /// The file of the identity that opens it; null where the identity came from elsewhere.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::AnyPath>"))]
    pub identity: Option<PathBuf>,
    /// Whether the identity was made with it.
    pub identity_made: bool,
    /// Who can open it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Recipient>"))]
    pub recipients: Vec<String>,
}

/// Keys that were made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultKeygen<'a> {
    /// `vault-keygen`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The keys; empty where every host had one.
    pub made: Vec<NamedKey<'a>>,
}

impl Document for VaultKeygen<'_> {
    const KIND: &'static str = "vault-keygen";
    const VERSION: u32 = 1;
}

/// A key of a host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NamedKey<'a> {
    /// Whose.
    pub name: &'a HostName,
    /// The key.
    pub public_key: PublicKey,
}

/// A key that was taken over.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultImport<'a> {
    /// `vault-import`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The key.
    pub key: NamedKey<'a>,
    /// Whether the vault did not have it yet.
    pub imported: bool,
}

impl Document for VaultImport<'_> {
    const KIND: &'static str = "vault-import";
    const VERSION: u32 = 1;
}

/// A private key that was written into a file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultExport<'a> {
    /// `vault-export`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The key.
    pub key: NamedKey<'a>,
    /// The file that its private half is in.
    #[cfg_attr(test, schemars(with = "crate::model::schema::AnyPath"))]
    pub path: &'a Path,
}

impl Document for VaultExport<'_> {
    const KIND: &'static str = "vault-export";
    const VERSION: u32 = 1;
}

/// What was encrypted anew.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultRekey<'a> {
    /// `vault-rekey`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// How many files were encrypted; 0 where the question was answered with no.
    pub files: usize,
    /// Who recipients.txt says can open them.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Recipient>"))]
    pub recipients: Vec<&'a str>,
    /// What that changes.
    pub recipient_change: RecipientChange<'a>,
}

impl Document for VaultRekey<'_> {
    const KIND: &'static str = "vault-rekey";
    const VERSION: u32 = 1;
}

//! What `wgfleet vault status` and `recipients` print as JSON: what a vault has, and who can open it.

use std::path::PathBuf;

use serde::Serialize;

use crate::model::{Document, FleetName, HostName, Kind, PublicKey, Untrusted, Version};

/// Every key of a vault, and whether all is as the index says.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultStatus<'a> {
    /// `vault-status`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// The keys.
    pub keys: Vec<Key<'a>>,
    /// The epochs of preshared keys.
    pub psk_epochs: Vec<Epoch>,
    /// The secret that keys fingerprints; null where the vault has none of its own yet.
    pub fingerprint: Option<FingerprintSecret<'a>>,
    /// Whether recipients.txt changed since the last rekey.
    pub needs_rekey: bool,
    /// What the next rekey changes.
    pub recipient_change: RecipientChange<'a>,
    /// What is not as the index says.
    pub wrong: Vec<Wrong>,
    /// Files that the index does not name.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::AnyPath>"))]
    pub unknown_files: Vec<PathBuf>,
}

impl Document for VaultStatus<'_> {
    const KIND: &'static str = "vault-status";
    const VERSION: u32 = 1;
}

/// One key of a host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Key<'a> {
    /// Whose.
    pub name: &'a HostName,
    /// The key.
    pub public_key: PublicKey,
    /// `current`; `next` until the host has it; `retired` until its successor is proven.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub state: &'static str,
    /// When it was made or imported.
    #[cfg_attr(test, schemars(with = "crate::model::Moment"))]
    pub created: String,
    /// Whole days since then.
    pub age_days: i64,
}

/// One epoch of preshared keys.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u32,
    /// When it was made.
    #[cfg_attr(test, schemars(with = "crate::model::Moment"))]
    pub created: String,
}

/// The secret that keys fingerprints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FingerprintSecret<'a> {
    /// When it was made.
    #[cfg_attr(test, schemars(with = "crate::model::Moment"))]
    pub created: String,
    /// Its public mark.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub id: &'a str,
}

/// What the next rekey changes about who can open the vault.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecipientChange<'a> {
    /// Who can open it then.
    pub added: Vec<Added<'a>>,
    /// Who cannot any more.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Recipient>"))]
    pub removed: Vec<&'a str>,
}

/// Somebody who can open the vault after the next rekey.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Added<'a> {
    /// The recipient, as age(1) or ssh-keygen(1) writes it.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Recipient"))]
    pub recipient: &'a str,
    /// What recipients.txt calls it.
    pub name: Option<&'a Untrusted>,
}

/// Something that is not as the index says.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Wrong {
    /// What.
    pub text: String,
}

/// Who can open a vault.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VaultRecipients<'a> {
    /// `vault-recipients`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Who recipients.txt says can open it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Recipient>"))]
    pub recipients: Vec<&'a str>,
    /// Whom its files are encrypted to.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Recipient>"))]
    pub rekeyed_to: &'a [String],
    /// Whether these differ.
    pub needs_rekey: bool,
    /// What the next rekey changes.
    pub recipient_change: RecipientChange<'a>,
}

impl Document for VaultRecipients<'_> {
    const KIND: &'static str = "vault-recipients";
    const VERSION: u32 = 1;
}

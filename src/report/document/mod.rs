//! What commands print as JSON: one struct each, which docs/json.md describes and schemas/ holds.
//!
//! The documents that `check`, `plan` and `observed` make themselves are theirs.

mod apply;
mod event;
mod files;
mod findings;
mod history;
mod import;
mod lab;
mod locks;
mod peer;
mod status;
mod vault;
mod vault_status;

pub use apply::{Apply, HostOutcome, OutcomeWord, Rotate, TurnOutcome};
pub use event::EventLine;
pub use files::{Export, Init, Render, RenderedConf};
pub use findings::Findings;
pub use history::History;
pub use import::{Import, NotRead};
pub use lab::{Lab, LabDown, LabNode};
pub use locks::Locks;
pub use peer::{Device, KeyHolder, Peer, PeerAction, Via};
pub use status::StatusDocument;
pub use vault::{NamedKey, NewVault, VaultExport, VaultImport, VaultInit, VaultKeygen, VaultRekey};
pub use vault_status::{
    Added, Epoch, FingerprintSecret, Key, RecipientChange, VaultRecipients, VaultStatus, Wrong,
};

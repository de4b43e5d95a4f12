//! What commands print as JSON: one struct each, which docs/json.md describes and schemas/ holds.
//!
//! The documents that `check`, `plan` and `observed` make themselves are theirs.

mod apply;
mod findings;
mod lab;
mod status;
mod vault;

pub use apply::{Apply, HostOutcome, OutcomeWord, Rotate, TurnOutcome};
pub use findings::Findings;
pub use lab::{Lab, LabNode};
pub use status::StatusDocument;
pub use vault::{
    Added, Epoch, FingerprintSecret, Key, MadeKey, RecipientChange, VaultKeygen, VaultRecipients,
    VaultStatus, Wrong,
};

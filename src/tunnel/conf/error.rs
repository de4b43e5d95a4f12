//! What is wrong with a configuration file.

use crate::model::{AddressError, KeyError, NameError, SettingError};
use crate::wgconf::{Heading, Setting};

/// What is wrong with a file, and where. Neither repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ConfError {
    /// Which line, from 1.
    pub line: usize,
    /// Which byte of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: ConfReason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfReason {
    /// Bytes that are no text, outside of comments.
    #[error("not UTF-8")]
    Text,
    /// More than any configuration has.
    #[error("more than a configuration may hold")]
    Budget,
    /// Neither a section nor a setting.
    #[error("expected {}, {} or key = value", Heading::Interface, Heading::Peer)]
    Form,
    /// A key before any section.
    #[error("a setting before {} or {}", Heading::Interface, Heading::Peer)]
    NoSection,
    /// A key that the section does not have.
    #[error("{section} has no setting {key:?}")]
    Unknown {
        /// The section.
        section: Heading,
        /// The key, as far as it is a word.
        key: String,
    },
    /// A key that is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A prefix or an endpoint that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A number or word outside of what the key takes.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A DNS search domain that is none.
    #[error(transparent)]
    Domain(#[from] NameError),
    /// A number outside of what the key takes.
    #[error("{key} is a number from 0 to {most}, or off")]
    Number {
        /// The key.
        key: Setting,
        /// The largest value.
        most: u32,
    },
    /// A setting of wg-quick without a value, which is none.
    #[error("{key} has no value and is passed over")]
    Blank {
        /// The key.
        key: String,
    },
    /// No table that ip(8) could take.
    #[error("{} is auto, off, or the number or name of a routing table", Setting::Table)]
    Table,
    /// Neither true nor false.
    #[error("{} is true or false", Setting::SaveConfig)]
    Truth,
    /// A peer that is nobody.
    #[error("this {} has no {}", Heading::Peer, Setting::PublicKey)]
    NoPublicKey,
}

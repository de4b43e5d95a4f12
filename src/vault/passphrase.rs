//! Who is asked for the passphrase of an identity.

use std::io;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::age_file::PluginPrompts;
use crate::model::Untrusted;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// There is nobody to ask.
    #[error(
        "there is no terminal to ask on: run in a terminal, or use an identity without a passphrase"
    )]
    NoTerminal,
    /// The user gave up.
    #[error("interrupted")]
    Interrupted,
    /// The two entries of a new passphrase differ, or it is empty.
    #[error("{0}")]
    Refused(&'static str),
    /// The terminal fails.
    #[error("failed to read from the terminal")]
    Terminal(#[from] io::Error),
}

/// Asks the user for the passphrase of an identity.
pub trait Passphrase {
    /// Asks for the passphrase of the identity in the file.
    ///
    /// # Errors
    /// [`PassphraseError`] where there is nobody to ask or no answer.
    fn ask(&self, path: &Path) -> Result<SecretString, PassphraseError>;

    /// How age plugins reach the user.
    fn plugin_prompts(&self) -> Arc<dyn PluginPrompts> {
        Arc::new(Unattended)
    }
}

/// Asks nobody: every identity with a passphrase is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

impl Passphrase for Unattended {
    fn ask(&self, _: &Path) -> Result<SecretString, PassphraseError> {
        Err(PassphraseError::NoTerminal)
    }
}

impl PluginPrompts for Unattended {
    fn interactive(&self) -> bool {
        false
    }

    fn show(&self, _: &Untrusted) {}

    fn confirm(&self, _: &Untrusted, _: &Untrusted, _: Option<&Untrusted>) -> Option<bool> {
        None
    }

    fn ask(&self, _: &Untrusted) -> Option<String> {
        None
    }

    fn ask_secret(&self, _: &Untrusted) -> Option<SecretString> {
        None
    }
}

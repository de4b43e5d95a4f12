//! Where the identity that opens the vault comes from.
//!
//! In this order: `--identity` (a file, or `-` for stdin), `WGFLEET_IDENTITY_KEY` (an identity itself,
//! as CI systems keep it), `WGFLEET_IDENTITY` (a file), and the file that `wgfleet init` made. Empty
//! variables count as absent: that is how CI systems pass a secret that a job may not have.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::environment::{self, IDENTITY, IDENTITY_KEY};
use super::passphrase::Terminal;
use super::{CommandError, Exit};
use crate::fleet::{Error, Keyring, Kind};
use crate::model::{FleetName, SecretText};
use crate::vault::{Identities, Passphrase as _, PluginPrompts, VaultError, identity};

/// What stands for stdin.
const STDIN: &str = "-";
/// The most bytes that are read from stdin.
const LIMIT: usize = 64 << 10;

/// What the environment gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    key: Option<SecretText>,
}

/// Where the identity comes from, and the identities once they were read.
#[derive(Debug)]
pub(super) struct Identity {
    /// What the operator names.
    named: Option<PathBuf>,
    given: Given,
    /// Whether the inventory takes stdin.
    stdin_taken: bool,
    opened: OnceLock<Identities>,
}

/// Where the identity is.
enum Source<'a> {
    File(PathBuf),
    Stdin,
    Variable(&'a SecretText),
}

impl Given {
    /// Takes the identity out of the environment, so that no program that is started inherits it. To
    /// be called before anything else.
    ///
    /// # Errors
    /// Where the variable is no text.
    pub(super) fn take() -> Result<Self, CommandError> {
        // With this variable age would print what it says to plugins, file keys included.
        drop(crate::sys::take_variable("AGEDEBUG"));
        let Some(bytes) = crate::sys::take_variable(IDENTITY_KEY) else {
            return Ok(Self::default());
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            CommandError::message(Exit::Vault, format!("{IDENTITY_KEY} is not UTF-8 text"))
        })?;
        let key = (!text.trim().is_empty()).then(|| Zeroizing::new(text.to_owned()).into());
        Ok(Self { key })
    }
}

impl Identity {
    /// Of the file that the operator names, what the environment gave, and where the inventory is.
    pub(super) fn new(named: Option<PathBuf>, given: Given, inventory: &Path) -> Self {
        let stdin_taken = inventory == Path::new(STDIN);
        Self { named, given, stdin_taken, opened: OnceLock::new() }
    }

    fn source(&self, fleet: &FleetName) -> Result<Source<'_>, VaultError> {
        if let Some(path) = &self.named {
            if path == Path::new(STDIN) {
                return Ok(Source::Stdin);
            }
            return Ok(Source::File(path.clone()));
        }
        if let Some(key) = &self.given.key {
            return Ok(Source::Variable(key));
        }
        if let Some(path) = environment::path(IDENTITY) {
            return Ok(Source::File(path));
        }
        Ok(Source::File(identity::default_path(fleet)?))
    }

    /// The file in which a new identity is to be made; none where the user has an identity.
    ///
    /// # Errors
    /// [`VaultError::NoHome`].
    pub(super) fn to_make(&self, fleet: &FleetName) -> Result<Option<PathBuf>, VaultError> {
        match self.source(fleet)? {
            Source::File(path) if !path.exists() => Ok(Some(path)),
            _ => Ok(None),
        }
    }

    /// The file that the identity lies in; none where it comes from elsewhere.
    ///
    /// # Errors
    /// [`VaultError::NoHome`].
    pub(super) fn file(&self, fleet: &FleetName) -> Result<Option<PathBuf>, VaultError> {
        Ok(match self.source(fleet)? {
            Source::File(path) => Some(path),
            Source::Stdin | Source::Variable(_) => None,
        })
    }

    /// What the identity is called in messages.
    pub(super) fn described(&self, fleet: &FleetName) -> Result<String, VaultError> {
        Ok(match self.source(fleet)? {
            Source::File(path) => path.display().to_string(),
            Source::Stdin => "from stdin".to_owned(),
            Source::Variable(_) => format!("of {IDENTITY_KEY}"),
        })
    }

    fn read_stdin(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let refused = |why: &str| Error::message(Kind::Usage, why.to_owned());
        if self.stdin_taken {
            return Err(refused("the inventory and the identity cannot both come from stdin")
                .hint(format!("give the identity in a file, or its content in {IDENTITY_KEY}")));
        }
        let mut stdin = std::io::stdin().lock();
        if stdin.is_terminal() {
            return Err(refused("--identity - reads an identity from stdin, which is a terminal")
                .hint(
                    "pipe it in: `secret-tool lookup wgfleet acme | wgfleet plan --identity -`",
                ));
        }
        // One buffer that never grows leaves no copies of the key behind.
        let mut text = Zeroizing::new(vec![0; LIMIT]);
        let mut length = 0;
        while length < LIMIT {
            match stdin.read(&mut text[length..])? {
                0 => break,
                read => length += read,
            }
        }
        text.truncate(length);
        if text.trim_ascii().is_empty() {
            let error = VaultError::IdentityMalformed {
                path: "- (stdin)".into(),
                why: "stdin is empty".to_owned(),
            };
            return Err(error.into());
        }
        Ok(text)
    }
}

impl Keyring for Identity {
    /// They are read, and a passphrase is asked for, once in each run.
    fn identities(&self, fleet: &FleetName) -> Result<Identities, Error> {
        if let Some(identities) = self.opened.get() {
            return Ok(identities.clone());
        }
        let identities = match self.source(fleet)? {
            Source::File(path) => Identities::load(&[path], &Terminal)?,
            Source::Stdin => Identities::parse("- (stdin)", &self.read_stdin()?, &Terminal)?,
            Source::Variable(key) => Identities::parse(IDENTITY_KEY, key.as_bytes(), &Terminal)
                .map_err(|error| {
                    Error::from(error).hint(format!(
                        "{IDENTITY_KEY} takes an identity itself, {IDENTITY} the name of its file"
                    ))
                })?,
        };
        Ok(self.opened.get_or_init(|| identities).clone())
    }

    /// Whether the user names no identity, and has none where `wgfleet init` puts it.
    fn is_empty(&self, fleet: &FleetName) -> bool {
        let named = self.named.is_some()
            || self.given.key.is_some()
            || environment::path(IDENTITY).is_some();
        !named && identity::default_path(fleet).map_or(true, |path| !path.exists())
    }

    fn prompts(&self) -> Arc<dyn PluginPrompts> {
        Terminal.plugin_prompts()
    }
}

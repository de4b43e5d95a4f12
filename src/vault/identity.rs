//! Identities: the private keys that open the vault, kept outside the repository.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::age_file::{self, IdentityProblem, Keyring, Recipient};
use super::error::VaultError;
use super::index::whole_seconds;
use super::passphrase::Passphrase;
use crate::model::FleetName;
use crate::sys::{Mode, read_named, write_new};

/// The most bytes an identity file may have.
const LIMIT: u64 = 1 << 20;

/// The identities at hand, decrypted. They print only their public parts.
#[derive(Debug, Clone)]
pub struct Identities(pub(super) Arc<Keyring>);

impl Identities {
    /// Reads identity files: native age identities and those of age plugins, or an OpenSSH ed25519
    /// private key, each with a passphrase or without. No plugin is run before a file is to be opened.
    ///
    /// # Errors
    /// [`VaultError`] that names the file and what is wrong with it, never its text.
    pub fn load(paths: &[PathBuf], passphrase: &dyn Passphrase) -> Result<Self, VaultError> {
        let mut identities = Vec::new();
        for path in paths {
            identities.extend(load_one(path, passphrase)?);
        }
        Ok(Self(Arc::new(Keyring::new(identities, &passphrase.plugin_prompts()))))
    }

    /// Reads identities that are in memory already. `origin` says where they come from, for
    /// messages.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(
        origin: &str,
        text: &[u8],
        passphrase: &dyn Passphrase,
    ) -> Result<Self, VaultError> {
        let mut asked = false;
        let identities = parse_one(Path::new(origin), text, passphrase, &mut asked)?;
        Ok(Self(Arc::new(Keyring::new(identities, &passphrase.plugin_prompts()))))
    }

    /// The public parts, as far as they are known: of what a plugin has, where a comment above the
    /// identity names it.
    #[must_use]
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.recipients()
    }

    /// The programs of age plugins with a key whose public part nobody knows.
    #[must_use]
    pub fn without_recipient(&self) -> Vec<String> {
        self.0.unknown()
    }

    /// What messages call them: their public parts, as far as those are known.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// Whether one of them may open what is encrypted to these recipients.
    pub(super) fn may_open(&self, recipients: &[Recipient]) -> bool {
        self.0.may_open(recipients)
    }
}

fn load_one(
    path: &Path,
    passphrase: &dyn Passphrase,
) -> Result<Vec<age_file::Identity>, VaultError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::NoIdentity { path: path.to_owned() });
        }
        metadata => metadata
            .map_err(|source| crate::sys::FileError::Read { path: path.to_owned(), source })?,
    };
    let bytes = Zeroizing::new(read_named(path, LIMIT)?);
    let mut asked = false;
    let identities = parse_one(path, &bytes, passphrase, &mut asked)?;
    // As ssh(1) does: a private key that others can read is refused, unless a passphrase guards it.
    let mode = metadata.permissions().mode() & 0o777;
    if !asked && mode & 0o077 != 0 {
        return Err(VaultError::IdentityExposed { path: path.to_owned(), mode });
    }
    Ok(identities)
}

/// Reads the identities of one file; `asked` says whether it took a passphrase.
fn parse_one(
    path: &Path,
    bytes: &[u8],
    passphrase: &dyn Passphrase,
    asked: &mut bool,
) -> Result<Vec<age_file::Identity>, VaultError> {
    let parsed = age_file::parse_identities(bytes, || {
        *asked = true;
        passphrase.ask(path)
    });
    parsed.map_err(|problem| match problem {
        IdentityProblem::Malformed(why) => {
            VaultError::IdentityMalformed { path: path.to_owned(), why }
        }
        IdentityProblem::WrongPassphrase => VaultError::WrongPassphrase { path: path.to_owned() },
        IdentityProblem::Ask(source) => VaultError::Passphrase { path: path.to_owned(), source },
    })
}

/// Where a fleet's identity is by default: `wgfleet/identity-<fleet>.txt` below `XDG_CONFIG_HOME`
/// or `~/.config`.
///
/// # Errors
/// [`VaultError::NoHome`] where neither variable is set.
pub fn default_path(fleet: &FleetName) -> Result<PathBuf, VaultError> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .ok_or(VaultError::NoHome)?;
    Ok(folder.join("wgfleet").join(format!("identity-{fleet}.txt")))
}

/// Makes a new age identity, 0600 from its first instant, and gives its public part. With a
/// passphrase the file is an age file that the passphrase opens.
///
/// # Errors
/// [`VaultError::InWorkTree`] where `path` lies in the git work tree of `inventory`;
/// [`VaultError::File`] where there is a file already or none can be written.
pub fn create(
    path: &Path,
    inventory: &Path,
    passphrase: Option<SecretString>,
    now: Timestamp,
) -> Result<Recipient, VaultError> {
    let failed =
        |source| VaultError::File(crate::sys::FileError::Write { path: path.to_owned(), source });
    refuse_inside_work_tree(path, inventory)?;
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let (recipient, text) =
        age_file::generate(&whole_seconds(now).to_string(), passphrase).map_err(failed)?;
    write_new(path, &text, Mode::Private)?;
    Ok(recipient)
}

/// The git work tree that a path lies in, links followed, whether or not there is something yet; with
/// the path as git knows it.
#[must_use]
pub fn work_tree_of(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let path = resolve(path);
    Some((work_tree(&path)?, path))
}

/// Checks that a file for a secret does not lie in the git work tree that `inventory`, a folder, is
/// in. Symbolic links are followed.
///
/// # Errors
/// [`VaultError::InWorkTree`].
pub fn refuse_inside_work_tree(path: &Path, inventory: &Path) -> Result<(), VaultError> {
    match work_tree(inventory).filter(|root| resolve(path).starts_with(root)) {
        Some(root) => Err(VaultError::InWorkTree { path: path.to_owned(), root }),
        None => Ok(()),
    }
}

/// The git work tree that a folder is in.
fn work_tree(folder: &Path) -> Option<PathBuf> {
    let folder = resolve(folder);
    folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}

/// The path with the links of its existing part followed.
fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path
}

//! A vault to try things on.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::SecretString;
use wgfleet::model::HostName;
use wgfleet::vault::{
    Identities, Passphrase, PassphraseError, Unattended, Unlocked, Vault, identity,
};

pub(crate) fn now() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().unwrap()
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// A folder with an identity and a vault with keys for `a` and `b`.
pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    pub(crate) identities: Identities,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("identity.txt");
        let recipient = identity::create(&path, root.path(), None, now()).unwrap();
        let folder = root.path().join("vault");
        let mut vault =
            Vault::create(&folder, &"acme".parse().unwrap(), &[recipient], now()).unwrap();
        let identities = Identities::load(&[path], &Unattended).unwrap();
        vault.ensure_keys(&[host("a"), host("b")], &identities, now()).unwrap();
        Self { root, identities }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn vault(&self) -> Vault {
        Vault::open(&self.path("vault")).unwrap()
    }

    pub(crate) fn unlock(&self) -> Unlocked {
        self.vault().unlock(&self.identities)
    }

    /// The file of a host's current key.
    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        let key = self.vault().index().current(&host(name)).unwrap();
        let digits = hex(&key.as_bytes()[..8]);
        self.path("vault/keys").join(format!("{name}.{digits}.age"))
    }

    pub(crate) fn add_recipient(&self, line: &str) {
        let path = self.path("vault/recipients.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }
}

/// Hex digits, as a test looks for them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Answers with a fixed passphrase.
pub(crate) struct Answer(pub(crate) &'static str);

impl Passphrase for Answer {
    fn ask(&self, _: &Path) -> Result<SecretString, PassphraseError> {
        Ok(SecretString::from(self.0))
    }
}

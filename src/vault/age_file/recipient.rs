//! Who can open the vault.

use std::fmt;
use std::str::FromStr;

use age::{plugin, ssh, tag, tagpq, x25519};

use crate::model::Untrusted;

/// Someone who can open the vault: an age key, an ssh-ed25519 key, or a key that an age plugin has.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    name: Option<Untrusted>,
    key: RecipientKey,
}

#[derive(Clone)]
pub(super) enum RecipientKey {
    Native(x25519::Recipient),
    Ssh(ssh::Recipient),
    /// A key of a device, `age1tag1…`: no plugin is needed to encrypt to it.
    Tag(Box<tag::Recipient>),
    /// The same with ML-KEM, `age1tagpq1…`.
    TagPq(Box<tagpq::Recipient>),
    Plugin(plugin::Recipient),
}

impl Recipient {
    /// `age1…` or `ssh-ed25519 …` without its comment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Who it is, in the words of the file that it stands in: the comment above an age key, or the
    /// one behind an SSH key. Nobody has proved it.
    #[must_use]
    pub fn name(&self) -> Option<&Untrusted> {
        self.name.as_ref()
    }

    /// The program that encrypts to it, where that is an age plugin.
    #[must_use]
    pub fn program(&self) -> Option<String> {
        match &self.key {
            RecipientKey::Plugin(key) => Some(super::program(key.plugin())),
            _ => None,
        }
    }

    /// Whether an identity of a plugin may be for it.
    pub(super) fn is_of_plugin(&self, name: &str) -> bool {
        match &self.key {
            RecipientKey::Plugin(key) => key.plugin() == name,
            RecipientKey::Tag(_) | RecipientKey::TagPq(_) => true,
            RecipientKey::Native(_) | RecipientKey::Ssh(_) => false,
        }
    }

    pub(super) fn key(&self) -> &RecipientKey {
        &self.key
    }

    /// Gives it a name where it has none.
    pub(in crate::vault) fn or_named(mut self, name: Option<&str>) -> Self {
        self.name = self.name.or_else(|| name.filter(|name| !name.is_empty()).map(Untrusted::new));
        self
    }

    pub(super) fn native(key: x25519::Recipient) -> Self {
        Self { text: key.to_string(), name: None, key: RecipientKey::Native(key) }
    }

    pub(super) fn ssh(key: ssh::Recipient) -> Option<Self> {
        match key {
            ssh::Recipient::SshEd25519(..) => {
                Some(Self { text: key.to_string(), name: None, key: RecipientKey::Ssh(key) })
            }
            ssh::Recipient::SshRsa(..) => None,
        }
    }
}

/// Why a recipient was refused, in words that say what to write. The text is not repeated: it may
/// be a private key by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// A private key where a public one belongs.
    #[error(
        "this is a private identity: take it out of the file and out of git's history, and write \
         its public part (`age-keygen -y FILE`) instead"
    )]
    Private,
    /// An SSH key of another kind.
    #[error("only ssh-ed25519 keys can be recipients; write an ssh-ed25519 or an age1… key")]
    SshKind,
    /// An age plugin's recipient that is not whole.
    #[error("this recipient of an age plugin is cut off or mistyped: its checksum is wrong")]
    Plugin,
    /// Something else.
    #[error(
        "write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'"
    )]
    Malformed,
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        if let Ok(key) = text.parse::<x25519::Recipient>() {
            return Ok(Self::native(key));
        }
        let upper = text.get(..16).unwrap_or(text).to_ascii_uppercase();
        if upper.starts_with("AGE-SECRET-KEY-")
            || upper.starts_with("AGE-PLUGIN-")
            || upper.starts_with("-----BEGIN")
        {
            return Err(RecipientError::Private);
        }
        if text.starts_with("ssh-ed25519 ") {
            let key = text.parse::<ssh::Recipient>().map_err(|_| RecipientError::Malformed)?;
            // Behind the kind and the key stands what ssh-keygen(1) calls the comment.
            let name = text.splitn(3, ' ').nth(2).map(str::trim);
            return Ok(Self::ssh(key).ok_or(RecipientError::SshKind)?.or_named(name));
        }
        if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind)) {
            return Err(RecipientError::SshKind);
        }
        let named = |key| Self { text: text.to_owned(), name: None, key };
        if let Ok(key) = text.parse() {
            return Ok(named(RecipientKey::Tag(Box::new(key))));
        }
        if let Ok(key) = text.parse() {
            return Ok(named(RecipientKey::TagPq(Box::new(key))));
        }
        // A plugin's recipient is age1, the plugin's name, another 1, and its data.
        if let Ok(key) = text.parse() {
            return Ok(named(RecipientKey::Plugin(key)));
        }
        if text.strip_prefix("age1").is_some_and(|rest| rest.contains('1')) {
            return Err(RecipientError::Plugin);
        }
        Err(RecipientError::Malformed)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.text)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

//! age files: the only place that knows the age crate.
//!
//! Files are written in ASCII armor (`age -d` and `rage -d` open them; git shows them as text) and
//! read in either form. The texts of age's own errors are not used: they are written for another
//! program's options.

use std::fmt;
use std::io::{BufReader, Read, Write as _};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, ssh, x25519};
use zeroize::Zeroizing;

use crate::model::Untrusted;

/// The most bytes that a secret of the vault, or a decrypted identity file, may have.
const PLAIN_LIMIT: usize = 64 * 1024;

/// The most scrypt work accepted, as age(1) does: 2^22 takes some seconds.
const WORK_LIMIT: u8 = 22;

/// Someone who can open the vault: an age X25519 key or an ssh-ed25519 key.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    name: Option<Untrusted>,
    key: RecipientKey,
}

#[derive(Clone)]
enum RecipientKey {
    Native(x25519::Recipient),
    Ssh(ssh::Recipient),
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

    /// Gives it a name where it has none.
    pub(super) fn or_named(mut self, name: Option<&str>) -> Self {
        self.name = self.name.or_else(|| name.filter(|name| !name.is_empty()).map(Untrusted::new));
        self
    }

    fn native(key: x25519::Recipient) -> Self {
        Self { text: key.to_string(), name: None, key: RecipientKey::Native(key) }
    }

    fn ssh(key: ssh::Recipient) -> Option<Self> {
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
    /// An age plugin's recipient.
    #[error("recipients of age plugins are not supported; write an age1… or ssh-ed25519 key")]
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
        if upper.starts_with("AGE-SECRET-KEY-") || upper.starts_with("-----BEGIN") {
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
        // A plugin's recipient is age1, its name, another 1, and its data.
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

/// A private key that opens age files, decrypted. It prints only its public part.
pub(super) struct Identity {
    recipient: Recipient,
    key: Box<dyn age::Identity + Send + Sync>,
}

impl Identity {
    /// Its public part.
    pub(super) fn recipient(&self) -> &Recipient {
        &self.recipient
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient)
    }
}

/// Why an identity file gives no identity.
#[derive(Debug)]
pub(super) enum IdentityProblem<E> {
    /// It is none; why, without any of its text.
    Malformed(String),
    /// The passphrase is wrong.
    WrongPassphrase,
    /// There is no passphrase.
    Ask(E),
}

/// Reads an identity file: age identities one a line, the same encrypted with a passphrase, or an
/// OpenSSH private key, with a passphrase or without. `ask` is called at most once.
pub(super) fn parse_identities<E>(
    bytes: &[u8],
    ask: impl FnOnce() -> Result<SecretString, E>,
) -> Result<Vec<Identity>, IdentityProblem<E>> {
    let malformed = |why: &str| IdentityProblem::Malformed(why.to_owned());
    if bytes.starts_with(b"age-encryption.org/")
        || bytes.trim_ascii_start().starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
    {
        let decryptor = Decryptor::new(ArmoredReader::new(bytes))
            .map_err(|_| malformed("it is an age file that is cut off or damaged"))?;
        if !decryptor.is_scrypt() {
            return Err(malformed("it is an age file for a key, not one with a passphrase"));
        }
        let mut key = scrypt::Identity::new(ask().map_err(IdentityProblem::Ask)?);
        key.set_max_work_factor(WORK_LIMIT);
        let stream =
            decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)).map_err(|error| {
                match error {
                    DecryptError::ExcessiveWork { .. } => malformed(
                        "its scrypt work factor is above 22: no passphrase needs that much",
                    ),
                    DecryptError::InvalidHeader => malformed("its header is damaged"),
                    _ => IdentityProblem::WrongPassphrase,
                }
            })?;
        let plain = drain(stream).map_err(|_| malformed("it is cut off, damaged or too long"))?;
        return parse_native(&plain).map_err(IdentityProblem::Malformed);
    }
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        return parse_ssh(bytes.trim_ascii_start(), ask).map(|identity| vec![identity]);
    }
    parse_native(bytes).map_err(IdentityProblem::Malformed)
}

fn parse_native(bytes: &[u8]) -> Result<Vec<Identity>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.parse::<x25519::Identity>().map_err(|_| {
            let number = number + 1;
            if line.starts_with("AGE-PLUGIN-") {
                format!("line {number} is an identity of an age plugin, which is not supported")
            } else {
                format!("line {number} is no AGE-SECRET-KEY-1…")
            }
        })?;
        identities
            .push(Identity { recipient: Recipient::native(key.to_public()), key: Box::new(key) });
    }
    if identities.is_empty() {
        return Err("it holds no identity".to_owned());
    }
    Ok(identities)
}

fn parse_ssh<E>(
    bytes: &[u8],
    ask: impl FnOnce() -> Result<SecretString, E>,
) -> Result<Identity, IdentityProblem<E>> {
    const KIND: &str = "only OpenSSH ed25519 keys can be identities";
    let malformed = |why: &str| IdentityProblem::Malformed(why.to_owned());
    let key = ssh::Identity::from_buffer(bytes, None)
        .map_err(|_| malformed("it is an SSH key that is cut off, damaged or of another format"))?;
    let recipient = ssh::Recipient::try_from(key.clone())
        .ok()
        .and_then(Recipient::ssh)
        .ok_or_else(|| malformed(KIND))?;
    let key = match key {
        ssh::Identity::Unencrypted(_) => key,
        ssh::Identity::Unsupported(_) => return Err(malformed(KIND)),
        ssh::Identity::Encrypted(locked) => {
            let passphrase = ask().map_err(IdentityProblem::Ask)?;
            let open = locked.decrypt(passphrase).map_err(|_| IdentityProblem::WrongPassphrase)?;
            ssh::Identity::from(open)
        }
    };
    Ok(Identity { recipient, key: Box::new(key) })
}

/// A fresh age identity: its public part, and the text of its file, encrypted where there is a
/// passphrase.
pub(super) fn generate(
    created: &str,
    passphrase: Option<SecretString>,
) -> std::io::Result<(Recipient, Zeroizing<Vec<u8>>)> {
    let key = x25519::Identity::generate();
    let recipient = Recipient::native(key.to_public());
    let secret = key.to_string();
    let mut text = Zeroizing::new(Vec::with_capacity(512));
    writeln!(*text, "# created: {created}")?;
    writeln!(*text, "# public key: {recipient}")?;
    writeln!(*text, "{}", secret.expose_secret())?;
    if let Some(passphrase) = passphrase {
        let sealed = write(Encryptor::with_user_passphrase(passphrase), &text)?;
        return Ok((recipient, Zeroizing::new(sealed)));
    }
    Ok((recipient, text))
}

/// Encrypts to the recipients, of whom there must be one.
pub(super) fn seal(recipients: &[Recipient], plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let keys = recipients.iter().map(|recipient| match &recipient.key {
        RecipientKey::Native(key) => key as &dyn age::Recipient,
        RecipientKey::Ssh(key) => key,
    });
    let encryptor = Encryptor::with_recipients(keys)
        .map_err(|_| std::io::Error::other("these recipients cannot share a file"))?;
    write(encryptor, plain)
}

fn write(encryptor: Encryptor, plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut stream = encryptor.wrap_output(armor)?;
    stream.write_all(plain)?;
    stream.finish()?.finish()
}

/// Why an age file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenProblem {
    /// It is not for any of the identities.
    NoMatch,
    /// It is cut off or garbage.
    Damaged(&'static str),
    /// It has another age format.
    Newer,
}

/// Decrypts a file with whichever identity opens it.
pub(super) fn open(
    bytes: &[u8],
    identities: &[Identity],
) -> Result<Zeroizing<Vec<u8>>, OpenProblem> {
    let armored = BufReader::new(ArmoredReader::new(bytes));
    let decryptor = Decryptor::new_buffered(armored).map_err(|error| problem(&error))?;
    if decryptor.is_scrypt() {
        return Err(OpenProblem::Damaged("it is encrypted with a passphrase, not to recipients"));
    }
    let keys = identities.iter().map(|identity| &*identity.key as &dyn age::Identity);
    drain(decryptor.decrypt(keys).map_err(|error| problem(&error))?)
}

fn problem(error: &DecryptError) -> OpenProblem {
    match error {
        DecryptError::NoMatchingKeys => OpenProblem::NoMatch,
        DecryptError::UnknownFormat => OpenProblem::Newer,
        DecryptError::Io(_) => OpenProblem::Damaged("it is cut off or no age file"),
        DecryptError::InvalidHeader => OpenProblem::Damaged("its header is no age header"),
        _ => OpenProblem::Damaged("its contents were changed"),
    }
}

/// Reads all of a small plaintext without leaving copies behind: the buffer never grows.
fn drain(stream: impl Read) -> Result<Zeroizing<Vec<u8>>, OpenProblem> {
    let mut plain = Zeroizing::new(vec![0; PLAIN_LIMIT + 1]);
    let mut stream = stream;
    let mut length = 0;
    while length <= PLAIN_LIMIT {
        match stream.read(&mut plain[length..]) {
            Ok(0) => {
                plain.truncate(length);
                return Ok(plain);
            }
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(OpenProblem::Damaged("it is cut off or was changed")),
        }
    }
    Err(OpenProblem::Damaged("it is longer than any file of the vault"))
}

//! age files: the only place that knows the age crate.
//!
//! Files are written in ASCII armor (`age -d` and `rage -d` open them; git shows them as text) and
//! read in either form. The texts of age's own errors are not used: they are written for another
//! program's options.

mod plugin;
mod recipient;

pub use plugin::{PluginFault, PluginPrompts};
pub use recipient::{Recipient, RecipientError};

use std::fmt;
use std::io::{BufReader, Read, Write as _};
use std::sync::Arc;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, ssh, x25519};
use zeroize::Zeroizing;

use plugin::{Opener, Sealer, program};
use recipient::RecipientKey;

/// The most bytes that a secret of the vault, or a decrypted identity file, may have.
const PLAIN_LIMIT: usize = 64 * 1024;

/// The most scrypt work accepted, as age(1) does: 2^22 takes some seconds.
const WORK_LIMIT: u8 = 22;

/// What opens age files: a private key, decrypted, or what a plugin knows a key by. It prints only
/// its public part.
pub(super) enum Identity {
    /// A private key.
    Key {
        /// Its public part.
        recipient: Recipient,
        /// The key.
        key: Box<dyn age::Identity + Send + Sync>,
    },
    /// A key that a plugin has.
    Plugin {
        /// Its public part, where the file names it.
        recipient: Option<Recipient>,
        /// What the plugin knows it by.
        key: age::plugin::Identity,
    },
}

/// All identities at hand.
pub(super) struct Keyring {
    keys: Vec<(Recipient, Box<dyn age::Identity + Send + Sync>)>,
    /// One for each plugin.
    plugins: Vec<Opener>,
    /// The public parts of what plugins have, each with the plugin's name.
    held: Vec<(String, Option<Recipient>)>,
}

impl Keyring {
    pub(super) fn new(identities: Vec<Identity>, prompts: &Arc<dyn PluginPrompts>) -> Self {
        let mut ring = Self { keys: Vec::new(), plugins: Vec::new(), held: Vec::new() };
        for identity in identities {
            match identity {
                Identity::Key { recipient, key } => ring.keys.push((recipient, key)),
                Identity::Plugin { recipient, key } => {
                    let name = key.plugin().to_owned();
                    if !ring.plugins.iter().any(|one| one.name() == name) {
                        ring.plugins.push(Opener::new(&name, Arc::clone(prompts)));
                    }
                    let opener = ring.plugins.iter_mut().find(|one| one.name() == name);
                    if let Some(opener) = opener {
                        opener.add(key.clone());
                    }
                    ring.held.push((name, recipient));
                }
            }
        }
        ring
    }

    /// The public parts, as far as they are known.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        let held = self.held.iter().filter_map(|(_, recipient)| recipient.clone());
        self.keys.iter().map(|(recipient, _)| recipient.clone()).chain(held).collect()
    }

    /// The programs of plugins that have a key whose public part nobody knows.
    pub(super) fn unknown(&self) -> Vec<String> {
        let unknown = self.held.iter().filter(|(_, recipient)| recipient.is_none());
        unknown.map(|(name, _)| program(name)).collect()
    }

    /// What messages call them.
    pub(super) fn names(&self) -> Vec<String> {
        let known = self.recipients().into_iter().map(|one| one.to_string());
        known.chain(self.unknown().iter().map(|name| format!("an identity of {name}"))).collect()
    }

    /// Whether one of them may open what is encrypted to these recipients.
    pub(super) fn may_open(&self, recipients: &[Recipient]) -> bool {
        let known = self.recipients();
        let unknown = self.unknown();
        recipients.iter().any(|one| {
            known.contains(one) || one.program().is_some_and(|name| unknown.contains(&name))
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.names().join(", "))
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
    // What the comments above the line at hand say that its public part is.
    let mut told: Option<Recipient> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            told = recipient_in(comment).or(told);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let told = told.take();
        if let Ok(key) = line.parse::<x25519::Identity>() {
            let recipient = Recipient::native(key.to_public());
            identities.push(Identity::Key { recipient, key: Box::new(key) });
        } else if let Ok(key) = line.parse::<age::plugin::Identity>() {
            let recipient = told.filter(|one| one.is_of_plugin(key.plugin()));
            identities.push(Identity::Plugin { recipient, key });
        } else {
            let number = number + 1;
            return Err(if line.to_ascii_uppercase().starts_with("AGE-") {
                format!("the identity in line {number} is cut off or mistyped")
            } else {
                format!("line {number} is neither AGE-SECRET-KEY-1… nor AGE-PLUGIN-…")
            });
        }
    }
    if identities.is_empty() {
        return Err("it holds no identity".to_owned());
    }
    Ok(identities)
}

/// The recipient that a comment names, as `age-plugin-yubikey` writes it: `Recipient: age1…`.
fn recipient_in(comment: &str) -> Option<Recipient> {
    let (name, text) = comment.split_once(':')?;
    let name = name.trim().to_ascii_lowercase();
    ["recipient", "public key"].contains(&name.as_str()).then(|| text.parse().ok()).flatten()
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
    Ok(Identity::Key { recipient, key: Box::new(key) })
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

/// Why nothing was encrypted.
#[derive(Debug)]
pub(super) enum SealProblem {
    /// A plugin fails.
    Plugin {
        /// The plugin's program.
        program: String,
        /// Why.
        fault: PluginFault,
    },
    /// The recipients cannot share a file, or there is no room for it.
    Io(std::io::Error),
}

impl From<std::io::Error> for SealProblem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Encrypts to the recipients, of whom there must be one. The plugins of those that have one are
/// run.
pub(super) fn seal(
    recipients: &[Recipient],
    plain: &[u8],
    prompts: &Arc<dyn PluginPrompts>,
) -> Result<Vec<u8>, SealProblem> {
    let mut keys: Vec<&dyn age::Recipient> = Vec::new();
    let mut plugins: Vec<Sealer> = Vec::new();
    for recipient in recipients {
        match recipient.key() {
            RecipientKey::Native(key) => keys.push(key),
            RecipientKey::Ssh(key) => keys.push(key),
            RecipientKey::Tag(key) => keys.push(&**key),
            RecipientKey::TagPq(key) => keys.push(&**key),
            RecipientKey::Plugin(key) => {
                let name = key.plugin();
                if !plugins.iter().any(|one| one.name() == name) {
                    plugins.push(Sealer::new(name, Arc::clone(prompts)));
                }
                let sealer = plugins.iter_mut().find(|one| one.name() == name);
                if let Some(sealer) = sealer {
                    sealer.add(key.clone());
                }
            }
        }
    }
    let keys = keys.into_iter().chain(plugins.iter().map(|one| one as &dyn age::Recipient));
    let encryptor = Encryptor::with_recipients(keys).map_err(|_| {
        let failed = plugins.iter().find_map(|one| Some((program(one.name()), one.fault()?)));
        match failed {
            Some((program, fault)) => SealProblem::Plugin { program, fault },
            None => SealProblem::Io(std::io::Error::other("these recipients cannot share a file")),
        }
    })?;
    Ok(write(encryptor, plain)?)
}

fn write(encryptor: Encryptor, plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut stream = encryptor.wrap_output(armor)?;
    stream.write_all(plain)?;
    stream.finish()?.finish()
}

/// Why an age file does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenProblem {
    /// It is not for any of the identities.
    NoMatch,
    /// It is cut off or garbage.
    Damaged(&'static str),
    /// It has another age format.
    Newer,
    /// No key opens it, and a plugin that might fails.
    Plugin {
        /// The plugin's program.
        program: String,
        /// Why.
        fault: PluginFault,
    },
}

/// Decrypts a file with whichever identity opens it. Plugins are run where no key does.
pub(super) fn open(bytes: &[u8], identities: &Keyring) -> Result<Zeroizing<Vec<u8>>, OpenProblem> {
    let armored = BufReader::new(ArmoredReader::new(bytes));
    let decryptor = Decryptor::new_buffered(armored).map_err(|error| problem(&error))?;
    if decryptor.is_scrypt() {
        return Err(OpenProblem::Damaged("it is encrypted with a passphrase, not to recipients"));
    }
    let keys = identities.keys.iter().map(|(_, key)| &**key as &dyn age::Identity);
    let plugins = identities.plugins.iter().map(|one| one as &dyn age::Identity);
    let opened = decryptor.decrypt(keys.chain(plugins)).map_err(|error| {
        let mut failed = identities.plugins.iter();
        let failed = failed.find_map(|one| Some((program(one.name()), one.fault()?)));
        match (problem(&error), failed) {
            (OpenProblem::NoMatch, Some((program, fault))) => {
                OpenProblem::Plugin { program, fault }
            }
            (problem, _) => problem,
        }
    })?;
    drain(opened)
}

fn problem(error: &DecryptError) -> OpenProblem {
    match error {
        DecryptError::NoMatchingKeys => OpenProblem::NoMatch,
        DecryptError::UnknownFormat => OpenProblem::Newer,
        DecryptError::Io(_) => OpenProblem::Damaged("it is cut off or no age file"),
        DecryptError::InvalidHeader => OpenProblem::Damaged("its header is not an age header"),
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

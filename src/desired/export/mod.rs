//! Files for devices that nobody logs in to, and lists of the fleet for other programs.
//!
//! A template writes one or more files: each begins with a line `==> NAME <==`.

mod device;
mod targets;
mod whole;

pub use targets::{Scope, TARGETS, Target, target};
pub use whole::{
    ExportedHost, ExportedInterface, ExportedNetwork, ExportedPeer, Membership, WholeFleet,
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::template::{Budget, Failure, Template, TemplateError};
use super::{DesiredHost, DesiredInterface, Secrets};
use crate::model::{FleetName, HostName, PublicKey, SecretText, is_deceptive};

/// What the mark of a secret begins and ends with; no name or address can hold it.
const MARK: char = '\u{1}';

/// The longest name of a file.
const LONGEST_NAME: usize = 128;

/// Whose the private key of a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOf {
    /// The vault has it, and the file gets it.
    Vault,
    /// It is not told: the device is somebody else's.
    Partner {
        /// Whether the inventory has the device's own public key.
        declared: bool,
    },
}

/// A file of an export.
#[derive(Debug)]
pub struct ExportedFile {
    /// Its name, without a folder.
    pub name: String,
    /// What it holds.
    pub content: SecretText,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E: std::error::Error + 'static> {
    /// The template is wrong.
    #[error("failed to render the template {name}")]
    Template {
        /// Its name.
        name: String,
        /// Line and cause.
        #[source]
        source: TemplateError,
    },
    /// The template computes or writes more than any file needs.
    #[error(
        "the template {name} takes more than {steps} steps or writes more than {bytes} bytes{}; look for \
         a loop that is long or does not end, or a text that grows",
        line.map(|line| format!(" (at line {line})")).unwrap_or_default()
    )]
    Excess {
        /// Its name.
        name: String,
        /// The line that was reached, where it is known.
        line: Option<usize>,
        /// The steps that it may take.
        steps: u64,
        /// The bytes that it may write.
        bytes: usize,
    },
    /// The template does not say which file a text belongs to.
    #[error("the template {name} writes text before its first line `==> NAME <==`")]
    Unnamed {
        /// Its name.
        name: String,
    },
    /// A file has a name that is none, or that another one has.
    #[error(
        "the template {name} names a file {file:?}: a name has letters, digits, `.`, `_`, `@` and `-`, \
         and each file one of its own"
    )]
    FileName {
        /// Its name.
        name: String,
        /// The name of the file.
        file: String,
    },
    /// The text has a character that could end a line or hide one.
    #[error("the template {name} writes {found:?}, which ends a line or hides what stands there")]
    Control {
        /// Its name.
        name: String,
        /// The character.
        found: char,
    },
    /// A secret could not be had.
    #[error("failed to get the keys of {host}")]
    Secret {
        /// Whose.
        host: HostName,
        /// Why.
        #[source]
        source: E,
    },
}

/// Writes the files of one export.
#[derive(Debug)]
pub struct Exporter {
    fleet: FleetName,
    name: String,
    template: Template,
}

impl Exporter {
    /// Takes the text of a template; errors call it by its name.
    ///
    /// # Errors
    /// Where the template is not one, with its line.
    pub fn new(fleet: FleetName, name: &str, text: String) -> Result<Self, TemplateError> {
        let template = Template::new(name, text)?;
        Ok(Self { fleet, name: name.to_owned(), template })
    }

    /// The files of a host or an unmanaged peer, for each of its interfaces.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn device<S: Secrets>(
        &self,
        host: &DesiredHost,
        key: KeyOf,
        secrets: &S,
    ) -> Result<Vec<ExportedFile>, ExportError<S::Error>> {
        let mut files: Vec<ExportedFile> = Vec::new();
        for own in &host.interfaces {
            let (private, has_own_key) = match key {
                KeyOf::Vault => (format!("{MARK}private{MARK}"), false),
                KeyOf::Partner { declared } => (String::new(), declared),
            };
            let preshared = |key: &PublicKey| format!("{MARK}{key}{MARK}");
            let context = device::context(
                self.fleet.as_str(),
                (host, own),
                has_own_key,
                &private,
                &preshared,
            );
            let text = self.rendered(&context, Budget::each_of(1).of(own))?;
            for (name, text) in self.split(&text)? {
                if files.iter().any(|file| file.name == name) {
                    return Err(ExportError::FileName { name: self.name.clone(), file: name });
                }
                let filled = filled(&text, host, own, secrets)
                    .map_err(|source| ExportError::Secret { host: host.name.clone(), source })?;
                files.push(ExportedFile { name, content: filled });
            }
        }
        Ok(files)
    }

    /// The files of the whole fleet.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn fleet<E: std::error::Error>(
        &self,
        fleet: &WholeFleet,
    ) -> Result<Vec<ExportedFile>, ExportError<E>> {
        let text = self.rendered(fleet, Budget::of_fleet(fleet.hosts.len() + fleet.peers.len()))?;
        let files = self.split(&text)?.into_iter();
        Ok(files.map(|(name, text)| ExportedFile { name, content: text.into() }).collect())
    }

    fn rendered<E: std::error::Error>(
        &self,
        context: &impl Serialize,
        budget: Budget,
    ) -> Result<Zeroizing<String>, ExportError<E>> {
        let name = || self.name.clone();
        let text = self.template.render(context, budget).map_err(|failure| match failure {
            Failure::Endless { line, .. } | Failure::TooLong { line, .. } => {
                ExportError::Excess { name: name(), line, steps: budget.fuel, bytes: budget.bytes }
            }
            Failure::Wrong(source) => ExportError::Template { name: name(), source },
        })?;
        let unfit = |c: &char| is_deceptive(*c) && !matches!(*c, '\n' | '\t' | MARK);
        match text.chars().find(unfit) {
            Some(found) => Err(ExportError::Control { name: name(), found }),
            None => Ok(text.into()),
        }
    }

    /// Takes a text apart into its files.
    fn split<E: std::error::Error>(
        &self,
        text: &str,
    ) -> Result<Vec<(String, Zeroizing<String>)>, ExportError<E>> {
        let mut files: Vec<(String, Zeroizing<String>)> = Vec::new();
        for line in text.lines() {
            let named = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <=="));
            if let Some(name) = named {
                if !is_file_name(name) || files.iter().any(|(file, _)| file == name) {
                    let file = name.to_owned();
                    return Err(ExportError::FileName { name: self.name.clone(), file });
                }
                files.push((name.to_owned(), Zeroizing::new(String::new())));
            } else if let Some((_, content)) = files.last_mut() {
                content.push_str(line);
                content.push('\n');
            } else if !line.trim().is_empty() {
                return Err(ExportError::Unnamed { name: self.name.clone() });
            }
        }
        for (_, content) in &mut files {
            let length = content.trim_end().len();
            content.truncate(length);
            content.push('\n');
        }
        Ok(files)
    }
}

fn is_file_name(name: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-' | '+' | '=');
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.chars().all(fits)
        && !name.starts_with(['.', '-'])
}

/// A text with its secrets in the places of their marks.
fn filled<S: Secrets>(
    text: &str,
    host: &DesiredHost,
    own: &DesiredInterface,
    secrets: &S,
) -> Result<SecretText, S::Error> {
    let marks = text.matches(MARK).count() / 2;
    // Exact capacity: growing would leave copies behind that nobody zeroes.
    let mut content = Zeroizing::new(String::with_capacity(text.len() + 64 * marks));
    for (index, piece) in text.split(MARK).enumerate() {
        if index % 2 == 0 {
            content.push_str(piece);
        } else if let Ok(peer) = piece.parse::<PublicKey>() {
            if let Some(epoch) = own.peers.get(&peer).and_then(|peer| peer.psk_epoch) {
                let psk = secrets.preshared_key(&own.public_key, &peer, epoch)?;
                content.push_str(&psk.expose_base64());
            }
        } else {
            let private = secrets.private_key(&host.name, &own.public_key)?;
            content.push_str(&private.expose_base64());
        }
    }
    Ok(content.into())
}

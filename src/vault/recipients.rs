//! The reviewed recipients file: who can open the vault, one a line.
//!
//! It has the form of `age -R`: comments on lines of their own that start with `#`.

use std::fmt::Write as _;
use std::path::Path;

use super::age_file::Recipient;
use super::error::VaultError;

/// What a new recipients file begins with.
const HEADER: &str = "\
# Who can open this vault: one `age1…` or `ssh-ed25519 AAAA… comment` a line.
# After a change: `wgfleet vault rekey`. Whoever is removed could have copied the keys before:
# follow with `wgfleet rotate --all`. A comment above a line says whose it is.

";

/// Reads a recipients file.
///
/// # Errors
/// [`VaultError::Recipients`] with every bad line, [`VaultError::NoRecipients`] where none is left.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Recipient>, VaultError> {
    let mut recipients: Vec<Recipient> = Vec::new();
    let mut problems = Vec::new();
    // The comment right above the line at hand.
    let mut comment: Option<&str> = None;
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            problems.push((number + 1, "this is not text".to_owned()));
            continue;
        };
        let line = line.trim();
        if let Some(text) = line.strip_prefix('#') {
            comment = Some(text.trim()).filter(|_| !HEADER.lines().any(|own| own == line));
            continue;
        }
        let name = comment.take();
        if line.is_empty() {
            continue;
        }
        match line.parse::<Recipient>() {
            Ok(recipient) if recipients.contains(&recipient) => {}
            Ok(recipient) => recipients.push(recipient.or_named(name)),
            Err(problem) => problems.push((number + 1, problem.to_string())),
        }
    }
    if !problems.is_empty() {
        return Err(VaultError::Recipients { path: path.to_owned(), problems });
    }
    if recipients.is_empty() {
        return Err(VaultError::NoRecipients { path: path.to_owned() });
    }
    Ok(recipients)
}

/// What a rekey would change about who can open the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientChange {
    /// Those of `recipients.txt` that no rekey has confirmed: nothing is encrypted to them.
    pub added: Vec<Recipient>,
    /// Those who can open what is there, and are no longer in `recipients.txt`.
    pub removed: Vec<String>,
}

impl RecipientChange {
    /// Compares the recipients file with the recipients of the last rekey.
    pub(super) fn between(confirmed: &[String], recipients: &[Recipient]) -> Self {
        let stays = |text: &String| recipients.iter().any(|one| one.as_str() == text);
        let known = |one: &&Recipient| confirmed.iter().any(|text| text == one.as_str());
        Self {
            added: recipients.iter().filter(|one| !known(one)).cloned().collect(),
            removed: confirmed.iter().filter(|text| !stays(text)).cloned().collect(),
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// One line for each: `+ age1… (who)` for whom a rekey would add, `- age1…` for whom it would take
    /// away.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let added = self.added.iter().map(|one| format!("+ {}", described(one)));
        added.chain(self.removed.iter().map(|text| format!("- {text}"))).collect()
    }
}

/// A recipient with what the file says of it.
pub(super) fn described(recipient: &Recipient) -> String {
    let name = recipient.name().map(|name| format!(" ({name})")).unwrap_or_default();
    // Whoever confirms it confirms that the program is run.
    let runs = recipient.program().map(|name| format!(" [runs {name}]")).unwrap_or_default();
    format!("{recipient}{name}{runs}")
}

/// Who may be encrypted to. Only [`super::Vault`] makes one: of a vault that it creates, of what a
/// rekey is to confirm, or of recipients whom the vault's own secrets name as confirmed.
#[derive(Debug)]
pub(super) struct Confirmed(Vec<Recipient>);

impl Confirmed {
    pub(super) fn of(recipients: &[Recipient]) -> Self {
        Self(recipients.to_vec())
    }

    pub(super) fn recipients(&self) -> &[Recipient] {
        &self.0
    }
}

/// The bytes of a new recipients file.
pub(super) fn render(recipients: &[Recipient]) -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for recipient in recipients {
        if let Some(name) = recipient.name() {
            let _ = writeln!(text, "# {name}");
        }
        text.push_str(recipient.as_str());
        text.push('\n');
    }
    text.into_bytes()
}

/// Their texts, sorted, as the index keeps them.
pub(super) fn texts(recipients: &[Recipient]) -> Vec<String> {
    let mut texts: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

//! The reviewed recipients file: who can open the vault, one a line.
//!
//! It has the form of `age -R`: comments on lines of their own that start with `#`.

use std::path::Path;

use super::age_file::Recipient;
use super::error::VaultError;

/// What a new recipients file begins with.
const HEADER: &str = "\
# Who can open this vault: one `age1…` or `ssh-ed25519 AAAA… comment` a line.
# After a change: `wgfleet vault rekey`. Whoever is removed could have copied the keys before:
# follow with `wgfleet rotate --all`.
";

/// Reads a recipients file.
///
/// # Errors
/// [`VaultError::Recipients`] with every bad line, [`VaultError::NoRecipients`] where none is left.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Recipient>, VaultError> {
    let mut recipients: Vec<Recipient> = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            problems.push((number + 1, "this is no text".to_owned()));
            continue;
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse::<Recipient>() {
            Ok(recipient) if recipients.contains(&recipient) => {}
            Ok(recipient) => recipients.push(recipient),
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

/// The bytes of a new recipients file.
pub(super) fn render(recipients: &[Recipient]) -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for recipient in recipients {
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

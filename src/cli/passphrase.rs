//! Passphrases, asked for on the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::vault::{Passphrase, PassphraseError};

/// The longest passphrase.
const LIMIT: usize = 1024;

/// The user's terminal, whatever stdin and stdout are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal;

impl Passphrase for Terminal {
    fn ask(&self, path: &Path) -> Result<SecretString, PassphraseError> {
        prompt(&format!("Passphrase of {}: ", path.display()))
    }
}

impl Terminal {
    /// Asks twice for a new passphrase.
    pub(super) fn choose(path: &Path) -> Result<SecretString, PassphraseError> {
        let first = prompt(&format!("New passphrase for {}: ", path.display()))?;
        if first.expose_secret().is_empty() {
            return Err(PassphraseError::Refused("a passphrase cannot be empty"));
        }
        let second = prompt("The same again: ")?;
        if first.expose_secret() != second.expose_secret() {
            return Err(PassphraseError::Refused("the two passphrases differ"));
        }
        Ok(first)
    }
}

/// Puts the terminal back as it was.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn prompt(text: &str) -> Result<SecretString, PassphraseError> {
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| PassphraseError::NoTerminal)?;
    let before = tcgetattr(&terminal).map_err(|_| PassphraseError::NoTerminal)?;
    let mut silent = before.clone();
    // Without signals Ctrl-C arrives as a byte, and the echo comes back before the program ends.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    // The echo goes before the prompt comes: whoever types at once is neither shown nor lost.
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(io::Error::from)?;
    let guard = Silent { terminal: &terminal, before };
    let line = show(&terminal, text.as_bytes()).and_then(|()| read_line(&terminal));
    drop(guard);
    show(&terminal, b"\n")?;
    line
}

fn show(mut terminal: &File, text: &[u8]) -> Result<(), PassphraseError> {
    Ok(terminal.write_all(text)?)
}

fn read_line(mut terminal: &File) -> Result<SecretString, PassphraseError> {
    let mut line = Zeroizing::new([0_u8; LIMIT]);
    let mut length = 0;
    loop {
        let read = terminal.read(&mut line[length..])?;
        let end = line[length..length + read].iter().position(|byte| *byte == b'\n');
        length += end.unwrap_or(read);
        if line[..length].contains(&3) {
            return Err(PassphraseError::Interrupted);
        }
        if end.is_some() || read == 0 {
            let text = std::str::from_utf8(&line[..length])
                .map_err(|_| PassphraseError::Refused("a passphrase must be UTF-8"))?;
            return Ok(SecretString::from(text));
        }
        if length == LIMIT {
            return Err(PassphraseError::Refused("a passphrase has at most 1023 bytes"));
        }
    }
}

//! Passphrases, asked for on the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::model::Untrusted;
use crate::vault::{Passphrase, PassphraseError, PluginPrompts};

/// The longest passphrase.
const LIMIT: usize = 1024;
/// How often a question is put before it counts as not answered.
const TRIES: usize = 3;

/// The user's terminal, whatever stdin and stdout are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal;

impl Passphrase for Terminal {
    fn ask(&self, path: &Path) -> Result<SecretString, PassphraseError> {
        prompt(&format!("Passphrase of {}: ", path.display()), Echo::Off)
    }

    fn plugin_prompts(&self) -> Arc<dyn PluginPrompts> {
        Arc::new(*self)
    }
}

impl PluginPrompts for Terminal {
    fn interactive(&self) -> bool {
        open().is_ok()
    }

    fn show(&self, message: &Untrusted) {
        // Without a terminal nobody reads it.
        let _ = open().and_then(|terminal| show(&terminal, format!("{message}\n").as_bytes()));
    }

    fn confirm(
        &self,
        question: &Untrusted,
        yes: &Untrusted,
        no: Option<&Untrusted>,
    ) -> Option<bool> {
        let no = no.map_or_else(|| "no".to_owned(), ToString::to_string);
        for _ in 0..TRIES {
            let answer = prompt(&format!("{question}\n  y = {yes}, n = {no}: "), Echo::On).ok()?;
            match answer.expose_secret().trim() {
                "y" | "Y" | "yes" => return Some(true),
                "n" | "N" | "no" => return Some(false),
                _ => {}
            }
        }
        None
    }

    fn ask(&self, question: &Untrusted) -> Option<String> {
        let answer = prompt(&format!("{question}: "), Echo::On).ok()?;
        Some(answer.expose_secret().to_owned())
    }

    fn ask_secret(&self, question: &Untrusted) -> Option<SecretString> {
        prompt(&format!("{question}: "), Echo::Off).ok()
    }
}

/// Whether what is typed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

impl Terminal {
    /// Asks twice for a new passphrase.
    pub(super) fn choose(path: &Path) -> Result<SecretString, PassphraseError> {
        let first = prompt(&format!("New passphrase for {}: ", path.display()), Echo::Off)?;
        if first.expose_secret().is_empty() {
            return Err(PassphraseError::Refused("a passphrase cannot be empty"));
        }
        let second = prompt("The same again: ", Echo::Off)?;
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

fn open() -> Result<File, PassphraseError> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    terminal.map_err(|_| PassphraseError::NoTerminal)
}

fn prompt(text: &str, echo: Echo) -> Result<SecretString, PassphraseError> {
    let terminal = open()?;
    let before = tcgetattr(&terminal).map_err(|_| PassphraseError::NoTerminal)?;
    let mut silent = before.clone();
    // Without signals Ctrl-C arrives as a byte, and the echo comes back before the program ends.
    silent.local_modes.remove(LocalModes::ISIG);
    if echo == Echo::Off {
        silent.local_modes.remove(LocalModes::ECHO);
    }
    // The echo goes before the prompt comes: whoever types at once is neither shown nor lost.
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(io::Error::from)?;
    let guard = Silent { terminal: &terminal, before };
    let line = show(&terminal, text.as_bytes()).and_then(|()| read_line(&terminal));
    drop(guard);
    if echo == Echo::Off {
        show(&terminal, b"\n")?;
    }
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

//! age plugins: programs of the operator that hold keys, such as `age-plugin-yubikey`. age finds
//! them in PATH by the name in the recipient or identity.
//!
//! The protocol is <https://c2sp.org/age-plugin>. One plugin runs at a time, for they talk to one
//! person and one device; and one that failed is not run again, for a device locks itself after
//! three wrong PINs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use age::plugin::{Identity, IdentityPluginV1, Recipient, RecipientPluginV1};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};
use rustix::fs::{Access, access};

use crate::model::Untrusted;

/// The longest that a plugin may take where there is nobody to touch a key or type a PIN.
const ALONE: Duration = Duration::from_mins(1);

/// Held while a plugin runs.
static RUNNING: Mutex<()> = Mutex::new(());

/// How a plugin reaches the person at the terminal.
pub trait PluginPrompts: fmt::Debug + Send + Sync {
    /// Whether there is a terminal.
    fn interactive(&self) -> bool;
    /// Shows a message, such as that a key waits to be touched.
    fn show(&self, message: &Untrusted);
    /// Asks a question with two answers; whether it was the first.
    fn confirm(
        &self,
        question: &Untrusted,
        yes: &Untrusted,
        no: Option<&Untrusted>,
    ) -> Option<bool>;
    /// Asks for a text.
    fn ask(&self, question: &Untrusted) -> Option<String>;
    /// Asks for a PIN or a passphrase, without echo.
    fn ask_secret(&self, question: &Untrusted) -> Option<SecretString>;
}

/// Why a plugin did not do what it was run for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// It is not in PATH.
    #[error(
        "it is not in PATH: install it, for example with `cargo install {program}` \
         (https://github.com/FiloSottile/awesome-age lists plugins), or use another identity"
    )]
    Missing {
        /// The program's name.
        program: String,
    },
    /// PATH leads to it through a relative folder, which may be a stranger's.
    #[error("PATH leads to it through the relative folder `{0}`: write absolute folders into PATH")]
    Relative(Untrusted),
    /// It needs an answer, and there is nobody to ask.
    #[error(
        "it asks \"{0}\", and there is no terminal to ask on: run in a terminal, or use an identity \
         that asks nothing"
    )]
    NoTerminal(Untrusted),
    /// It takes too long, and there is nobody to do what it waits for.
    #[error(
        "it did not answer within {} s, and there is no terminal: it may wait for its device or for a \
         touch{}; run in a terminal, or use an identity that asks nothing",
        ALONE.as_secs(),
        said(.0.as_ref())
    )]
    Silent(Option<Untrusted>),
    /// It ended in the middle.
    #[error("it ended before it had answered: try it with `age --decrypt`")]
    Died,
    /// It says no.
    #[error("it says: {0}")]
    Refused(Untrusted),
}

fn said(message: Option<&Untrusted>) -> String {
    message.map(|message| format!(" (it says: {message})")).unwrap_or_default()
}

/// The name of the program that a plugin's recipients and identities are for.
pub(super) fn program(name: &str) -> String {
    format!("age-plugin-{name}")
}

/// Opens files with the identities of one plugin.
pub(super) struct Opener {
    name: String,
    identities: Vec<Identity>,
    prompts: Arc<dyn PluginPrompts>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Option<PluginFault>,
    /// What was asked for and opened a file: it is not asked for again.
    answers: HashMap<String, SecretString>,
}

impl Opener {
    pub(super) fn new(name: &str, prompts: Arc<dyn PluginPrompts>) -> Self {
        Self { name: name.to_owned(), identities: Vec::new(), prompts, state: Mutex::default() }
    }

    pub(super) fn add(&mut self, identity: Identity) {
        self.identities.push(identity);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Why it opens nothing; none where it has not failed.
    pub(super) fn fault(&self) -> Option<PluginFault> {
        self.state().fault.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, stanzas: &[Stanza]) -> Result<Option<FileKey>, PluginFault> {
        find(&self.name)?;
        let held = self.state().answers.clone();
        let talk = Talk::new(&self.name, &self.prompts, held);
        let client = IdentityPluginV1::new(&self.name, &self.identities, talk.clone());
        let client = client.map_err(|_| PluginFault::Missing { program: program(&self.name) })?;
        let copy = |one: &Stanza| Stanza {
            tag: one.tag.clone(),
            args: one.args.clone(),
            body: one.body.clone(),
        };
        let stanzas: Vec<Stanza> = stanzas.iter().map(copy).collect();
        let answer =
            bounded(&talk, ALONE, move || age::Identity::unwrap_stanzas(&client, &stanzas))?;
        match answer {
            Some(Ok(key)) => {
                let given = std::mem::take(&mut talk.notes().given);
                self.state().answers.extend(given);
                Ok(Some(key))
            }
            None => talk.unanswered().map_or(Ok(None), Err),
            Some(Err(error)) => Err(talk.unanswered().unwrap_or_else(|| match error {
                DecryptError::Plugin(errors) => refused(&errors),
                DecryptError::Io(error) => broken(&error),
                _ => PluginFault::Refused(Untrusted::new("it cannot open the file")),
            })),
        }
    }
}

impl age::Identity for Opener {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    /// Gives nothing where the plugin fails, so that another identity may open the file.
    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let _one = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().fault.is_some() {
            return None;
        }
        match self.run(stanzas) {
            Ok(key) => key.map(Ok),
            Err(fault) => {
                self.state().fault = Some(fault);
                None
            }
        }
    }
}

/// Encrypts to the recipients of one plugin.
pub(super) struct Sealer {
    name: String,
    recipients: Vec<Recipient>,
    prompts: Arc<dyn PluginPrompts>,
    fault: Mutex<Option<PluginFault>>,
}

impl Sealer {
    pub(super) fn new(name: &str, prompts: Arc<dyn PluginPrompts>) -> Self {
        Self { name: name.to_owned(), recipients: Vec::new(), prompts, fault: Mutex::default() }
    }

    pub(super) fn add(&mut self, recipient: Recipient) {
        self.recipients.push(recipient);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Why it encrypts nothing; none where it has not failed.
    pub(super) fn fault(&self) -> Option<PluginFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn run(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), PluginFault> {
        find(&self.name)?;
        let talk = Talk::new(&self.name, &self.prompts, HashMap::new());
        let client = RecipientPluginV1::new(&self.name, &self.recipients, &[], talk.clone());
        let client = client.map_err(|_| PluginFault::Missing { program: program(&self.name) })?;
        let key = FileKey::init_with_mut(|bytes| bytes.copy_from_slice(key.expose_secret()));
        let answer = bounded(&talk, ALONE, move || age::Recipient::wrap_file_key(&client, &key))?;
        answer.map_err(|error| {
            talk.unanswered().unwrap_or_else(|| match error {
                EncryptError::Plugin(errors) => refused(&errors),
                EncryptError::Io(error) => broken(&error),
                _ => PluginFault::Refused(Untrusted::new("it cannot encrypt")),
            })
        })
    }
}

impl age::Recipient for Sealer {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let _one = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        self.run(key).map_err(|fault| {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            EncryptError::MissingRecipients
        })
    }
}

/// Checks that PATH leads to a plugin, and not through a folder that depends on where one stands:
/// that may be a stranger's pull request.
fn find(name: &str) -> Result<(), PluginFault> {
    let program = program(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let there = |folder: &PathBuf| is_program(&folder.join(&program));
    let Some(folder) = folders.into_iter().find(there) else {
        return Err(PluginFault::Missing { program });
    };
    if folder.is_absolute() {
        return Ok(());
    }
    Err(PluginFault::Relative(Untrusted::new(folder.to_string_lossy())))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Runs a conversation with a plugin; for a limited time where there is no terminal. A plugin that
/// takes longer sees its stdin end when this program ends.
fn bounded<T: Send + 'static>(
    talk: &Talk,
    limit: Duration,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PluginFault> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        // Whoever waits for it may have given up.
        let _ = send.send(run());
    });
    if talk.0.prompts.interactive() {
        return receive.recv().map_err(|_| PluginFault::Died);
    }
    receive.recv_timeout(limit).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => {
            PluginFault::Silent(talk.notes().said.as_deref().map(Untrusted::new))
        }
        mpsc::RecvTimeoutError::Disconnected => PluginFault::Died,
    })
}

fn refused(errors: &[impl fmt::Display]) -> PluginFault {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    PluginFault::Refused(Untrusted::new(texts.join("; ")))
}

fn broken(error: &io::Error) -> PluginFault {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe => PluginFault::Died,
        _ => PluginFault::Refused(Untrusted::new(error.to_string())),
    }
}

/// What is said between a plugin and a person in one run.
#[derive(Clone)]
struct Talk(Arc<Conversation>);

struct Conversation {
    program: String,
    prompts: Arc<dyn PluginPrompts>,
    /// Answers of earlier runs.
    held: HashMap<String, SecretString>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    unanswered: Option<String>,
    said: Option<String>,
    /// Answers of this run.
    given: HashMap<String, SecretString>,
}

impl Talk {
    fn new(
        name: &str,
        prompts: &Arc<dyn PluginPrompts>,
        held: HashMap<String, SecretString>,
    ) -> Self {
        Self(Arc::new(Conversation {
            program: program(name),
            prompts: Arc::clone(prompts),
            held,
            notes: Mutex::default(),
        }))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the plugin asked without an answer.
    fn unanswered(&self) -> Option<PluginFault> {
        let asked = self.notes().unanswered.take()?;
        Some(PluginFault::NoTerminal(Untrusted::new(asked)))
    }

    /// A text of the plugin with its name in front.
    fn named(&self, text: &str) -> Untrusted {
        Untrusted::new(format!("{}: {}", self.0.program, text.trim()))
    }

    /// Notes a question without an answer.
    fn note<T>(&self, question: &str, answer: Option<T>) -> Option<T> {
        if answer.is_none() && !self.0.prompts.interactive() {
            self.notes().unanswered.get_or_insert_with(|| question.trim().to_owned());
        }
        answer
    }
}

impl age::Callbacks for Talk {
    fn display_message(&self, message: &str) {
        self.notes().said.get_or_insert_with(|| message.trim().to_owned());
        self.0.prompts.show(&self.named(message));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.map(Untrusted::new);
        let answer =
            self.0.prompts.confirm(&self.named(message), &Untrusted::new(yes), no.as_ref());
        self.note(message, answer)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.note(description, self.0.prompts.ask(&self.named(description)))
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        // One that is asked for twice in a run was wrong.
        let first = !self.notes().given.contains_key(description);
        let held = self.0.held.get(description).filter(|_| first).cloned();
        let answer = held.or_else(|| self.0.prompts.ask_secret(&self.named(description)));
        let answer = self.note(description, answer)?;
        self.notes().given.insert(description.to_owned(), answer.clone());
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use age::Callbacks as _;

    use super::*;
    use crate::vault::Unattended;

    #[test]
    fn a_plugin_that_waits_for_nobody_is_given_up_with_what_it_said() {
        let prompts: Arc<dyn PluginPrompts> = Arc::new(Unattended);
        let talk = Talk::new("toy", &prompts, HashMap::new());
        let own = talk.clone();
        let fault = bounded(&talk, Duration::from_millis(200), move || {
            own.display_message("touch \u{1b}[2Jme\n");
            std::thread::sleep(Duration::from_secs(20));
        });
        let fault = fault.unwrap_err();
        assert!(matches!(fault, PluginFault::Silent(Some(_))), "{fault}");
        let text = fault.to_string();
        assert!(text.contains("within 60 s") && text.contains("touch \\u{1b}[2Jme"), "{text}");
        let died = bounded(&talk, ALONE, || -> () { panic!("as a broken plugin may make it") });
        assert_eq!(died, Err(PluginFault::Died));
    }
}

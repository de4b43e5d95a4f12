//! What can be wrong with a vault.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::age_file::PluginFault;
use super::index::IndexError;
use super::passphrase::PassphraseError;
use crate::model::HostName;
use crate::sys::{ConfinedError, FileError};

/// Why the vault cannot be used. No variant holds a secret, and nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no vault in the folder.
    #[error("there is no vault at {path}: run `wgfleet vault init`")]
    NoVault {
        /// The vault's folder.
        path: PathBuf,
    },
    /// There is a vault already.
    #[error("there is already a vault at {path}; nothing was overwritten")]
    Exists {
        /// The vault's folder.
        path: PathBuf,
    },
    /// Keys without an index.
    #[error(
        "{path} is missing although the vault holds keys: restore it with `git checkout -- {path}`; \
         nothing was overwritten"
    )]
    IndexLost {
        /// The index file.
        path: PathBuf,
    },
    /// Another run writes to the vault.
    #[error("the vault {path} is locked by another run: wait until it ends")]
    Locked {
        /// The vault's folder.
        path: PathBuf,
    },
    /// The lock cannot be taken.
    #[error("failed to lock the vault {path}")]
    Lock {
        /// The vault's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The index cannot be read.
    #[error("failed to read the index {path}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// A recipient cannot be read, line by line.
    #[error("{path} contains lines that are not recipients:{}", list_lines(.problems))]
    Recipients {
        /// The recipients file.
        path: PathBuf,
        /// Line numbers from 1, and what is wrong there.
        problems: Vec<(usize, String)>,
    },
    /// No recipient at all: nobody could open what is written.
    #[error(
        "{path} names no recipient: write at least one line with `age1…` or `ssh-ed25519 …` into it"
    )]
    NoRecipients {
        /// The recipients file.
        path: PathBuf,
    },
    /// The recipients file of an unfinished vault lacks a recipient that it should have.
    #[error("{path} is there already and does not name {recipient}: add that line, then run again")]
    RecipientMissing {
        /// The recipients file.
        path: PathBuf,
        /// The recipient.
        recipient: String,
    },
    /// The recipients file of an unfinished vault names somebody whom nobody asked for.
    #[error(
        "{path} is there already and names recipients that were not asked for:{}\n  give each with \
         --recipient, or take its line out of the file",
        list(.strangers)
    )]
    Strangers {
        /// The recipients file.
        path: PathBuf,
        /// The recipients.
        strangers: Vec<String>,
    },
    /// The recipients file names somebody whom no rekey has confirmed.
    #[error(
        "{path} names recipients that no rekey has confirmed; nothing was encrypted{}\n  run `wgfleet \
         vault rekey` first, or take the line out of the file",
        would_read(.added)
    )]
    Unconfirmed {
        /// The recipients file.
        path: PathBuf,
        /// The recipients, with what the file says of them.
        added: Vec<String>,
    },
    /// The lists that anyone can write name somebody whom no rekey has confirmed.
    #[error(
        "{path} and recipients.txt name recipients that no `wgfleet vault rekey` has confirmed; nothing \
         was encrypted{}\n  somebody changed both by hand, or a merge took the older side of a rekey: \
         find the commit with `git log -p -- vault/index.json` and revert it, or run `wgfleet vault \
         rekey`, which shows the difference and asks",
        lines(.difference)
    )]
    RecipientsForged {
        /// The index file.
        path: PathBuf,
        /// Whom they add (`+`) and leave out (`-`).
        difference: Vec<String>,
    },
    /// The file that says who was confirmed was exchanged for an older one.
    #[error(
        "{path} does not say which recipients were confirmed, although {made} was made in a vault that \
         did; nothing was encrypted: an older file was put in its place, so that everybody in \
         recipients.txt would be taken for confirmed; restore the newest one (`git log -- {path}`), or \
         run `wgfleet vault rekey`, which shows all recipients and asks"
    )]
    ConfirmationLost {
        /// The file of the first epoch.
        path: PathBuf,
        /// A file that is newer.
        made: PathBuf,
    },
    /// The recipients file is no longer the one that was shown.
    #[error("{path} was changed meanwhile; nothing was encrypted: run the command again")]
    RecipientsMoved {
        /// The recipients file.
        path: PathBuf,
    },
    /// There is no identity file.
    #[error(
        "there is no identity at {path}: pass --identity FILE or set WGFLEET_IDENTITY to an age \
         identity file or an OpenSSH ed25519 key whose public part is in vault/recipients.txt, or set \
         WGFLEET_IDENTITY_KEY to the identity itself"
    )]
    NoIdentity {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Neither `XDG_CONFIG_HOME` nor HOME is set.
    #[error("neither XDG_CONFIG_HOME nor HOME is set: pass --identity FILE")]
    NoHome,
    /// The identity file can be read by other users.
    #[error(
        "the identity {path} can be read by other users (mode {mode:04o}): run `chmod 600 {path}`"
    )]
    IdentityExposed {
        /// The identity file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The identity file is not one.
    #[error("the identity {path} cannot be used: {why}")]
    IdentityMalformed {
        /// The identity file.
        path: PathBuf,
        /// What is wrong, without any of its text.
        why: String,
    },
    /// A secret in clear would lie where it is easily committed.
    #[error(
        "{path} would lie inside the git work tree {root}, where a secret is easily committed: \
         choose a path outside of it"
    )]
    InWorkTree {
        /// Where the secret would be written.
        path: PathBuf,
        /// The work tree.
        root: PathBuf,
    },
    /// The identity has a passphrase, and there is none.
    #[error("failed to get the passphrase of {path}")]
    Passphrase {
        /// The identity file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PassphraseError,
    },
    /// The passphrase does not open the identity.
    #[error("wrong passphrase for {path}")]
    WrongPassphrase {
        /// The identity file.
        path: PathBuf,
    },
    /// No identity opens the file.
    #[error(
        "none of the identities opens {path}\n  tried:{}\n  recipients:{}\n  pass --identity FILE \
         of a recipient, or ask one of them to add yours to recipients.txt and to run `wgfleet \
         vault rekey`",
        list(.tried), list(.recipients)
    )]
    WrongIdentity {
        /// The file.
        path: PathBuf,
        /// The public parts of the identities that were tried.
        tried: Vec<String>,
        /// The recipients of the vault.
        recipients: Vec<String>,
    },
    /// An age plugin fails.
    #[error("failed to use the age plugin {program} for {path}: {fault}")]
    Plugin {
        /// The file that was to be opened or written.
        path: PathBuf,
        /// The plugin's program.
        program: String,
        /// Why.
        fault: PluginFault,
    },
    /// Nobody knows which recipient an identity of a plugin is for.
    #[error(
        "the identity of {program} does not say which recipient it is for: write `# recipient: age1…` \
         on the line above it, or give the recipient with --recipient"
    )]
    NoRecipientOf {
        /// The plugin's program.
        program: String,
    },
    /// The file is cut off, or is not what it should be.
    #[error("{path} is damaged ({why}): restore it with `git checkout -- {path}`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The index names a file that is not there.
    #[error(
        "{path} is missing although the index names it: restore it with `git checkout -- {path}`"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer wgfleet.
    #[error("{path} has format version {found}, this wgfleet knows {known}: run a newer wgfleet")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: String,
        /// The newest version this program knows.
        known: u32,
    },
    /// The file belongs to another host.
    #[error(
        "{path} holds the key of {found}, not of {expected}: it was moved or copied; restore it \
         with `git checkout -- {path}`"
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// The host whose file it should be.
        expected: HostName,
        /// The name in the file.
        found: String,
    },
    /// The file is not the one that the index means.
    #[error(
        "{path} does not hold the {what} that the index names: one of the two was changed without \
         the other; restore both from the same commit"
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A host has no key.
    #[error("the vault has no key for {name}: run `wgfleet vault keygen {name}`")]
    NoKey {
        /// The host.
        name: HostName,
    },
    /// A host has no key to rotate to.
    #[error("the vault has no next key for {name}: run `wgfleet rotate {name}`")]
    NoNextKey {
        /// The host.
        name: HostName,
    },
    /// A host has another key.
    #[error(
        "the vault has another key for {name}; nothing was overwritten: run `wgfleet rotate {name}` \
         to change it"
    )]
    HasKey {
        /// The host.
        name: HostName,
    },
    /// A key belongs to another host.
    #[error("this key belongs to {owner}: two hosts cannot share a key, {name} needs its own")]
    KeyTaken {
        /// The host that should get the key.
        name: HostName,
        /// The host that has it.
        owner: HostName,
    },
    /// There is no PSK material of that epoch.
    #[error("the vault has no PSK material of epoch {epoch}")]
    NoEpoch {
        /// The epoch.
        epoch: u32,
    },
    /// An epoch of PSK material that was made by somebody who did not have the vault's secrets.
    #[error(
        "epoch {epoch} of the PSK material ({path}) was made by somebody who could not open the vault: \
         its MAC does not fit the epoch before, and whoever added it may know every preshared key; \
         find the commit with `git log -p -- vault/index.json` and revert it"
    )]
    EpochForged {
        /// The epoch's file.
        path: PathBuf,
        /// The epoch.
        epoch: u32,
    },
    /// A secret's file is there, and the index does not name it.
    #[error(
        "{path} is there although the index names no such secret; nothing was overwritten: restore \
         vault/index.json from the commit that the file comes from, or remove the file"
    )]
    Unnamed {
        /// The file.
        path: PathBuf,
    },
    /// The identity at hand would not open what is made.
    #[error(
        "{path} names none of your identities, so you could not open what is made; nothing was \
         encrypted\n  yours:{}\n  where a commit has taken your line out, find it with `git log -p -- \
         {path}` and revert it; otherwise leave this to someone who is a recipient",
        list(.tried)
    )]
    NotARecipient {
        /// The recipients file.
        path: PathBuf,
        /// The public parts of the identities at hand.
        tried: Vec<String>,
    },
    /// After the change, the identity at hand would not open the vault.
    #[error(
        "recipients.txt names none of your identities, so you could not open the vault after \
         this; nothing was changed\n  yours:{}\n  leave it to someone who stays a recipient",
        list(.tried)
    )]
    LockedOut {
        /// The public parts of the identities at hand.
        tried: Vec<String>,
    },
    /// The system gives no randomness.
    #[error("the system has no randomness to make a key from: {why}")]
    Random {
        /// What the system said.
        why: String,
    },
    /// A link of the vault leads out of the fleet's folder, or a file of it is none.
    #[error(transparent)]
    Confined(#[from] ConfinedError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

fn list(lines: &[String]) -> String {
    if lines.is_empty() {
        return " none".to_owned();
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n    {line}");
        text
    })
}

fn would_read(added: &[String]) -> String {
    added.iter().fold(String::new(), |mut text, one| {
        let _ = write!(text, "\n  + {one} would be able to read these keys");
        text
    })
}

fn lines(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    })
}

fn list_lines(problems: &[(usize, String)]) -> String {
    problems.iter().fold(String::new(), |mut text, (line, problem)| {
        let _ = write!(text, "\n  line {line}: {problem}");
        text
    })
}

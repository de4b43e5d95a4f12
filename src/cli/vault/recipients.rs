//! `wgfleet vault recipients` and `rekey`: who can open the vault.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};

use clap::Args;
use jiff::Timestamp;

use crate::cli::asking::can_ask;
use crate::cli::output::{json, print, write_stdout};
use crate::cli::{CommandError, CommandResult, Context, Exit, Format, FormatArgs};
use crate::model::{Kind, Version, count};
use crate::report::document::{Added, RecipientChange, VaultRecipients, VaultRekey};
use crate::vault::{Recipient, RecipientChange as Change, Vault};

/// Show who can open the vault, and who will be able to after the next rekey.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  wgfleet vault recipients")]
pub(super) struct RecipientsArgs {
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

/// Encrypt every file anew, to the recipients of vault/recipients.txt.
///
/// It shows whom that adds to those that the last rekey confirmed, and takes away, and asks. Who was
/// confirmed stands in the vault, encrypted: not in a file that anyone can write. Until then nothing
/// is encrypted to whoever was added: `keygen`, `import` and `rotate` refuse.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  echo \"$(cat colleague.pub)\" >> vault/recipients.txt && wgfleet vault rekey
  wgfleet vault rekey --yes")]
pub(super) struct RekeyArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RecipientsArgs {
    #[expect(clippy::unused_self, reason = "every command runs alike")]
    pub(super) fn run(&self, context: &Context) -> CommandResult {
        let vault = context.fleet.vault()?;
        let change = vault.recipient_change();
        if context.format == Format::Json {
            let status = VaultRecipients {
                kind: Kind::default(),
                version: Version::default(),
                recipients: vault.recipients().iter().map(Recipient::as_str).collect(),
                rekeyed_to: vault.index().recipients(),
                needs_rekey: vault.needs_rekey(),
                recipient_change: change_json(&change),
            };
            return print(&json(&status)?);
        }
        let mut text = String::new();
        for recipient in vault.recipients() {
            let mark = if change.added.contains(recipient) { '+' } else { ' ' };
            let name = recipient.name().map_or_else(String::new, |name| format!(" ({name})"));
            let _ = writeln!(text, "{mark} {recipient}{name}");
        }
        for gone in &change.removed {
            let _ = writeln!(text, "- {gone}");
        }
        if vault.needs_rekey() {
            context.say("recipients.txt changed since the last rekey: run `wgfleet vault rekey`");
        }
        print(&text)
    }
}

impl RekeyArgs {
    pub(super) fn run(&self, context: &Context, now: Timestamp) -> CommandResult {
        let mut vault = context.fleet.vault_to_write()?;
        let identities = context.fleet.identities_to_write(&vault)?;
        let change = vault.change_to_confirm(&identities)?;
        let asks = !change.is_empty() && !self.yes;
        let shown = format!("who can open the vault:\n  {}", change.lines().join("\n  "));
        if asks {
            anstream::eprintln!("{shown}");
            can_ask(false)?;
        } else if !change.is_empty() {
            context.say(&shown);
        }
        let recipients = count(vault.recipients().len(), "recipient");
        if asks && !confirmed(&format!("Encrypt every file to {recipients}?"))? {
            show_rekey(context, &vault, &change, 0)?;
            return Err(CommandError::message(Exit::Done, "cancelled; nothing was encrypted"));
        }
        let before = vault.index().clone();
        let files = vault.rekey(&identities, now)?;
        context.fleet.remember_recipients(&vault, &identities)?;
        context.fleet.tell_upgrade(&before, &vault);
        let mut text = format!("encrypted {} to {recipients}", count(files, "file"));
        if !change.removed.is_empty() {
            text.push_str(
                "; whoever was removed could have kept a copy of the old ones: follow with \
                 `wgfleet rotate --all`",
            );
        }
        context.say(&text);
        show_rekey(context, &vault, &change, files)?;
        Ok(Exit::Done)
    }
}

/// Prints for programs what was encrypted anew.
fn show_rekey(
    context: &Context,
    vault: &Vault,
    change: &Change,
    files: usize,
) -> Result<(), CommandError> {
    if context.format == Format::Human {
        return Ok(());
    }
    let text = json(&VaultRekey {
        kind: Kind::default(),
        version: Version::default(),
        files,
        recipients: vault.recipients().iter().map(Recipient::as_str).collect(),
        recipient_change: change_json(change),
    })?;
    write_stdout(text.as_bytes())
}

/// Asks on the terminal.
fn confirmed(question: &str) -> Result<bool, CommandError> {
    anstream::eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Warns of what the next rekey would change.
pub(super) fn tell_change(context: &Context, vault: &Vault) {
    let change = vault.recipient_change();
    if !change.is_empty() {
        context.say(&format!(
            "warning: recipients.txt changed since the last rekey: run `wgfleet vault rekey`\n  {}",
            change.lines().join("\n  ")
        ));
    }
}

/// What the next rekey would change.
pub(super) fn change_json(change: &Change) -> RecipientChange<'_> {
    let added = change.added.iter();
    RecipientChange {
        added: added.map(|one| Added { recipient: one.as_str(), name: one.name() }).collect(),
        removed: change.removed.iter().map(String::as_str).collect(),
    }
}

//! `wgfleet vault status`: every key, and whether all is as the index says.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::recipients::{change_json, tell_change};
use crate::cli::output::{json, print};
use crate::cli::{CommandError, CommandResult, Context, Exit, Format, FormatArgs};
use crate::model::{Kind, Version, count};
use crate::report::document::{Epoch, FingerprintSecret, Key, VaultStatus, Wrong};
use crate::vault::{Vault, VaultError};

/// Show all keys: whose, how old, in which state. Needs no identity.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet vault status
  wgfleet vault status --format json
  wgfleet vault status --verify")]
pub(super) struct StatusArgs {
    /// Open every file too, and check that it holds what the index says; needs an identity
    #[arg(long)]
    verify: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl StatusArgs {
    pub(super) fn run(self, context: &Context, now: Timestamp) -> CommandResult {
        let vault = context.fleet.vault()?;
        let oddities = vault.oddities()?;
        let wrong: Vec<String> = if self.verify {
            let unlocked = vault.unlock(&context.fleet.identities(&vault)?);
            unlocked.verify().iter().map(ToString::to_string).collect()
        } else {
            oddities
                .missing
                .iter()
                .map(|path| VaultError::Missing { path: path.clone() }.to_string())
                .collect()
        };
        let text = match context.format {
            Format::Json => json_status(&vault, &wrong, &oddities.unknown, now)?,
            Format::Human => table(&vault, now),
        };
        print(&text)?;
        for path in &oddities.unknown {
            context.say(&format!(
                "warning: the index does not name {}: an interrupted run or another branch \
                     left it; remove it if no branch's index names it",
                path.display()
            ));
        }
        tell_change(context, &vault);
        if wrong.is_empty() {
            return Ok(Exit::Done);
        }
        Err(CommandError::message(Exit::Vault, wrong.join("\n  ")))
    }
}

fn days(created: Timestamp, now: Timestamp) -> i64 {
    (now.as_second().saturating_sub(created.as_second()) / 86_400).max(0)
}

/// How old something is, for people.
fn age(created: Timestamp, now: Timestamp) -> String {
    count(usize::try_from(days(created, now)).unwrap_or_default(), "day")
}

fn table(vault: &Vault, now: Timestamp) -> String {
    let index = vault.index();
    let width = index.names().map(|name| name.as_str().len()).max().unwrap_or(0).max(4);
    let mut text = format!("{:width$}  {:44}  {:>4}  STATE\n", "NAME", "PUBLIC KEY", "DAYS");
    for name in index.names() {
        for one in index.generations(name) {
            let _ = writeln!(
                text,
                "{name:width$}  {}  {:>4}  {}",
                one.public_key,
                days(one.created, now),
                one.state.as_str()
            );
        }
    }
    if let Some((epoch, made)) = index.epochs().last_key_value() {
        let _ = writeln!(text, "PSK epoch {epoch}, {} old", age(made.created, now));
    }
    if let Some(made) = index.fingerprint() {
        let _ = writeln!(text, "fingerprint secret, {} old", age(made.created, now));
    } else {
        text.push_str(
            "no fingerprint secret of its own: the next keygen, import, rotate or rekey makes one\n",
        );
    }
    text
}

fn json_status(
    vault: &Vault,
    wrong: &[String],
    unknown: &[PathBuf],
    now: Timestamp,
) -> Result<String, CommandError> {
    let index = vault.index();
    let change = vault.recipient_change();
    let keys = index
        .names()
        .flat_map(|name| index.generations(name).iter().map(move |one| (name, one)))
        .map(|(name, one)| Key {
            name,
            public_key: one.public_key,
            state: one.state.as_str(),
            created: one.created.to_string(),
            age_days: days(one.created, now),
        });
    let epochs = index.epochs().iter();
    let epochs =
        epochs.map(|(epoch, made)| Epoch { epoch: *epoch, created: made.created.to_string() });
    let fingerprint = index.fingerprint();
    let status = VaultStatus {
        kind: Kind::default(),
        version: Version::default(),
        fleet: index.fleet(),
        keys: keys.collect(),
        psk_epochs: epochs.collect(),
        fingerprint: fingerprint
            .map(|made| FingerprintSecret { created: made.created.to_string(), id: &made.check }),
        needs_rekey: vault.needs_rekey(),
        recipient_change: change_json(&change),
        wrong: wrong.iter().map(|text| Wrong { text: text.clone() }).collect(),
        unknown_files: unknown.to_vec(),
    };
    json(&status)
}

//! `wgfleet peer rotate`: another key for a peer.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::change::{PUBLIC_KEY, proven, public_key, say_next, write};
use super::handout::{HandoutArgs, described, told};
use super::show::holder;
use crate::cli::{CommandError, CommandResult, Context, Exit, FormatArgs, completions};
use crate::inventory::edit::PeerChange;
use crate::model::HostName;
use crate::report::document::{KeyHolder, PeerAction};

/// Give a peer another key: its phone was lost, or its key is old.
///
/// Hosts take the old key until `wgfleet apply`, and the new one from then on: apply it before the new
/// configuration is used. A peer that keeps its private key to itself brings the new public key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet peer rotate alice-phone --qr
  wgfleet peer rotate partner --public-key-file partner.pub
  wgfleet peer rotate kiosk --in-vault --png kiosk.png    # it had a key of its own")]
pub(super) struct RotateArgs {
    /// The peer
    #[arg(value_name = "NAME", add = completions::peers())]
    name: HostName,

    /// A file with the new public key of a peer that keeps its private key to itself; `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["in_vault", "handed"])]
    public_key_file: Option<PathBuf>,

    /// Let the vault make the key of a peer that had one of its own
    #[arg(long)]
    in_vault: bool,

    #[command(flatten)]
    handout: HandoutArgs,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RotateArgs {
    /// Makes a new key the peer's current one. The old one is kept until its successor is proven, so that
    /// a plan can say whose it is.
    fn rotate(&self, context: &Context, now: Timestamp) -> Result<(), CommandError> {
        let mut vault = context.fleet.vault_to_write()?;
        vault.refuse_unconfirmed()?;
        let before = vault.index().clone();
        let identities = context.fleet.identities_to_write(&vault)?;
        let name = [&self.name];
        if vault.index().current(&self.name).is_none() {
            vault.ensure_keys(name, &identities, now)?;
        } else {
            vault.retire(name)?;
            vault.begin_rotation(name, &identities, now)?;
            vault.promote(name)?;
        }
        context.fleet.tell_upgrade(&before, &vault);
        Ok(())
    }

    pub(super) fn run(self, context: &Context, now: Timestamp) -> CommandResult {
        self.handout.refuse(context)?;
        let mut fleet = context.load()?;
        let own = holder(fleet.peer(&self.name)?) == KeyHolder::Peer;
        let name = &self.name;
        if own && self.public_key_file.is_none() && !self.in_vault {
            let message =
                format!("`{name}` keeps its private key to itself, so it brings the new key");
            return Err(CommandError::message(Exit::Usage, message)
                .hint(format!("`wgfleet peer rotate {name} --public-key-file FILE`"))
                .hint(format!(
                    "or let the vault make one: `wgfleet peer rotate {name} --in-vault`"
                )));
        }
        let key = self.public_key_file.as_deref().map(public_key).transpose()?;
        let key = key.map(|key| key.to_string());
        let change = match &key {
            Some(key) => Some(PeerChange::Set(PUBLIC_KEY, key)),
            None if own => Some(PeerChange::Unset(PUBLIC_KEY)),
            None => None,
        };
        let mut edited = None;
        if let Some(change) = change {
            let (reading, file) = fleet.change_peer(&context.fleet, name, &[change])?;
            fleet = proven(context, reading)?;
            edited = Some(file);
        }
        if key.is_none() {
            self.rotate(context, now)?;
        }
        let vault = context.fleet.vault()?;
        let device = self.handout.device(&fleet, &vault, name)?;
        let prepared = self.handout.prepare(context, &fleet, &device)?;
        let mut files = match &edited {
            Some(edited) => write(context, &fleet, edited)?,
            None => Vec::new(),
        };
        if key.is_some() && vault.index().current(name).is_some() {
            context.fleet.vault_to_write()?.forget([name])?;
        }
        say_next(context, &format!("`{name}` has another key"));
        files.extend(self.handout.hand_out(context, name, prepared)?);
        let holder = if key.is_some() { KeyHolder::Peer } else { KeyHolder::Vault };
        told(context, name, PeerAction::Rotated, described(&device, holder), files)
    }
}

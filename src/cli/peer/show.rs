//! `wgfleet peer show`: what one peer gets, without writing anybody else's key to disk.

use clap::Args;

use super::change::hand_out_and_forget;
use super::handout::{HandoutArgs, described, told};
use crate::cli::output::print;
use crate::cli::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::fleet::Fleet;
use crate::inventory::UnmanagedPeer;
use crate::model::HostName;
use crate::report::document::{KeyHolder, PeerAction};
use crate::report::peer::human;

/// Show one peer, or hand it its configuration: as a QR code, as text, or as a file.
///
/// Without options nothing secret is shown, and no identity is needed. A QR code is for the WireGuard app
/// of a phone; one of more than 1,200 bytes is refused, with what could be left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet peer show alice-phone
  wgfleet peer show alice-phone --qr                       # in the terminal
  wgfleet peer show alice-phone --qr --split-tunnel
  wgfleet peer show alice-phone --png /run/user/1000/alice.png
  wgfleet peer show alice-phone --conf | ssh alice@laptop 'umask 077; cat > wg0.conf'
  wgfleet peer show alice-phone --qr --forget-key          # once, and never again")]
pub(super) struct ShowArgs {
    /// The peer
    #[arg(value_name = "NAME", add = completions::peers())]
    name: HostName,

    #[command(flatten)]
    handout: HandoutArgs,

    /// Keep no private key after it was handed over: the file gets its public key instead
    #[arg(long, requires = "handed")]
    forget_key: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

/// Who has the private key of a peer.
pub(super) fn holder(peer: &UnmanagedPeer) -> KeyHolder {
    if peer.settings.public_key.is_some() { KeyHolder::Peer } else { KeyHolder::Vault }
}

/// Refuses to hand out a private key that only the peer has.
pub(super) fn refuse_foreign(fleet: &Fleet, name: &HostName) -> Result<(), CommandError> {
    if holder(fleet.peer(name)?) == KeyHolder::Vault {
        return Ok(());
    }
    let message = format!("only `{name}` has its private key: the file has its public key");
    Err(CommandError::message(Exit::Vault, message)
        .hint(format!("let the vault make a new one: `wgfleet peer rotate {name} --in-vault`")))
}

impl ShowArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        self.handout.refuse(context)?;
        let fleet = context.load()?;
        let holder = holder(fleet.peer(&self.name)?);
        if self.handout.is_wanted() {
            refuse_foreign(&fleet, &self.name)?;
        }
        if self.forget_key {
            let (device, files) = hand_out_and_forget(context, fleet, &self.name, &self.handout)?;
            let told_of = described(&device, KeyHolder::Peer);
            return told(context, &self.name, PeerAction::Shown, told_of, files);
        }
        let vault = context.fleet.vault()?;
        let device = self.handout.device(&fleet, &vault, &self.name)?;
        let prepared = self.handout.prepare(context, &fleet, &device)?;
        let files = self.handout.hand_out(context, &self.name, prepared)?;
        let told_of = described(&device, holder);
        if let Some(device) = told_of.as_ref().filter(|_| !self.handout.is_wanted())
            && context.format == Format::Human
        {
            return print(&human(&self.name, device));
        }
        told(context, &self.name, PeerAction::Shown, told_of, files)
    }
}

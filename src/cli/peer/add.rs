//! `wgfleet peer add`: a new phone or partner, in the file, with its key and its address.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use jiff::Timestamp;

use super::change::{PUBLIC_KEY, hand_out_and_forget, proven, public_key, say_next, write};
use super::handout::{HandoutArgs, described, told};
use crate::cli::{CommandError, CommandResult, Context, Exit, FormatArgs, completions};
use crate::fleet::Fleet;
use crate::inventory::edit::PeerChange;
use crate::model::{Endpoint, HostName, NetworkName, PublicKey};
use crate::report::document::{KeyHolder, PeerAction};

/// Add a phone, a laptop or a partner's router to the file, and make its key.
///
/// The file keeps its comments and its order, and is written only where the new fleet is in order. A peer
/// without an endpoint gets a keepalive of 25 seconds, so that hosts reach it behind NAT; it costs a phone
/// some power. The vault makes its key unless it has one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet peer add alice-phone --via gate --qr
  wgfleet peer add bob-laptop --via gate --full-tunnel --dns 10.10.0.1 --keepalive off
  wgfleet peer add partner --via gate --public-key-file partner.pub --endpoint vpn.partner.example:51820 --subnets 172.20.0.0/16
  wgfleet peer add kiosk --via gate --png kiosk.png --forget-key")]
pub(super) struct AddArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: HostName,

    /// The hosts that it is linked to
    #[arg(long, value_name = "HOST", value_delimiter = ',', required = true, add = completions::hosts())]
    via: Vec<HostName>,

    /// Its network, where the file has several
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,

    /// Send everything through its first host
    #[arg(long)]
    full_tunnel: bool,

    /// Its tunnel addresses, at most one of each family [default: the lowest that are free]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    address: Vec<IpAddr>,

    /// A file with its public key, where it keeps its private key to itself; `-` for stdin
    #[arg(long, value_name = "FILE")]
    public_key_file: Option<PathBuf>,

    /// Where it can be reached
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,

    /// Prefixes behind it
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    subnets: Vec<IpNet>,

    /// Its keepalive in seconds, or `off` [default: 25 where it has no endpoint]
    #[arg(long, value_name = "SECONDS")]
    keepalive: Option<String>,

    /// DNS servers and search domains
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns: Vec<String>,

    /// The MTU of its interface
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,

    #[command(flatten)]
    handout: HandoutArgs,

    /// Keep no private key after it was handed over: the file gets its public key instead
    #[arg(long, requires = "handed", conflicts_with = "public_key_file")]
    forget_key: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

/// A value of the file: plain where that is sure to be read as it is.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | '+' | '=');
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    // A text of JSON is one of YAML.
    serde_json::Value::from(text).to_string()
}

/// One value, or a list of them.
fn values(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    }
}

impl AddArgs {
    /// What the file says of the peer.
    fn entry(&self, public_key: Option<PublicKey>) -> String {
        let list = |all: &mut dyn Iterator<Item = String>| {
            let all: Vec<String> = all.map(|text| scalar(&text)).collect();
            (!all.is_empty()).then(|| values(&all))
        };
        let mobile = self.endpoint.is_none() && self.public_key_file.is_none();
        let keepalive = self.keepalive.as_deref().or_else(|| mobile.then_some("25"));
        let keys = [
            ("network", self.network.as_ref().map(|name| scalar(name.as_str()))),
            ("via", list(&mut self.via.iter().map(ToString::to_string))),
            ("full_tunnel", self.full_tunnel.then(|| "true".to_owned())),
            (PUBLIC_KEY, public_key.map(|key| scalar(&key.to_string()))),
            ("address", list(&mut self.address.iter().map(ToString::to_string))),
            ("endpoint", self.endpoint.as_ref().map(|place| scalar(&place.to_string()))),
            ("subnets", list(&mut self.subnets.iter().map(ToString::to_string))),
            ("keepalive", keepalive.map(scalar)),
            ("dns", list(&mut self.dns.iter().cloned())),
            ("mtu", self.mtu.map(|bytes| bytes.to_string())),
        ];
        let said =
            keys.iter().filter_map(|(key, value)| Some(format!("{key}: {}", value.as_ref()?)));
        format!("{{ {} }}", said.collect::<Vec<_>>().join(", "))
    }

    /// Makes the peer's key. One that the vault has of a peer that was there before is not used again.
    fn make_key(&self, context: &Context, now: Timestamp) -> Result<(), CommandError> {
        let mut vault = context.fleet.vault_to_write()?;
        vault.refuse_unconfirmed()?;
        let before = vault.index().clone();
        let identities = context.fleet.identities_to_write(&vault)?;
        vault.forget([&self.name])?;
        vault.ensure_keys([&self.name], &identities, now)?;
        context.fleet.tell_upgrade(&before, &vault);
        Ok(())
    }

    pub(super) fn run(self, context: &Context, now: Timestamp) -> CommandResult {
        self.handout.refuse(context)?;
        if self.public_key_file.is_some() && self.handout.is_wanted() {
            let message = "a peer with a key of its own needs no configuration with a private key";
            return Err(CommandError::message(Exit::Usage, message)
                .hint(format!("see what it is to have: `wgfleet peer show {}`", self.name)));
        }
        let fleet = context.load()?;
        let key = self.public_key_file.as_deref().map(public_key).transpose()?;
        let entry = self.entry(key);
        let change = [PeerChange::Add(&entry)];
        let (reading, edited) = fleet.change_peer(&context.fleet, &self.name, &change)?;
        let fleet = proven(context, reading)?;
        if self.public_key_file.is_none() {
            self.make_key(context, now)?;
        }
        let vault = context.fleet.vault()?;
        let device = self.handout.device(&fleet, &vault, &self.name)?;
        let prepared = self.handout.prepare(context, &fleet, &device)?;
        let mut files = write(context, &fleet, &edited)?;
        let path = edited.path.display();
        say_next(context, &format!("`{}` is in {path}: {}", self.name, addresses(&device)));
        if self.forget_key {
            let fleet = reread(context)?;
            let name = &self.name;
            let (device, more) = hand_out_and_forget(context, fleet, name, &self.handout)?;
            files.extend(more.into_iter().filter(|file| *file != edited.path));
            return told(
                context,
                name,
                PeerAction::Added,
                described(&device, KeyHolder::Peer),
                files,
            );
        }
        files.extend(self.handout.hand_out(context, &self.name, prepared)?);
        let holder =
            if self.public_key_file.is_some() { KeyHolder::Peer } else { KeyHolder::Vault };
        told(context, &self.name, PeerAction::Added, described(&device, holder), files)
    }
}

/// The fleet as it is now, whose findings were shown before.
fn reread(context: &Context) -> Result<Fleet, CommandError> {
    let reading = Fleet::read(&context.fleet)?;
    reading
        .fleet
        .ok_or_else(|| CommandError::message(Exit::Findings, "the file was changed meanwhile"))
}

/// The tunnel addresses of a device.
fn addresses(device: &crate::desired::DesiredHost) -> String {
    let all = device.interfaces.iter().flat_map(|own| &own.addresses);
    all.map(|net| net.addr().to_string()).collect::<Vec<_>>().join(", ")
}

//! `wgfleet vault`: the keys of the fleet.

mod recipients;
mod status;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use zeroize::Zeroizing;

use recipients::{RecipientsArgs, RekeyArgs};
use status::StatusArgs;

use super::output::{json, print};
use super::passphrase::Terminal;
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::fleet::refuse_keyless;
use crate::model::{FleetName, HostName, Kind, PrivateKey, Version, closest, count};
use crate::report::document::{
    NamedKey, NewVault, VaultExport, VaultImport, VaultInit, VaultKeygen,
};
use crate::sys::{Clock as _, FileError, Mode, SystemClock, write_new};
use crate::vault::{Passphrase as _, Recipient, Vault, VaultError, identity};

/// Make, show and re-encrypt the keys of the fleet.
///
/// The vault is the folder `vault` beside the inventory, in git: one small age file for each key,
/// the reviewed list of who can open them (vault/recipients.txt), and a public index
/// (vault/index.json). `age -d -i IDENTITY vault/keys/HOST.….age` opens what wgfleet writes.
#[derive(Debug, Args)]
pub(super) struct VaultArgs {
    #[command(subcommand)]
    command: VaultCommand,
}

#[derive(Debug, Subcommand)]
enum VaultCommand {
    Init(InitArgs),
    Status(StatusArgs),
    Keygen(KeygenArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Recipients(RecipientsArgs),
    Rekey(RekeyArgs),
}

/// Make a vault, and an age identity that opens it.
///
/// The identity is kept outside the repository: by default in
/// ~/.config/wgfleet/identity-FLEET.txt, 0600. One that is there already is used, as is an OpenSSH
/// ed25519 key given with --identity. Keep a copy of it where you keep backups: without an identity
/// nobody can open the vault.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet vault init
  wgfleet vault init --passphrase
  wgfleet vault init --identity ~/.ssh/id_ed25519
  wgfleet vault init --fleet acme              # before there is an inventory
  wgfleet vault init --recipient \"$(cat colleague.pub)\"")]
struct InitArgs {
    /// The name of the fleet [default: that of the inventory]
    #[arg(long, value_name = "NAME")]
    fleet: Option<FleetName>,

    #[command(flatten)]
    access: Access,

    #[command(flatten)]
    format: FormatArgs,
}

/// Who can open a new vault.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// Someone else who can open the vault: `age1…` or `ssh-ed25519 …`; can be repeated
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,

    /// Protect the new identity with a passphrase, asked for on the terminal
    #[arg(long)]
    passphrase: bool,
}

/// Make keys for the hosts that have none.
///
/// They are encrypted to the recipients whom the last rekey confirmed. Who that is stands in the vault,
/// encrypted, so an identity is needed where there is a key to make.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet vault keygen
  wgfleet vault keygen paris-gw b7")]
struct KeygenArgs {
    /// The hosts [default: all of the inventory]
    #[arg(value_name = "HOST", add = completions::key_holders())]
    hosts: Vec<HostName>,

    #[command(flatten)]
    format: FormatArgs,
}

/// Take over the private key of a host that runs already, from stdin.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ssh root@paris.example.com wg show wg0 private-key | wgfleet vault import paris-gw")]
struct ImportArgs {
    /// The host
    #[arg(value_name = "HOST", add = completions::key_holders())]
    host: HostName,

    /// Take the key although the inventory does not have the host yet
    #[arg(long)]
    unlisted: bool,

    #[command(flatten)]
    format: FormatArgs,
}

/// Write the private key of a host or an unmanaged peer into a new file, 0600.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  wgfleet vault export alice-phone --output /run/user/1000/alice.key")]
struct ExportArgs {
    /// The host
    #[arg(value_name = "HOST", add = completions::key_holders())]
    host: HostName,

    /// The file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    format: FormatArgs,
}

impl VaultArgs {
    /// What it prints on stdout.
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            VaultCommand::Status(args) => args.format.format,
            VaultCommand::Keygen(args) => args.format.format,
            VaultCommand::Recipients(args) => args.format.format,
            VaultCommand::Init(args) => args.format.format,
            VaultCommand::Import(args) => args.format.format,
            VaultCommand::Export(args) => args.format.format,
            VaultCommand::Rekey(args) => args.format.format,
        }
    }

    pub(super) fn run(self, context: &Context) -> CommandResult {
        let now = SystemClock.now();
        match self.command {
            VaultCommand::Init(args) => args.run(context),
            VaultCommand::Status(args) => args.run(context, now),
            VaultCommand::Keygen(args) => args.run(context, now),
            VaultCommand::Import(args) => args.run(context, now),
            VaultCommand::Export(args) => args.run(context),
            VaultCommand::Recipients(args) => args.run(context),
            VaultCommand::Rekey(args) => args.run(context, now),
        }
    }
}

/// Makes a vault in a fleet's folder, and an identity where the user has none.
pub(super) fn make(
    context: &Context,
    home: &Path,
    fleet: &FleetName,
    access: &Access,
) -> Result<NewVault, CommandError> {
    let now = SystemClock.now();
    let folder = home.join("vault");
    if folder.join("index.json").exists() {
        return Err(VaultError::Exists { path: folder.clone() }.into());
    }
    // Parsed here and not by clap, whose message would repeat a private key given by mistake.
    let others = access.recipient.iter().map(|text| text.parse::<Recipient>());
    let others = others
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CommandError::new(Exit::Usage, &error).hint("look at --recipient"))?;
    let new = context.identity.to_make(fleet)?;
    let identity_made = new.is_some();
    let mut recipients = if let Some(path) = new {
        let passphrase = if access.passphrase {
            let chosen = Terminal::choose(&path);
            Some(chosen.map_err(|source| VaultError::Passphrase { path: path.clone(), source })?)
        } else {
            None
        };
        let recipient = identity::create(&path, home, passphrase, now)?;
        context.say(&format!("made the identity {}: keep a backup of it", path.display()));
        vec![recipient]
    } else {
        context.say(&format!("using the identity {}", context.identity.described(fleet)?));
        let identities = context.fleet.keyring.identities(fleet)?;
        let told =
            |program: &String| others.iter().any(|one| one.program().as_ref() == Some(program));
        if let Some(program) = identities.without_recipient().into_iter().find(|one| !told(one)) {
            return Err(VaultError::NoRecipientOf { program }.into());
        }
        identities.recipients()
    };
    let own: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    recipients.extend(others);
    let prompts = Terminal.plugin_prompts();
    let vault = Vault::create_with(&folder, fleet, &recipients, now, prompts)?;
    context.fleet.remember_new(&vault, &own);
    context.say(&format!(
        "made the vault {} for {}",
        folder.display(),
        count(vault.recipients().len(), "recipient")
    ));
    Ok(NewVault {
        folder,
        identity: context.identity.file(fleet)?,
        identity_made,
        recipients: vault.recipients().iter().map(ToString::to_string).collect(),
    })
}

impl InitArgs {
    /// The fleet's name: that of the inventory, or the one that was given where there is none yet.
    fn name(&self, context: &Context) -> Result<FleetName, CommandError> {
        let of_file = context.fleet.fleet_name();
        match (&self.fleet, of_file) {
            (Some(given), Ok(name)) if *given != name => Err(CommandError::message(
                Exit::Usage,
                format!("the inventory is of the fleet `{name}`, and --fleet names `{given}`"),
            )
            .hint("leave --fleet out, or correct `fleet:` in the inventory")),
            (Some(given), _) => Ok(given.clone()),
            (None, Ok(name)) => Ok(name),
            (None, Err(error)) => Err(CommandError::from(error)
                .hint("or name the fleet of a vault without an inventory: --fleet NAME")),
        }
    }

    fn run(&self, context: &Context) -> CommandResult {
        let fleet = self.name(context)?;
        let vault = make(context, context.fleet.folder(), &fleet, &self.access)?;
        if context.format == Format::Human {
            return Ok(Exit::Done);
        }
        print(&json(&VaultInit {
            kind: Kind::default(),
            version: Version::default(),
            fleet: &fleet,
            vault,
        })?)
    }
}

impl KeygenArgs {
    fn run(self, context: &Context, now: Timestamp) -> CommandResult {
        refuse_keyless(&context.fleet, &self.hosts)?;
        let mut vault = context.fleet.vault_to_write()?;
        let hosts = if self.hosts.is_empty() { context.load()?.key_holders() } else { self.hosts };
        let moved =
            if context.fleet.file.as_os_str() == "-" { Vec::new() } else { context.fleet.moved() };
        let moved = moved.into_iter().filter(|(_, new)| hosts.contains(new));
        let moved: Vec<(HostName, HostName)> = moved.collect();
        let before = vault.index().clone();
        let idle = before.fingerprint().is_some()
            && hosts.iter().all(|name| before.current(name).is_some());
        let made = if idle {
            Vec::new()
        } else {
            vault.refuse_unconfirmed()?;
            let identities = context.fleet.identities_to_write(&vault)?;
            for (old, new) in vault.rename(&moved, &identities, now)? {
                context.say(&format!("`{new}` has the key that it had as `{old}`"));
            }
            vault.ensure_keys(&hosts, &identities, now)?
        };
        context.fleet.tell_upgrade(&before, &vault);
        let mut text = String::new();
        for name in &made {
            if let Some(key) = vault.index().current(name) {
                let _ = writeln!(text, "{name} {key}");
            }
        }
        if context.format == Format::Json {
            let keys = made.iter().filter_map(|name| {
                Some(NamedKey { name, public_key: vault.index().current(name)? })
            });
            text = json(&VaultKeygen {
                kind: Kind::default(),
                version: Version::default(),
                made: keys.collect(),
            })?;
        } else if made.is_empty() {
            context.say("every host has a key already");
        }
        print(&text)
    }
}

impl ImportArgs {
    fn run(self, context: &Context, now: Timestamp) -> CommandResult {
        if !self.unlisted {
            let hint = "add --unlisted to take the key before the inventory has the host";
            refuse_keyless(&context.fleet, std::slice::from_ref(&self.host))
                .map_err(|error| error.hint(hint))?;
        }
        let mut vault = context.fleet.vault_to_write()?;
        // One buffer that never grows leaves no copies of the key behind.
        let mut buffer = Zeroizing::new([0_u8; 256]);
        let mut length = 0;
        let mut stdin = std::io::stdin().lock();
        while length < buffer.len() {
            match stdin.read(&mut buffer[length..])? {
                0 => break,
                read => length += read,
            }
        }
        let key = std::str::from_utf8(&buffer[..length])
            .map_err(|_| crate::model::KeyError)
            .and_then(|text| PrivateKey::parse(text.trim()))
            .map_err(|error| CommandError::new(Exit::Vault, &error))?;
        let public = key.public();
        let before = vault.index().clone();
        vault.refuse_unconfirmed()?;
        let identities = context.fleet.identities_to_write(&vault)?;
        let imported = vault.import(&self.host, &key, &identities, now)?;
        context.fleet.tell_upgrade(&before, &vault);
        if imported {
            context.say(&format!("{} has the key {public} now", self.host));
        } else {
            context.say(&format!("{} has this key already: {public}", self.host));
        }
        if context.format == Format::Human {
            return Ok(Exit::Done);
        }
        print(&json(&VaultImport {
            kind: Kind::default(),
            version: Version::default(),
            key: NamedKey { name: &self.host, public_key: public },
            imported,
        })?)
    }
}

impl ExportArgs {
    fn run(self, context: &Context) -> CommandResult {
        let vault = context.fleet.vault()?;
        if let Some((root, _)) = identity::work_tree_of(&self.output) {
            return Err(VaultError::InWorkTree { path: self.output, root }.into());
        }
        let unlocked = vault.unlock(&context.fleet.identities(&vault)?);
        let key = unlocked.private_key(&self.host).map_err(|error| {
            let names = vault.index().names().map(HostName::as_str);
            let close = closest(self.host.as_str(), names);
            let close = close.filter(|_| matches!(error, VaultError::NoKey { .. }));
            let error = CommandError::from(error);
            match close {
                Some(name) => error.hint(format!("did you mean `{name}`?")),
                None => error,
            }
        })?;
        let base64 = key.expose_base64();
        let mut text = Zeroizing::new(String::with_capacity(base64.len() + 1));
        text.push_str(&base64);
        text.push('\n');
        write_new(&self.output, text.as_bytes(), Mode::Private).map_err(|error| {
            let there = matches!(&error, FileError::Write { source, .. }
                if source.kind() == std::io::ErrorKind::AlreadyExists);
            let error = CommandError::new(Exit::Vault, &error);
            if there { error.hint("remove it first, or pass another --output") } else { error }
        })?;
        context.say(&format!("wrote {}; remove it when it is used", self.output.display()));
        if context.format == Format::Human {
            return Ok(Exit::Done);
        }
        print(&json(&VaultExport {
            kind: Kind::default(),
            version: Version::default(),
            key: NamedKey { name: &self.host, public_key: key.public() },
            path: &self.output,
        })?)
    }
}

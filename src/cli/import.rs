//! `wgfleet import`: an inventory and a vault for a fleet that runs already.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::login::LoginArgs;
use super::output::{json, print};
use super::vault::{self, Access};
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, runtime};
use crate::fleet::import::{Present, Unreached, draw, read_files, read_hosts, write};
use crate::model::{FleetName, Kind, SshTarget, Untrusted, Version};
use crate::report;
use crate::report::document::{Import, NotRead};
use crate::sys::{Clock as _, SystemClock};

/// Take over a fleet that runs already: write an inventory and a vault from what it has.
///
/// Files of wg-quick(8), what `wg showconf` and `wg show all dump` print: of a folder, all that end in
/// .conf, .showconf, .dump, .txt or .wg. A file is of the host that its folder or its own name says
/// (paris/wg0.conf, paris.conf). The fleet.yaml that is written says what follows from nothing else, so
/// `wgfleet plan` has nothing to change but the files' own marks. Private and preshared keys go into the vault.
/// What cannot be told is listed, each with the lines to add.
///
/// With --ssh, hosts are logged in to and tell their files and what runs. Their keys come through ssh(1), and are
/// written nowhere but into the vault. A host that cannot be read is named and left out (exit 4): run the
/// import again when it is back.
///
/// A fleet.yaml that is there is never changed: what is new goes into a file beside it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet import /etc/wireguard -o acme
  wgfleet import backup/ hub.dump -o acme --fleet acme
  wgfleet import paris.conf lyon.conf -o acme --passphrase
  wgfleet import -o acme --ssh root@paris.example.com lyon")]
pub(super) struct ImportArgs {
    /// Files, and folders of files
    #[arg(value_name = "FILE|DIR", required_unless_present = "ssh")]
    files: Vec<PathBuf>,

    /// Hosts to log in to, as ssh(1) takes them; each tells its files in /etc/wireguard, and what runs
    #[arg(long, value_name = "HOST", num_args = 1.., value_delimiter = ',')]
    ssh: Vec<SshTarget>,

    /// The folder of the fleet; it is made where it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// The name of the fleet [default: that of the folder]
    #[arg(long, value_name = "NAME")]
    fleet: Option<FleetName>,

    #[command(flatten)]
    login: LoginArgs,

    #[command(flatten)]
    access: Access,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl ImportArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let folder = &self.output;
        let present = Present::of(folder)?;
        let mut gathered = read_files(&self.files)?;
        if !self.ssh.is_empty() {
            let (parallel, patience) = (self.login.parallel, self.login.patience());
            let asked = read_hosts(&context.fleet, &self.ssh, parallel, patience);
            gathered.add(runtime()?.block_on(asked)?);
        }
        let (skipped, unreached) = (gathered.skipped.clone(), gathered.unreached.clone());
        let not_read: Vec<NotRead> = unreached.into_iter().map(NotRead::from).collect();
        if gathered.hosts.is_empty() && !not_read.is_empty() {
            let message = "no host could be read; nothing was written";
            let hints = not_read.iter().map(|one| format!("{}: {}", one.target, one.text));
            let error = CommandError::message(Exit::Unreadable, message);
            return Err(hints.fold(error, CommandError::hint));
        }
        // Before anything is made: what was read may be nothing.
        let fleet = self.name(&present)?;
        let mut adoption = draw(&fleet, &present, gathered)?;
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        if !folder.join("vault/index.json").exists() {
            vault::make(context, folder, &fleet, &self.access)?;
        }
        let written = write(&context.fleet, folder, &present, &mut adoption, SystemClock.now())?;
        let document = Import {
            kind: Kind::default(),
            version: Version::default(),
            fleet: &fleet,
            folder,
            file: written.file.as_deref(),
            to_include: written.to_include,
            hosts: &adoption.hosts,
            peers: &adoption.peers,
            networks: adoption.networks,
            keys: &written.vault.keys,
            preshared_keys: written.vault.pairs,
            remarks: &adoption.remarks,
            not_read: &not_read,
            skipped: &skipped,
        };
        if context.format == Format::Json {
            print(&json(&document)?)?;
        } else {
            let mut text = report::import::human(&document);
            if written.file.is_some() {
                text.push_str(&next_steps(&document, folder));
            }
            print(&text)?;
        }
        Ok(if not_read.is_empty() { Exit::Done } else { Exit::Unreadable })
    }

    /// The name of the fleet: that of what is there, the one that is given, or that of the folder.
    fn name(&self, present: &Present) -> Result<FleetName, CommandError> {
        match (&present.fleet, &self.fleet) {
            (Some(there), Some(given)) if there != given => {
                let message = format!(
                    "{} is of the fleet `{there}` already, not of `{given}`; nothing was written",
                    self.output.display()
                );
                Err(CommandError::message(Exit::Usage, message).hint("name another folder with -o"))
            }
            (Some(name), _) | (None, Some(name)) => Ok(name.clone()),
            (None, None) => {
                let path = std::path::absolute(&self.output)?;
                let last = path.file_name().and_then(|name| name.to_str());
                last.and_then(|name| name.parse().ok()).ok_or_else(|| {
                    let message =
                        format!("{} does not end in the name of a fleet", self.output.display());
                    CommandError::message(Exit::Usage, message).hint("add --fleet NAME")
                })
            }
        }
    }
}

impl From<Unreached> for NotRead {
    fn from(one: Unreached) -> Self {
        Self { target: Untrusted::new(one.target.to_string()), text: Untrusted::new(one.why) }
    }
}

fn next_steps(import: &Import<'_>, folder: &Path) -> String {
    let at = folder.display();
    let include = match import.file.filter(|_| import.to_include) {
        Some(file) => {
            let name = file.file_name().unwrap_or_default().display();
            format!("\n  0. add to {at}/fleet.yaml: include: [{name}]")
        }
        None => String::new(),
    };
    format!(
        "\nnext:{include}\n  \
         1. read {at}/fleet.yaml, and correct what is listed above\n  \
         2. wgfleet check --file {at}    says what is wrong with it\n  \
         3. wgfleet plan --file {at}     reads the hosts; all that is to change are the marks of files\n"
    )
}

//! `wgfleet export`: files for devices that ssh does not reach, and lists of the fleet for other programs.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{json, print, write_stdout};
use super::secret_file::{refuse_to_commit, write_secret};
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::desired::{DesiredHost, ExportedFile, KeyOf, Scope, TARGETS, WholeFleet, target};
use crate::fleet::{Fleet, LiveKeys, Routes};
use crate::model::{HostName, Kind, Version, closest, count};
use crate::report::document::Export;
use crate::sys::{Mode, write_atomic};
use crate::vault::Vault;

/// The export that is a document of its own.
const JSON: &str = "json";

/// Write files for devices that ssh does not reach, and lists of the fleet for other programs.
///
/// With a NAME, the files of that host or peer, which hold its private key: networkmanager, networkd,
/// openwrt, routeros, compose, app; and partner, which holds our side and a form for theirs. Without, those
/// of the whole fleet, which hold no secret: ansible, hosts, dns-zone, prometheus-targets, json. A template
/// templates/export/TARGET.j2 beside the inventory takes the place of wgfleet's own, or adds an export.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet export branch-router --to openwrt -o /run/user/1000/branch
  wgfleet export bob-laptop --to networkmanager -o /run/user/1000/bob
  wgfleet export partner --to partner -o ~/partner
  wgfleet export --to ansible > inventory.yaml
  wgfleet export --to prometheus-targets -o /etc/prometheus/targets
  wgfleet export --to json | jq '.hosts[].name'")]
pub(super) struct ExportArgs {
    /// The host or unmanaged peer; none for the whole fleet
    #[arg(value_name = "NAME", add = completions::machines())]
    name: Option<HostName>,

    /// What to write: the name of an export
    #[arg(long, value_name = "TARGET")]
    to: String,

    /// The folder for the files; without it, one file of the whole fleet is printed
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Send only what is in the fleet through the tunnel, also where the file says `full_tunnel`
    #[arg(long, requires = "name")]
    split_tunnel: bool,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl ExportArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        self.refuse_unknown()?;
        let fleet = context.load()?;
        match &self.name {
            Some(name) => self.device(context, &fleet, name),
            None => self.whole(context, &fleet),
        }
    }

    /// Refuses what is no export, or one of something else.
    fn refuse_unknown(&self) -> Result<(), CommandError> {
        let usage = |message: String| CommandError::message(Exit::Usage, message);
        let to = &self.to;
        let plain = to.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if to.is_empty() || !plain || to.starts_with('-') {
            return Err(usage(format!("no export is named {to:?}")).hint(names()));
        }
        let of_fleet = to == JSON || target(to).is_some_and(|target| target.scope == Scope::Fleet);
        let of_device = target(to).is_some_and(|target| target.scope != Scope::Fleet);
        match &self.name {
            Some(_) if of_fleet => Err(usage(format!("`{to}` is an export of the whole fleet"))
                .hint(format!("leave out the name: `wgfleet export --to {to}`"))),
            None if of_device => Err(usage(format!("`{to}` is an export of one host or peer"))
                .hint(format!("name it: `wgfleet export NAME --to {to} -o DIR`"))),
            _ => Ok(()),
        }
    }

    /// A host or an unmanaged peer, whose files hold its private key.
    fn device(&self, context: &Context, fleet: &Fleet, name: &HostName) -> CommandResult {
        let exporter = fleet.exporter(&self.to)?.ok_or_else(|| self.unknown())?;
        let output = self.output.as_deref().ok_or_else(|| {
            CommandError::message(Exit::Usage, "what one device needs is written into files")
                .hint("name their folder: -o DIR")
        })?;
        let vault = context.fleet.vault()?;
        let device = self.desired(context, fleet, &vault, name)?;
        let peer = fleet.inventory().peers.iter().find(|peer| peer.name.value == *name);
        let declared = peer.is_some_and(|peer| peer.settings.public_key.is_some());
        let partner = target(&self.to).is_some_and(|target| target.scope == Scope::Partner);
        let key = match (partner, declared) {
            (true, declared) => KeyOf::Partner { declared },
            (false, false) => KeyOf::Vault,
            (false, true) => {
                let message =
                    format!("only `{name}` has its private key: the file has its public key");
                return Err(CommandError::message(Exit::Vault, message).hint(format!(
                    "write our side for it: `wgfleet export {name} --to partner -o DIR`"
                )));
            }
        };
        let (_, secrets) = Fleet::unlock(&context.fleet)?;
        let files = exporter
            .device(&device, key, &secrets)
            .map_err(|error| CommandError::from(fleet.export_failed(&self.to, error)))?;
        let paths: Vec<PathBuf> = files.iter().map(|file| output.join(&file.name)).collect();
        refuse_to_commit(output, paths.iter().map(PathBuf::as_path))?;
        make_folder(output)?;
        for (file, path) in files.iter().zip(&paths) {
            write_secret(path, file.content.as_bytes())?;
        }
        let own = &device.interfaces;
        let hooks = own.iter().any(|own| own.hooks != crate::desired::HookLines::default());
        if hooks || !device.masquerade.is_empty() {
            context.say(&format!(
                "the hooks, forwarding and masquerading of `{name}` are not part of an export"
            ));
        }
        let what = if partner { "no private key is in them" } else { "they hold its private key" };
        context.say(&format!(
            "wrote {} into {}; {what}",
            count(paths.len(), "file"),
            output.display()
        ));
        self.told(context, paths)
    }

    /// What a host or a peer is to have.
    fn desired(
        &self,
        context: &Context,
        fleet: &Fleet,
        vault: &Vault,
        name: &HostName,
    ) -> Result<DesiredHost, CommandError> {
        let keys = LiveKeys::current(vault.index());
        if fleet.inventory().hosts.iter().any(|host| host.name.value == *name) {
            if self.split_tunnel {
                let message = "--split-tunnel is for unmanaged peers";
                return Err(CommandError::message(Exit::Usage, message)
                    .hint(format!("take `full_tunnel` of `{name}` out of the file")));
            }
            if context.format == Format::Human {
                context.say("a host's file is written by `wgfleet apply` where ssh reaches it");
            }
            let state = fleet.desired(&keys)?;
            let mut hosts = state.hosts.into_iter();
            if let Some(host) = hosts.find(|host| host.name == *name) {
                return Ok(host);
            }
        }
        let routes = if self.split_tunnel { Routes::FleetOnly } else { Routes::AsWritten };
        Ok(fleet.issue(name, &keys, routes)?)
    }

    /// The whole fleet, without a secret.
    fn whole(&self, context: &Context, fleet: &Fleet) -> CommandResult {
        // Without a vault there are no keys to tell, and everything else is the same.
        let vault = context.fleet.vault().ok();
        let key = |name: &HostName| vault.as_ref().and_then(|vault| vault.index().current(name));
        let whole = WholeFleet::new(fleet.inventory(), &fleet.topology, &key);
        let files = if self.to == JSON {
            let text = zeroize::Zeroizing::new(json(&whole)?).into();
            vec![ExportedFile { name: format!("{}.json", whole.fleet), content: text }]
        } else {
            let exporter = fleet.exporter(&self.to)?.ok_or_else(|| self.unknown())?;
            let files = exporter.fleet::<std::convert::Infallible>(&whole);
            files.map_err(|error| CommandError::from(fleet.export_failed(&self.to, error)))?
        };
        let Some(output) = &self.output else {
            return match &files[..] {
                [one] if context.format == Format::Human || self.to == JSON => {
                    write_stdout(one.content.as_bytes())?;
                    Ok(Exit::Done)
                }
                _ => Err(CommandError::message(Exit::Usage, "this export is written into files")
                    .hint("name their folder: -o DIR")),
            };
        };
        make_folder(output)?;
        let mut paths = Vec::new();
        for file in &files {
            let path = output.join(&file.name);
            write_atomic(&path, file.content.as_bytes(), Mode::Public)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?;
            paths.push(path);
        }
        context.say(&format!("wrote {} into {}", count(paths.len(), "file"), output.display()));
        self.told(context, paths)
    }

    fn told(&self, context: &Context, files: Vec<PathBuf>) -> CommandResult {
        if context.format == Format::Human {
            return Ok(Exit::Done);
        }
        let (kind, version) = (Kind::default(), Version::default());
        print(&json(&Export { kind, version, name: self.name.as_ref(), to: &self.to, files })?)
    }

    fn unknown(&self) -> CommandError {
        let to = &self.to;
        let error = CommandError::message(Exit::Usage, format!("no export is named `{to}`"));
        let known = TARGETS.iter().map(|target| target.name).chain([JSON]);
        match closest(to, known) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => error.hint(names()),
        }
        .hint(format!("or write its template: templates/export/{to}.j2 beside the inventory"))
    }
}

/// The exports that there are.
fn names() -> String {
    let known: Vec<&str> = TARGETS.iter().map(|target| target.name).chain([JSON]).collect();
    format!("exports are {}", known.join(", "))
}

fn make_folder(path: &Path) -> Result<(), CommandError> {
    use std::os::unix::fs::DirBuilderExt as _;
    Ok(std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

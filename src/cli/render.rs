//! `wgfleet render`: the files of all hosts in a folder.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::login::LimitArgs;
use super::output::{json, print};
use super::secret_file::refuse_to_commit;
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::desired::DesiredHost;
use crate::fleet::{Fleet, LiveKeys};
use crate::model::{HostName, Kind, Version, count};
use crate::report::document::{Render, RenderedConf};
use crate::sys::{Mode, write_atomic};

/// Hosts that are rendered before any of their files is written: a mesh's files together would not
/// fit into memory.
const AT_ONCE: usize = 64;

/// Write hosts' wg0.conf into a folder: DIR/HOST/wg0.conf, 0600 from the first instant.
///
/// Unmanaged peers without a public key of their own get theirs too. The files hold private keys: name
/// the hosts that you want them of, and remove them when they are used. `wgfleet peer show` hands one
/// peer its configuration without a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet render -o /run/user/1000/fleet && wg-quick strip /run/user/1000/fleet/b7/wg0.conf
  wgfleet render -o /run/user/1000/fleet b7 alice-phone
  wgfleet render -o /run/user/1000/fleet --limit paris,alice-phone --exclude 'lab-*'")]
pub(super) struct RenderArgs {
    /// The hosts and unmanaged peers [default: all]; their peers still come from the whole file
    #[arg(value_name = "HOST", add = completions::key_holders(), conflicts_with_all = ["limit", "exclude"])]
    hosts: Vec<HostName>,

    #[command(flatten)]
    limit: LimitArgs,

    /// The folder; it is made where it is not there. In a git work tree git has to ignore it
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl RenderArgs {
    /// The files that a host gets.
    fn files_of(&self, host: &DesiredHost) -> impl Iterator<Item = RenderedConf> {
        let folder = self.output.join(host.name.as_str());
        host.interfaces.iter().map(move |one| RenderedConf {
            host: host.name.clone(),
            interface: one.name.clone(),
            path: folder.join(format!("{}.conf", one.name)),
        })
    }

    pub(super) fn run(self, context: &Context) -> CommandResult {
        let fleet = context.load()?;
        let limit = self.limit.key_holders(fleet.inventory())?;
        let wanted: BTreeSet<&HostName> = self.hosts.iter().chain(&limit).collect();
        fleet.refuse_keyless(wanted.iter().copied())?;
        let (vault, secrets) = Fleet::unlock(&context.fleet)?;
        let state = fleet.desired(&LiveKeys::current(vault.index()))?;
        let hosts = state.hosts.iter().chain(&state.issued);
        let hosts: Vec<&DesiredHost> =
            hosts.filter(|host| wanted.is_empty() || wanted.contains(&host.name)).collect();
        let folder = |path: &std::path::Path| {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
        };
        let files: Vec<RenderedConf> = hosts.iter().flat_map(|host| self.files_of(host)).collect();
        refuse_to_commit(&self.output, files.iter().map(|file| file.path.as_path()))?;
        folder(&self.output)?;
        for some in hosts.chunks(AT_ONCE) {
            let rendered = fleet.render(some, &secrets)?;
            rendered.par_iter().try_for_each(|(name, host)| {
                let folder_of = self.output.join(name.as_str());
                folder(&folder_of)?;
                for (interface, file) in &host.files {
                    let path = folder_of.join(format!("{interface}.conf"));
                    write_atomic(&path, file.content.as_bytes(), Mode::Private)
                        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
                }
                Ok::<(), CommandError>(())
            })?;
        }
        context.say(&format!(
            "wrote {} into {}",
            count(files.len(), "file"),
            self.output.display()
        ));
        if context.format == Format::Human {
            return Ok(Exit::Done);
        }
        print(&json(&Render {
            kind: Kind::default(),
            version: Version::default(),
            folder: &self.output,
            files,
        })?)
    }
}

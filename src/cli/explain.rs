//! `wgfleet explain`: every setting of a host, its value, and why it has it.

use clap::Args;

use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::model::{HostName, PublicKey, closest};
use crate::report;
use crate::topology::{NodeId, Topology};

/// Show every setting of a host, its value, and why it has it. Touches no host, needs no key.
///
/// The reason is the place of the file that says it, the level that the host inherits it from, or what
/// it is derived from: NAT, an underlay, an endpoint, what is behind a peer. Public keys are shown where
/// the vault is there; secrets never are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet explain paris
  wgfleet explain paris oslo                      # the settings towards one peer
  wgfleet explain paris | grep mtu
  wgfleet explain --format json paris | jq '.interfaces[].settings[] | select(.because != \"default\")'")]
pub(super) struct ExplainArgs {
    /// The host or unmanaged peer
    #[arg(value_name = "HOST", add = completions::machines())]
    host: HostName,

    /// One of its peers: show the settings towards that one only
    #[arg(value_name = "PEER", add = completions::machines())]
    peer: Option<HostName>,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl ExplainArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let Some(fleet) = context.read()? else { return Ok(Exit::Findings) };
        let topology = &fleet.topology;
        let host = find(topology, &self.host)?;
        let peer = self.peer.as_ref().map(|peer| linked(topology, host, peer)).transpose()?;
        // Without a vault there are no keys to show, and everything else is the same.
        let vault = context.fleet.vault().ok();
        let keys = |name: &HostName| -> Option<PublicKey> {
            vault.as_ref().and_then(|vault| vault.index().current(name))
        };
        let explanation = report::settings::explain(fleet.inventory(), topology, &keys, host, peer);
        let text = match context.format {
            Format::Json => report::json::pretty(&explanation)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
            Format::Human => report::settings::human(&explanation),
        };
        super::write_stdout(text.as_bytes())?;
        Ok(Exit::Done)
    }
}

/// The host or unmanaged peer of a name.
fn find(topology: &Topology, name: &HostName) -> Result<NodeId, CommandError> {
    topology.find(name).ok_or_else(|| {
        let message = format!("no host or peer is named `{name}`");
        unknown(message, name, topology.nodes.iter().map(|node| node.name.as_str()))
    })
}

/// A peer that a link joins with a host.
fn linked(topology: &Topology, host: NodeId, name: &HostName) -> Result<NodeId, CommandError> {
    let peer = find(topology, name)?;
    let own = topology.node(host).interfaces.iter();
    let peers = || own.clone().flat_map(|id| &topology.interface(*id).peers);
    if peers().any(|entry| topology.interface(entry.remote).node == peer) {
        return Ok(peer);
    }
    let host = &topology.node(host).name;
    let message = format!("no link joins `{host}` and `{name}`");
    Err(unknown(message, name, peers().map(|entry| topology.remote(entry).name.as_str())))
}

fn unknown<'t>(
    message: String,
    name: &HostName,
    known: impl Iterator<Item = &'t str>,
) -> CommandError {
    let error = CommandError::message(Exit::Usage, message);
    match closest(name.as_str(), known) {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None => error.hint("`wgfleet check --reachability` shows the names of all hosts"),
    }
}

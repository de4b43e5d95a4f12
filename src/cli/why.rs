//! `wgfleet why`: a flow hop by hop, and what fixes it.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs, completions};
use crate::check::{self, FlowOutcome};
use crate::inventory::{Inventory, Selector};
use crate::model::{GroupName, HostName, NetworkName, SiteName, closest, host_net};
use crate::report;

/// Show a flow hop by hop: why it works, or where it fails and which change fixes it.
///
/// A flow that does not work exits 3. The change is a unified diff of the inventory that has been
/// proved: with it the flow works. Touches no host, needs no key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet why paris branch-7
  wgfleet why 192.168.1.20 192.168.7.30
  wgfleet why alice-phone internet
  wgfleet why --format json paris-gw b7 | jq -r '.fix.patch' | patch -p1")]
pub(super) struct WhyArgs {
    /// Where the flow begins: an address, a prefix, a host, peer, site, group or network
    #[arg(value_name = "SRC", add = completions::ends())]
    from: String,

    /// Where it ends: the same, or `internet`
    #[arg(value_name = "DST", add = completions::ends())]
    to: String,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl WhyArgs {
    pub(super) fn run(self, context: &Context) -> CommandResult {
        let Some(fleet) = context.read()? else { return Ok(Exit::Findings) };
        let inventory = fleet.inventory();
        let (from, to) = (selector(inventory, &self.from)?, selector(inventory, &self.to)?);
        let lock = &fleet.loaded.lock;
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let why = check::why(inventory, &fleet.topology, &addresses, &from, &to);
        let text = match context.format {
            Format::Json => report::json::pretty(&why).unwrap_or_default(),
            Format::Human => report::why::human(&why, &self.from, &self.to),
        };
        super::write_stdout(text.as_bytes())?;
        Ok(match why.outcome {
            FlowOutcome::Reachable | FlowOutcome::SamePlace => Exit::Done,
            FlowOutcome::Broken | FlowOutcome::NoFlow => Exit::Findings,
        })
    }
}

/// What an argument stands for.
fn selector(inventory: &Inventory, text: &str) -> Result<Selector, CommandError> {
    if text == "internet" {
        return Ok(Selector::Internet);
    }
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(Selector::Net(host_net(addr)));
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(Selector::Net(net.trunc()));
    }
    let index = inventory.index();
    let host = text.parse::<HostName>().ok();
    if let Some(name) = host.filter(|name| index.host(name).or(index.peer(name)).is_some()) {
        return Ok(Selector::Host(name));
    }
    let site = text.parse::<SiteName>().ok();
    if let Some(name) = site.filter(|name| index.site(name).is_some()) {
        return Ok(Selector::Site(name));
    }
    let group = text.parse::<GroupName>().ok();
    if let Some(name) = group.filter(|name| inventory.hosts.iter().any(|h| h.groups.contains(name)))
    {
        return Ok(Selector::Group(name));
    }
    let network = text.parse::<NetworkName>().ok();
    if let Some(name) = network.filter(|name| index.network(name).is_some()) {
        return Ok(Selector::Network(name));
    }
    let error =
        CommandError::message(Exit::Usage, format!("nothing in the fleet is called {text:?}"));
    let names = names(inventory);
    Err(error.hint(match closest(text, names.iter().map(String::as_str)) {
        Some(close) => format!("did you mean `{close}`?"),
        None => "name an address, a prefix, a host, peer, site, group or network, or `internet`"
            .to_owned(),
    }))
}

/// Everything of a fleet that has a name.
fn names(inventory: &Inventory) -> Vec<String> {
    let hosts = inventory.hosts.iter().map(|host| host.name.value.to_string());
    let groups = inventory.hosts.iter().flat_map(|host| &host.groups).map(ToString::to_string);
    let peers = inventory.peers.iter().map(|peer| peer.name.value.to_string());
    let sites = inventory.sites.iter().map(|site| site.name.value.to_string());
    let networks = inventory.networks.iter().map(|network| network.name.value.to_string());
    let rest = peers.chain(sites).chain(groups).chain(networks);
    hosts.chain(rest).chain(["internet".to_owned()]).collect()
}

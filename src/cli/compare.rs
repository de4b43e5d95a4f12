//! `wgfleet plan --offline --base REV`: two inventories compared, without hosts or an identity.
//!
//! For pull requests of strangers: no ssh(1) is started and no identity is looked for. Of the vault
//! only the public keys of its index are read.

use std::collections::{BTreeMap, BTreeSet};

use super::fleet::{Fleet, count, exit_of, show};
use super::watchdog::Watchdog;
use super::{CommandError, CommandResult, Exit, Format, Global};
use crate::check::{State, difference};
use crate::desired::{DesiredHost, DesiredInterface, DesiredState, RenderError, Renderer};
use crate::finding::{self, Severity};
use crate::inventory::Inventory;
use crate::model::{FleetName, HostName, PublicKey, Untrusted};
use crate::plan::{Base, Comparison, Side, StandIns, WithoutSecrets, compare_hosts};
use crate::report;
use crate::topology::{NodeKind, Topology, mix};
use crate::vault::Vault;

/// What is to be compared, and how it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compare<'a> {
    /// The revision whose inventory the one on disk is compared with.
    pub(super) base: &'a str,
    /// The hosts; all where it is empty.
    pub(super) limit: &'a [HostName],
    /// Whether changes have an exit code of their own.
    pub(super) exit: bool,
    /// Whether each host is shown, also where many change alike.
    pub(super) verbose: bool,
}

/// An inventory with what its hosts are to have.
struct Wanted<'a> {
    fleet: &'a Fleet,
    state: DesiredState,
    renderer: Renderer,
}

type Failed = RenderError<std::convert::Infallible>;

impl<'a> Wanted<'a> {
    fn new(fleet: &'a Fleet, state: DesiredState) -> Result<Self, CommandError> {
        Ok(Self { fleet, state, renderer: fleet.renderer()? })
    }

    fn render(&self, host: &DesiredHost, own: &DesiredInterface) -> Result<String, Failed> {
        Ok(self.renderer.render(host, own, &WithoutSecrets::default())?.public_text)
    }
}

impl Compare<'_> {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        let base = self.read_base(global)?;
        let fleet = Fleet::load(global)?;
        let comparison = self.compare(global, base.as_ref(), &fleet)?;
        let text = match global.format {
            Format::Human => report::compare::human(&comparison, self.verbose),
            Format::Json => report::json::line(&comparison)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
        };
        super::write_stdout(text.as_bytes())?;
        Ok(if self.exit && !comparison.is_empty() { Exit::Changes } else { Exit::Done })
    }

    /// The fleet at the base. What is wrong with a fleet does not keep it from being compared: the
    /// change at hand may be what corrects it.
    fn read_base(self, global: &Global) -> Result<Option<Fleet>, CommandError> {
        let Some(reading) = Fleet::read_at(global, self.base)? else { return Ok(None) };
        let errors: Vec<_> = reading
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .cloned()
            .collect();
        let name = Untrusted::new(self.base);
        if reading.fleet.is_none() {
            if let Some(loaded) = reading.loaded() {
                show(global, &errors, loaded);
            }
            let message = format!(
                "the inventory at {name} makes no fleet, so there is nothing to compare with: {}",
                report::findings::summary(&errors)
            );
            return Err(CommandError::message(Exit::Findings, message)
                .hint("name a later revision with --base, one that `wgfleet check` accepts"));
        }
        if finding::any_error(&errors) && !global.quiet {
            let codes: BTreeSet<String> =
                errors.iter().map(|finding| finding.code.to_string()).collect();
            let codes: Vec<String> = codes.into_iter().collect();
            anstream::eprintln!(
                "the inventory at {name} has {} of its own ({}); it is compared all the same",
                count(errors.len(), "error"),
                codes.join(", "),
            );
        }
        Ok(reading.fleet)
    }

    fn compare(
        self,
        global: &Global,
        base: Option<&Fleet>,
        fleet: &Fleet,
    ) -> Result<Comparison, CommandError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| CommandError::message(Exit::Failed, error.to_string()))?;
        let keys = StandIns::new(public_keys(global), random);
        let state = fleet.desired(&keys)?;
        let old = base.map(|base| base.desired(&keys)).transpose()?;
        let hosts = old.iter().chain([&state]).flat_map(|state| &state.hosts);
        let watching = Watchdog::over(hosts);
        let new = Wanted::new(fleet, state)?;
        let old = base.zip(old).map(|(base, state)| Wanted::new(base, state)).transpose()?;
        self.all_known(&new.state, old.as_ref().map(|old| &old.state))?;
        let of_new = |host: &DesiredHost, own: &DesiredInterface| new.render(host, own);
        let of_old = |host: &DesiredHost, own: &DesiredInterface| match &old {
            Some(old) => old.render(host, own),
            None => Ok(String::new()),
        };
        let before = old.as_ref().map(|old| Side { state: &old.state, render: &of_old });
        let after = Side { state: &new.state, render: &of_new };
        let mut hosts = compare_hosts(before.as_ref(), &after, &keys).map_err(|error| {
            let exit = match &error {
                crate::plan::CompareError::Render(error) => exit_of(error),
                crate::plan::CompareError::TooMuch { .. } => Exit::Findings,
            };
            CommandError::new(exit, &error)
        })?;
        drop(watching);
        let limit: BTreeSet<&HostName> = self.limit.iter().collect();
        hosts.retain(|host| limit.is_empty() || limit.contains(&host.host));
        let empty = nothing(fleet.inventory());
        let wanted = (fleet.inventory(), &fleet.topology);
        let was = old
            .as_ref()
            .map_or((&empty.0, &empty.1), |old| (old.fleet.inventory(), &old.fleet.topology));
        let (was_state, is_state) = (State::new(was.0, was.1), State::new(wanted.0, wanted.1));
        let reachability = if limit.is_empty() {
            difference(was_state, is_state)
        } else {
            let unmanaged = |name: &HostName| {
                let node = wanted.1.find(name).map(|id| wanted.1.node(id));
                node.is_some_and(|node| matches!(node.kind, NodeKind::Unmanaged(_)))
            };
            let (inventory, topology) =
                mix(was, wanted, |name| limit.contains(name) || unmanaged(name));
            difference(was_state, State::new(&inventory, &topology))
        };
        let name = |fleet: &Fleet| -> FleetName { fleet.inventory().fleet.value.clone() };
        Ok(Comparison {
            version: Comparison::VERSION,
            fleet: name(fleet),
            base: Base { revision: Untrusted::new(self.base), fleet: base.map(name) },
            hosts,
            reachability,
        })
    }

    /// Refuses a limit to hosts that neither inventory has.
    fn all_known(self, new: &DesiredState, old: Option<&DesiredState>) -> Result<(), CommandError> {
        let states = std::iter::once(new).chain(old);
        let hosts = states.flat_map(|state| state.hosts.iter().chain(&state.issued));
        let known: BTreeSet<&HostName> = hosts.map(|host| &host.name).collect();
        match self.limit.iter().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(unknown) => Err(CommandError::message(
                Exit::Usage,
                format!("--limit names {unknown}, and neither inventory has such a host"),
            )),
        }
    }
}

/// The public keys that the vault's index has; none where there is no vault.
fn public_keys(global: &Global) -> BTreeMap<HostName, PublicKey> {
    let Ok(vault) = Vault::open(&super::vault::folder(&global.file)) else {
        return BTreeMap::new();
    };
    let index = vault.index();
    index.names().filter_map(|name| Some((name.clone(), index.current(name)?))).collect()
}

/// A fleet of nothing.
fn nothing(inventory: &Inventory) -> (Inventory, Topology) {
    let inventory = Inventory {
        networks: Vec::new(),
        sites: Vec::new(),
        hosts: Vec::new(),
        peers: Vec::new(),
        expects: Vec::new(),
        ..inventory.clone()
    };
    (inventory, Topology::default())
}

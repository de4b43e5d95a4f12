//! Two inventories compared, without hosts or an identity.
//!
//! Of the vault only the public keys of its index are read.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Asked;
use super::read::{Fleet, kind_of};
use super::unknown::refuse_unknown;
use super::watchdog::Watchdog;
use super::{Context, Error, Kind};
use crate::check::{State, difference};
use crate::desired::{DesiredHost, DesiredInterface, DesiredState, RenderError, Renderer};
use crate::inventory::{Inventory, RolloutPolicy};
use crate::model::{FleetName, HostName, PublicKey, Untrusted, Version};
use crate::plan::{Base, Comparison, Side, StandIns, WithoutSecrets, compare_hosts};
use crate::topology::{NodeKind, Topology, mix};

/// An inventory with what its hosts are to have.
struct Wanted<'a> {
    fleet: &'a Fleet,
    state: DesiredState,
    renderer: Renderer,
}

type Failed = RenderError<std::convert::Infallible>;

impl<'a> Wanted<'a> {
    fn new(fleet: &'a Fleet, state: DesiredState) -> Result<Self, Error> {
        Ok(Self { fleet, state, renderer: fleet.renderer()? })
    }

    fn render(&self, host: &DesiredHost, own: &DesiredInterface) -> Result<String, Failed> {
        Ok(self.renderer.render(host, own, &WithoutSecrets::default())?.public_text)
    }
}

/// Compares a fleet with the same at `revision`, which is `base`; `None` where it was not there. Only
/// the hosts of `limit` are told, all where it is empty.
///
/// # Errors
/// Where a file cannot be rendered, or `limit` names a host of neither.
pub fn compare(
    context: &Context,
    revision: &str,
    base: Option<&Fleet>,
    fleet: &Fleet,
    limit: &[HostName],
) -> Result<Comparison, Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Error::new(Kind::Failed, error))?;
    let keys = StandIns::new(public_keys(context), random);
    let state = fleet.desired(&keys)?;
    let old = base.map(|base| base.desired(&keys)).transpose()?;
    let hosts = old.iter().chain([&state]).flat_map(|state| &state.hosts);
    let watching = Watchdog::over(hosts, fleet.overrun, &fleet.has_changed);
    let new = Wanted::new(fleet, state)?;
    let old = base.zip(old).map(|(base, state)| Wanted::new(base, state)).transpose()?;
    let inventories: Vec<&Inventory> =
        std::iter::once(fleet).chain(base).map(Fleet::inventory).collect();
    refuse_unknown(&inventories, limit, Asked::LimitOfTwo)?;
    let of_new = |host: &DesiredHost, own: &DesiredInterface| new.render(host, own);
    let of_old = |host: &DesiredHost, own: &DesiredInterface| match &old {
        Some(old) => old.render(host, own),
        None => Ok(String::new()),
    };
    let before = old.as_ref().map(|old| Side { state: &old.state, render: &of_old });
    let after = Side { state: &new.state, render: &of_new };
    let mut hosts = compare_hosts(before.as_ref(), &after, &keys).map_err(|error| {
        let kind = match &error {
            crate::plan::CompareError::Render(error) => kind_of(error),
            crate::plan::CompareError::TooMuch { .. } => Kind::Findings,
        };
        Error::new(kind, error)
    })?;
    drop(watching);
    let limit: BTreeSet<&HostName> = limit.iter().collect();
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
        kind: crate::model::Kind::default(),
        version: Version::default(),
        fleet: name(fleet),
        base: Base { revision: Untrusted::new(revision), fleet: base.map(name) },
        hosts,
        reachability,
    })
}

/// The public keys that the vault's index has; none where there is no vault.
fn public_keys(context: &Context) -> BTreeMap<HostName, PublicKey> {
    let Ok(vault) = context.vault() else {
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
        rollout: RolloutPolicy::default(),
        ..inventory.clone()
    };
    (inventory, Topology::default())
}

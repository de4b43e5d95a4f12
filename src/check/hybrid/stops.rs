//! The flows between classes of ends, each by one that stands for all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::alike::{classes, hosts_of};
use super::flow::{Flow, LanPlace, Stop};
use super::world::{Host, SIDES, Side, World};
use crate::check::ends::{End, Ends};
use crate::check::flows::{self, Member};
use crate::check::joint::{self, Both, Joint};
use crate::check::{broken, wanted};
use crate::finding::{FlowEnd, Witness};
use crate::inventory::Selector;
use crate::model::Family;

/// The flows from one class of ends to another.
#[derive(Debug)]
pub(super) struct Between<'a> {
    /// One of them.
    pub(super) flow: Flow<'a>,
    /// What its ends are called.
    pub(super) names: (FlowEnd, FlowEnd),
    /// Its packet.
    pub(super) witness: Witness,
    /// How many there are.
    pub(super) flows: u64,
    /// Hosts where they begin.
    pub(super) leaving: Arc<Vec<Host>>,
    /// Hosts where they end.
    pub(super) entering: Arc<Vec<Host>>,
}

/// All flows between ends that are there before and afterwards.
pub(super) fn between<'a>(world: &World<'a>, ends: (&'a Ends, &'a Ends)) -> Vec<Between<'a>> {
    let (old, new) = (world.state(Side::Old), world.state(Side::New));
    let matched = joint::matched((old.0, old.1, ends.0), (new.0, new.1, ends.1));
    let classes = classes(world, paired(world, matched));
    let hosts: Vec<Arc<Vec<Host>>> = classes
        .iter()
        .map(|class| {
            let hosts = class.ends.iter().flat_map(|end| hosts_of(world, end));
            let hosts: BTreeSet<Host> = hosts.flatten().collect();
            Arc::new(hosts.into_iter().collect())
        })
        .collect();
    let mut all = Vec::new();
    for (from, leaving) in classes.iter().zip(&hosts) {
        for (to, entering) in classes.iter().zip(&hosts) {
            all.extend(pair(world, (from, to), (leaving, entering)));
        }
    }
    all.extend(full_tunnels(world));
    all
}

/// The ends of both states, with those addresses for one that take the place of one another.
fn paired<'a>(world: &World<'a>, ends: Vec<Both<'a>>) -> Vec<Both<'a>> {
    let mut both = Vec::new();
    let mut single: BTreeMap<(Host, &'a str, Family), [Vec<Both<'a>>; 2]> = BTreeMap::new();
    for end in ends {
        let side = match (end.old, end.new) {
            (Some(_), Some(_)) => {
                both.push(end);
                continue;
            }
            (Some(_), None) => Side::Old,
            _ => Side::New,
        };
        let Some(own) = end.end() else { continue };
        let Some(network) = own.network else { continue };
        let network = world.state(side).0.networks[network].name.value.as_str();
        let key = (world.host(side, own.node), network, own.family());
        single.entry(key).or_default()[side as usize].push(end);
    }
    for sides in single.into_values() {
        if let [[old], [new]] = sides.each_ref().map(Vec::as_slice) {
            let classes = (old.classes.0, new.classes.1);
            both.push(Both { old: old.old, new: new.new, classes });
        }
    }
    both
}

fn pair<'a>(
    world: &World<'a>,
    (from, to): (&Joint<'a>, &Joint<'a>),
    (leaving, entering): (&Arc<Vec<Host>>, &Arc<Vec<Host>>),
) -> Option<Between<'a>> {
    let (a, b) = (from.ends.first()?, to.ends.first()?);
    if a.end()?.family() != b.end()?.family() {
        return None;
    }
    let (old, new) = (world.state(Side::Old).1, world.state(Side::New).1);
    let examples = joint::examples(old, new, from, to);
    let first = examples.first()?;
    let (a, b) = first.ends;
    let (one, other) = (a.end()?, b.end()?);
    let network = |side: Side, end: Option<&End>| {
        let network = end.and_then(|end| end.network)?;
        Some(world.state(side).0.networks[network].name.value.as_str())
    };
    let networks = |both: &Both<'a>| network(Side::New, both.new);
    let chosen = !a.is_lan() && networks(&a) != networks(&b);
    Some(Between {
        flow: Flow { from: stop(world, &a)?, to: stop(world, &b)?, chosen },
        names: (broken::name(new, &one.member), broken::name(new, &other.member)),
        witness: Witness { source: one.addr, destination: other.addr },
        flows: examples.iter().map(|example| example.flows).sum(),
        leaving: Arc::clone(leaving),
        entering: Arc::clone(entering),
    })
}

fn stop<'a>(world: &World<'a>, both: &Both<'a>) -> Option<Stop<'a>> {
    let sides = [both.old, both.new];
    if !both.is_lan() {
        let [_, host] = hosts_of(world, both);
        return Some(Stop::Address { host: host?, addrs: sides.map(|end| Some(end?.addr)) });
    }
    let places = SIDES.map(|side| {
        let Member::Lan { site, node, .. } = sides[side as usize]?.member else { return None };
        let inventory = world.state(side).0;
        site.map(|site| LanPlace::Site(inventory.sites[site].name.value.as_str()))
            .or_else(|| Some(LanPlace::Host(world.host(side, node?))))
    });
    Some(Stop::Lan { addr: both.end()?.addr, places })
}

/// What full tunnels reach beside the fleet, before and afterwards.
fn full_tunnels<'a>(world: &World<'a>) -> Vec<Between<'a>> {
    let nodes = SIDES.map(|side| -> BTreeSet<Host> {
        let (inventory, topology) = world.state(side);
        let nodes = wanted::full_tunnels(inventory, topology);
        nodes.into_iter().map(|node| world.host(side, node)).collect()
    });
    let hosts: Vec<Host> = nodes[0].intersection(&nodes[1]).copied().collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    let (inventory, topology) = world.state(Side::New);
    let index = inventory.index();
    let tables = world.tables(Side::New);
    let internet = flows::expand(inventory, &index, tables, &Selector::Internet);
    let mut all = Vec::new();
    for host in hosts {
        let own = |side: Side, family: Family| -> Option<IpAddr> {
            let topology = world.state(side).1;
            let node = topology.node(world.hosts[host].ids[side as usize]?);
            let mut addrs = node.interfaces.iter().flat_map(|id| topology.tunnel_addresses(*id));
            addrs.find(|addr| Family::of_addr(addr) == family)
        };
        for to in &internet {
            let Member::Internet(addr) = to else { continue };
            let family = Family::of_addr(addr);
            let addrs = SIDES.map(|side| own(side, family));
            let Some(source) = addrs[Side::New as usize] else { continue };
            if !world.tables(Side::Old).is_internet(*addr) {
                continue;
            }
            let Some(node) = world.hosts[host].ids[Side::New as usize] else { continue };
            let alone = Arc::new(vec![host]);
            all.push(Between {
                flow: Flow {
                    from: Stop::Address { host, addrs },
                    to: Stop::Internet(*addr),
                    chosen: true,
                },
                names: (broken::name(topology, &Member::Node(node)), FlowEnd::Internet),
                witness: Witness { source, destination: *addr },
                flows: 1,
                leaving: Arc::clone(&alone),
                entering: alone,
            });
        }
    }
    all
}

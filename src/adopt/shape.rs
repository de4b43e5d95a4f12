//! The shape of a network: a mesh, hubs with spokes, or single links.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, DraftLink};
use super::fabric::Fabric;
use super::lans::Lans;
use super::meaning::Meaning;
use super::settle::differing_lists;
use super::sketch::pairs;
use crate::finding::Finding;
use crate::model::{HostName, covers, host_net};

/// A shape that a network may have.
struct Shape {
    links: Vec<DraftLink>,
    /// Hosts that pass traffic on without being hubs.
    transit: Vec<HostName>,
}

/// Gives each network the shape from which most of its `AllowedIPs` follow; of such shapes, the simplest.
///
/// # Errors
/// What is wrong with the draft whatever its links are.
pub(super) fn shape(
    draft: &mut Draft,
    fabric: &Fabric<'_>,
    lans: &Lans,
    names: &[HostName],
) -> Result<(), Vec<Finding>> {
    for network in 0..fabric.networks {
        // What others have yet to get is a mesh so far, which is always allowed.
        for other in network..fabric.networks {
            draft.networks[other].links = vec![DraftLink::Mesh(None)];
        }
        let mut best: Option<(usize, Draft)> = None;
        for shape in shapes(fabric, lans, names, network) {
            let mut tried = draft.clone();
            tried.networks[network].links = shape.links;
            for host in &mut tried.hosts {
                host.transit |= shape.transit.contains(&host.name);
            }
            let meaning = Meaning::of(&tried)?;
            let cost = differing_lists(&tried, &meaning, fabric, names, network);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, tried));
            }
        }
        if let Some((_, chosen)) = best {
            *draft = chosen;
        }
    }
    Ok(())
}

/// The shapes that have exactly the links of a network, the simplest first.
fn shapes(fabric: &Fabric<'_>, lans: &Lans, names: &[HostName], network: usize) -> Vec<Shape> {
    let hosts: Vec<usize> =
        fabric.members(network).filter(|end| fabric.ends[*end].of.is_some()).collect();
    let links: BTreeSet<(usize, usize)> = pairs(fabric, network).into_iter().collect();
    let name = |end: usize| names[end].clone();
    let transit: Vec<HostName> =
        hosts.iter().filter(|end| relays(fabric, lans, **end)).map(|end| name(*end)).collect();
    let mut shapes = Vec::new();
    let mut add = |links: Vec<DraftLink>, transit: &[HostName]| {
        shapes.push(Shape { links, transit: transit.to_vec() });
    };
    let linked = |a: usize, b: usize| links.contains(&(a.min(b), a.max(b)));
    let all = hosts.len() * hosts.len().saturating_sub(1) / 2;
    if links.len() == all {
        add(vec![DraftLink::Mesh(None)], &[]);
        add(vec![DraftLink::Mesh(None)], &transit);
    }
    let mut degrees: BTreeMap<usize, usize> = BTreeMap::new();
    for (a, b) in &links {
        *degrees.entry(*a).or_default() += 1;
        *degrees.entry(*b).or_default() += 1;
    }
    let degree = |end: &usize| degrees.get(end).copied().unwrap_or_default();
    // Every other host has exactly the hubs for peers.
    let spokes_of = |hubs: &BTreeSet<usize>| {
        let others = hosts.iter().filter(|end| !hubs.contains(end));
        let mut others = others.peekable();
        others.peek().is_some()
            && others
                .all(|end| degree(end) == hubs.len() && hubs.iter().all(|hub| linked(*hub, *end)))
    };
    let least = hosts.iter().map(&degree).min().unwrap_or_default();
    let hubs: BTreeSet<usize> = if hosts.len() == 2 {
        // Either of two may be the hub: the one that others find.
        let found = |end: &&usize| fabric.told_of(**end).any(|(_, peer)| peer.endpoint.is_some());
        hosts.iter().find(found).or(hosts.first()).copied().into_iter().collect()
    } else {
        hosts.iter().filter(|end| degree(end) > least).copied().collect()
    };
    if !hubs.is_empty() && spokes_of(&hubs) {
        let inner: Vec<bool> =
            hubs.iter().flat_map(|a| hubs.range(a + 1..).map(|b| linked(*a, *b))).collect();
        let mesh_hubs = inner.iter().all(|linked| *linked);
        if mesh_hubs || inner.iter().all(|linked| !*linked) {
            let hubs = hubs.iter().map(|end| name(*end)).collect();
            add(vec![DraftLink::Hub { hubs, spokes: None, mesh_hubs }], &[]);
        }
    }
    if let Some(levels) = levels(&hosts, &links, &degree, names) {
        add(levels, &[]);
    }
    let single: Vec<DraftLink> =
        links.iter().map(|(a, b)| DraftLink::Pair(name(*a), name(*b))).collect();
    add(single.clone(), &[]);
    add(single, &transit);
    shapes
}

/// Hubs that are all linked, each with spokes of its own.
fn levels(
    hosts: &[usize],
    links: &BTreeSet<(usize, usize)>,
    degree: &impl Fn(&usize) -> usize,
    names: &[HostName],
) -> Option<Vec<DraftLink>> {
    let hubs: Vec<usize> = hosts.iter().copied().filter(|end| degree(end) > 1).collect();
    if hubs.len() < 2 {
        return None;
    }
    let between = hubs.len() * (hubs.len() - 1) / 2;
    let of_hubs = links.iter().filter(|(a, b)| hubs.contains(a) && hubs.contains(b)).count();
    if of_hubs != between || links.len() == between {
        return None;
    }
    let name = |end: &usize| names[*end].clone();
    let mut shape = vec![DraftLink::Mesh(Some(hubs.iter().map(name).collect()))];
    let mut counted = between;
    for hub in &hubs {
        let spokes: Vec<usize> = links
            .iter()
            .filter_map(|(a, b)| if a == hub { Some(*b) } else { (b == hub).then_some(*a) })
            .filter(|other| !hubs.contains(other))
            .collect();
        if spokes.is_empty() {
            continue;
        }
        counted += spokes.len();
        let spokes = spokes.iter().map(name).collect();
        shape.push(DraftLink::Hub { hubs: vec![name(hub)], spokes: Some(spokes), mesh_hubs: true });
    }
    (counted == links.len()).then_some(shape)
}

/// Whether a neighbour sends an end what is for another one.
fn relays(fabric: &Fabric<'_>, lans: &Lans, end: usize) -> bool {
    let network = fabric.ends[end].network;
    let others: Vec<_> = fabric
        .members(network)
        .filter(|other| *other != end)
        .flat_map(|other| lans.addresses[other].iter().map(move |addr| (other, host_net(*addr))))
        .collect();
    fabric.told_of(end).any(|(from, peer)| {
        peer.allowed_ips
            .iter()
            .filter(|net| net.prefix_len() > 1)
            .any(|net| others.iter().any(|(other, addr)| *other != from && covers(net, addr)))
    })
}

//! Every flow one by one: for small fleets and for comparing the proof with something else.

use std::net::IpAddr;

use super::ends::{End, Spot};
use super::first::{First, first};
use super::proof::{Proof, Scope};
use super::tables::Tables;
use super::walk::Cause;
use crate::inventory::{Inventory, Selector};
use crate::topology::{NodeId, Topology};

/// One end of a flow: a tunnel address, or an address that stands for a class of a LAN's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The node that has the address, or delivers to the LAN.
    pub node: NodeId,
    /// The address.
    pub addr: IpAddr,
    /// The network of a tunnel address; `None` for a LAN.
    pub network: Option<usize>,
}

/// One flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Where it begins.
    pub from: Point,
    /// Where it ends.
    pub to: Point,
    /// Whether the file's shape implies it.
    pub wanted: bool,
    /// Why it does not work, where it does not.
    pub cause: Option<Cause>,
}

/// Every flow between ends at different places. Quadratic in the number of ends.
#[must_use]
pub fn pairs(inventory: &Inventory, topology: &Topology) -> Vec<Pair> {
    let tables = Tables::new(inventory, topology);
    let proof = Proof::new(inventory, &tables, Scope::All);
    let ends = &proof.ends;
    let point = |end: &End| Point { node: end.node, addr: end.addr, network: end.network };
    let mut pairs = Vec::new();
    for verdict in &proof.verdicts {
        let (Some(from), Some(to)) = (verdict.from, verdict.to) else { continue };
        let cause = verdict.result.as_ref().err().and_then(|broken| broken.cause);
        for a in ends.classes[from].iter().map(|index| &ends.all[*index]) {
            for b in ends.classes[to].iter().map(|index| &ends.all[*index]) {
                let with_lan = a.is_lan() || b.is_lan();
                let spots: [Spot; 2] = [a, b].map(|end| end.spot(topology, with_lan));
                if spots[0] != spots[1] {
                    let (from, to) = (point(a), point(b));
                    pairs.push(Pair { from, to, wanted: verdict.wanted, cause });
                }
            }
        }
    }
    pairs.sort_unstable_by_key(|pair| (pair.from, pair.to));
    pairs
}

/// Whether all flows between two selectors work; `None` where there are none, otherwise the first
/// cause that one does not.
#[must_use]
pub fn proves(
    inventory: &Inventory,
    topology: &Topology,
    from: &Selector,
    to: &Selector,
) -> Option<Result<(), Cause>> {
    let tables = Tables::new(inventory, topology);
    let First { flows, broken, .. } = first(inventory, &tables, from, to);
    let cause = broken.and_then(|broken| broken.cause);
    (flows > 0).then(|| cause.map_or(Ok(()), Err))
}

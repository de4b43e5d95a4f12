//! Who reaches whom, place by place and network by network.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use serde::Serialize;

use super::broken;
use super::ends::{Ends, Spot};
use super::proof::{Proof, Scope, Verdict};
use super::session::Sessions;
use super::tables::Tables;
use super::trace;
use crate::finding::{Code, FlowEnd, Hop, Loss, Reason, Witness};
use crate::inventory::Inventory;
use crate::model::{Document, HostName, Kind, Version};
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Places beyond this number are folded: those that the fleet treats alike become one row.
const UNFOLDED: usize = 64;

/// Every flow of a fleet: the matrix, the map it is drawn on, and what fails.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reachability {
    /// `reachability`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Flows between ends at different places: tunnel addresses and classes of LAN addresses.
    pub flows: u64,
    /// How many of them work, there and back.
    pub reachable: u64,
    /// How many the file's shape implies.
    pub wanted: u64,
    /// How many of those do not work.
    pub broken: u64,
    /// Hosts and unmanaged peers, for a map.
    pub nodes: Vec<MapNode>,
    /// The links between them.
    pub links: Vec<MapLink>,
    /// Sites, hosts without a site, and unmanaged peers.
    pub places: Vec<Place>,
    /// Flows from place to place; pairs without a flow are left out.
    pub cells: Vec<Cell>,
    /// The networks.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))]
    pub networks: Vec<String>,
    /// Flows between the tunnel addresses of two networks.
    pub network_cells: Vec<Cell>,
    /// What keeps wanted flows from working.
    pub faults: Vec<Fault>,
}

impl Document for Reachability {
    const KIND: &'static str = "reachability";
    const VERSION: u32 = 1;
}

/// A machine on the map.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MapNode {
    /// Its name.
    pub name: HostName,
    /// Whether wgfleet manages it.
    pub managed: bool,
    /// Its site.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub site: Option<String>,
    /// Whether it is behind a source NAT.
    pub nat: bool,
    /// Whether it forwards IPv4 or IPv6.
    pub forwards: bool,
    /// Tunnel addresses.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub addresses: Vec<IpNet>,
    /// LANs behind it.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub subnets: Vec<IpNet>,
}

/// A link on the map.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MapLink {
    /// Index of one end in `nodes`.
    pub a: u32,
    /// Index of the other end.
    pub b: u32,
    /// Index of the network.
    pub network: usize,
    /// Whether a session can be begun by at least one side.
    pub session: bool,
}

/// A row and column of the matrix.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The name of the site, host or peer; the first one of those that are folded.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub name: String,
    /// How many places it stands for.
    pub count: usize,
    /// The hosts there; of the first place, where it stands for several.
    pub hosts: Vec<HostName>,
}

/// The flows from one row to one column.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cell {
    /// Index of the row.
    pub from: usize,
    /// Index of the column.
    pub to: usize,
    /// Flows.
    pub flows: u64,
    /// Flows that work.
    pub reachable: u64,
    /// Flows that the file's shape implies.
    pub wanted: u64,
    /// Wanted flows that do not work.
    pub broken: u64,
    /// Index in `faults` of one that explains them.
    pub fault: Option<usize>,
}

/// Wanted flows that fail alike.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fault {
    /// The code of the finding that is about the cause.
    pub code: Option<Code>,
    /// Where one of them begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// How many there are.
    pub flows: u64,
    /// Why it does not work.
    pub reason: Reason,
    /// A packet that shows it.
    pub witness: Witness,
    /// What each hop does with it.
    pub trace: Vec<Hop>,
}

/// Proves every flow of a fleet.
#[must_use]
pub fn reachability(inventory: &Inventory, topology: &Topology) -> Reachability {
    let tables = Tables::new(inventory, topology);
    let proof = Proof::new(inventory, &tables, Scope::All);
    let rows = Rows::places(inventory, topology, &proof.ends);
    let networks = Rows::networks(topology, &proof.ends);
    let (mut cells, mut network_cells) = (Cells::default(), Cells::default());
    let mut faults = Vec::new();
    let mut all = Reachability {
        kind: Kind::default(),
        version: Version::default(),
        flows: 0,
        reachable: 0,
        wanted: 0,
        broken: 0,
        nodes: topology.nodes.iter().map(|node| map_node(inventory, topology, node)).collect(),
        links: links(inventory, topology),
        places: rows.places.clone(),
        cells: Vec::new(),
        networks: inventory.networks.iter().map(|own| own.name.value.to_string()).collect(),
        network_cells: Vec::new(),
        faults: Vec::new(),
    };
    for verdict in &proof.verdicts {
        let works = verdict.result.is_ok();
        // That a phone sleeps is as the file says, and routes of the operator's own are not in it.
        let excused = verdict.result.as_ref().is_err_and(|broken| {
            broken.cause.is_some_and(|cause| broken::code(topology, cause).is_none())
                || broken::routed_by_hand(&tables, broken)
        });
        let wanted = verdict.wanted && !excused;
        all.flows += verdict.flows;
        all.reachable += if works { verdict.flows } else { 0 };
        all.wanted += if wanted { verdict.flows } else { 0 };
        let mut fault = None;
        if let (true, Err(broken)) = (wanted, &verdict.result) {
            all.broken += verdict.flows;
            fault = Some(faults.len());
            faults.push(self::fault(topology, verdict.flows, broken));
        }
        cells.add(&rows, &proof.ends, verdict, wanted, fault);
        network_cells.add(&networks, &proof.ends, verdict, wanted, fault);
    }
    all.cells = cells.finish();
    all.network_cells = network_cells.finish();
    all.faults = faults;
    all
}

fn fault(topology: &Topology, flows: u64, broken: &super::flow::Broken) -> Fault {
    let lost = broken.back.as_ref().unwrap_or(&broken.out);
    let cause = broken.cause.unwrap_or(super::walk::Cause::NoRoute);
    let reason = lost.steps.last().map_or_else(
        || Reason {
            cause: Loss::NoSender,
            host: None,
            text: "no node sends it into a tunnel".to_owned(),
        },
        |step| trace::reason(topology, step.node, cause),
    );
    let packet = broken.out.packet;
    Fault {
        code: broken::code(topology, cause),
        from: broken::name(topology, &broken.from),
        to: broken::name(topology, &broken.to),
        flows,
        reason,
        witness: Witness { source: packet.source, destination: packet.destination },
        trace: trace::hops(topology, broken),
    }
}

fn map_node(inventory: &Inventory, topology: &Topology, node: &crate::topology::Node) -> MapNode {
    let own = node.interfaces.iter().flat_map(|id| &topology.interface(*id).addresses);
    MapNode {
        name: node.name.clone(),
        managed: matches!(node.kind, NodeKind::Host(_)),
        site: node.site.map(|site| inventory.sites[site].name.value.to_string()),
        nat: node.nat.value,
        forwards: node.forwards.any(),
        addresses: own.map(|addr| addr.value).collect(),
        subnets: node.subnets.iter().map(|subnet| subnet.value).collect(),
    }
}

fn links(inventory: &Inventory, topology: &Topology) -> Vec<MapLink> {
    let mut links = Vec::new();
    let sessions = Sessions::new(inventory, topology);
    for (id, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        for peer in interface.peers.iter().filter(|peer| id < peer.remote) {
            links.push(MapLink {
                a: interface.node.0,
                b: topology.interface(peer.remote).node.0,
                network: interface.network,
                session: sessions.of(id, peer).possible(),
            });
        }
    }
    links
}

/// How many ends are at each spot, without and with a LAN at the other end.
type Crowd = HashMap<(Spot, Spot), u64>;

/// The rows of a matrix, and how many ends of each class are in each.
struct Rows {
    places: Vec<Place>,
    /// For each class, its ends by row and by spot within it.
    crowds: Vec<BTreeMap<usize, Crowd>>,
}

impl Rows {
    fn new(topology: &Topology, ends: &Ends, row: impl Fn(usize) -> Option<usize>) -> Self {
        let crowds = ends.classes.iter().map(|class| {
            let mut crowd: BTreeMap<usize, Crowd> = BTreeMap::new();
            for index in class {
                if let Some(row) = row(*index) {
                    let end = &ends.all[*index];
                    let spots = (end.spot(topology, false), end.spot(topology, true));
                    *crowd.entry(row).or_default().entry(spots).or_default() += 1;
                }
            }
            crowd
        });
        Self { places: Vec::new(), crowds: crowds.collect() }
    }

    fn networks(topology: &Topology, ends: &Ends) -> Self {
        Self::new(topology, ends, |end| ends.all[end].network)
    }

    fn places(inventory: &Inventory, topology: &Topology, ends: &Ends) -> Self {
        // Sites in order of the file, then hosts without one, then peers.
        let mut spots: BTreeSet<(bool, Spot)> = BTreeSet::new();
        let spot = |node: NodeId| match topology.node(node).site {
            Some(site) => (false, Spot::Site(site)),
            None => (true, Spot::Node(node)),
        };
        spots.extend((0..).map(NodeId).take(topology.nodes.len()).map(spot));
        let mut shapes: HashMap<(bool, Spot), Vec<usize>> = HashMap::new();
        for (class, members) in ends.classes.iter().enumerate() {
            for end in members {
                shapes.entry(spot(ends.all[*end].node)).or_default().push(class);
            }
        }
        let mut places: Vec<Place> = Vec::new();
        let mut rows: HashMap<(bool, Spot), usize> = HashMap::new();
        let mut folded: HashMap<Vec<usize>, usize> = HashMap::new();
        let fold = spots.len() > UNFOLDED;
        for spot in spots {
            let shape = shapes.remove(&spot).unwrap_or_default();
            if let Some(row) = folded.get(&shape).filter(|_| fold) {
                places[*row].count += 1;
                rows.insert(spot, *row);
                continue;
            }
            folded.insert(shape, places.len());
            rows.insert(spot, places.len());
            let (name, hosts) = match spot.1 {
                Spot::Site(site) => {
                    let here = topology.nodes.iter().filter(|node| node.site == Some(site));
                    let name = inventory.sites[site].name.value.to_string();
                    (name, here.map(|node| node.name.clone()).collect())
                }
                Spot::Node(node) => {
                    let name = &topology.node(node).name;
                    (name.to_string(), vec![name.clone()])
                }
            };
            places.push(Place { name, count: 1, hosts });
        }
        let rows = Self::new(topology, ends, |end| rows.get(&spot(ends.all[end].node)).copied());
        Self { places, ..rows }
    }
}

#[derive(Default)]
struct Cells(BTreeMap<(usize, usize), Cell>);

impl Cells {
    fn add(
        &mut self,
        rows: &Rows,
        ends: &Ends,
        verdict: &Verdict,
        wanted: bool,
        fault: Option<usize>,
    ) {
        let (Some(from), Some(to)) = (verdict.from, verdict.to) else { return };
        let lan = |class: usize| ends.all[ends.classes[class][0]].is_lan();
        let with_lan = lan(from) || lan(to);
        let works = verdict.result.is_ok();
        for (row, one) in &rows.crowds[from] {
            for (column, two) in &rows.crowds[to] {
                let flows = pairs(one, two, with_lan);
                if flows == 0 {
                    continue;
                }
                let cell = self.0.entry((*row, *column)).or_default();
                (cell.from, cell.to) = (*row, *column);
                cell.flows += flows;
                cell.reachable += if works { flows } else { 0 };
                cell.wanted += if wanted { flows } else { 0 };
                if let Some(fault) = fault {
                    cell.broken += flows;
                    cell.fault.get_or_insert(fault);
                }
            }
        }
    }

    fn finish(self) -> Vec<Cell> {
        self.0.into_values().collect()
    }
}

/// Pairs of ends that are at different spots.
fn pairs(one: &Crowd, two: &Crowd, with_lan: bool) -> u64 {
    let by_spot = |crowd: &Crowd| {
        let mut counts: HashMap<Spot, u64> = HashMap::new();
        for ((plain, lan), count) in crowd {
            *counts.entry(if with_lan { *lan } else { *plain }).or_default() += count;
        }
        counts
    };
    let (left, right) = (by_spot(one), by_spot(two));
    let (few, many) = if left.len() <= right.len() { (&left, &right) } else { (&right, &left) };
    let together: u64 = few.iter().map(|(spot, n)| n * many.get(spot).copied().unwrap_or(0)).sum();
    left.values().sum::<u64>() * right.values().sum::<u64>() - together
}

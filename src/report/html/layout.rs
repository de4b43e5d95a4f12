//! Where each box of the drawing stands: sites with their hosts, and hosts of no site.

use std::collections::BTreeMap;

use crate::inventory::Inventory;
use crate::topology::{InterfaceId, NodeId, NodeKind, Topology};

/// Boxes that are drawn.
pub(super) const MOST: usize = 4_000;
/// Boxes from which on all but hubs are folded: their names alone are drawn.
const FOLDED_FROM: usize = 120;
/// Width and height of a folded box, and what is between two of them.
pub(super) const TILE: (f64, f64) = (148.0, 26.0);
const BETWEEN: (f64, f64) = (10.0, 12.0);
/// Devices of one host that are drawn one by one; more of them share a box.
const DEVICES: usize = 6;
/// Boxes that stand on an ellipse; more of them stand in rows.
const ON_ELLIPSE: usize = 14;

pub(super) const ROW: f64 = 22.0;
pub(super) const COLUMN: f64 = 172.0;
pub(super) const HEAD: f64 = 40.0;
const MARGIN: f64 = 8.0;
const GAP: f64 = 56.0;
/// Between two boxes of one row.
const CLOSE: f64 = 36.0;
/// Width of a drawing in rows by its height.
const ASPECT: f64 = 1.35;
/// Hosts of a box in one column.
const TALL: usize = 10;

/// A box: a site, a host of no site, or the devices of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    /// The site, where it is one.
    pub(super) site: Option<usize>,
    /// Its nodes, in order of the file.
    pub(super) nodes: Vec<NodeId>,
    /// Whether its name alone is drawn.
    pub(super) tile: bool,
    /// Whether it has far more links than most.
    pub(super) hub: bool,
    /// Devices that it stands for without a row each, behind the first node.
    pub(super) folded: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Block {
    fn new(site: Option<usize>, nodes: Vec<NodeId>, folded: usize) -> Self {
        let columns = nodes.len().div_ceil(TALL).max(1);
        let rows = nodes.len().div_ceil(columns).max(1);
        let head = if site.is_some() { HEAD } else { 0.0 };
        let width = number(columns).mul_add(COLUMN, 2.0 * MARGIN);
        let height = number(rows).mul_add(ROW, 2.0f64.mul_add(MARGIN, head));
        Self { site, nodes, folded, width, height, ..Self::default() }
    }

    /// The middle of the left end of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (NodeId, f64, f64)> + '_ {
        let columns = self.nodes.len().div_ceil(TALL).max(1);
        let rows = self.nodes.len().div_ceil(columns).max(1);
        let head = if self.site.is_some() { HEAD } else { 0.0 };
        let (left, top) = (self.x - self.width / 2.0, self.y - self.height / 2.0);
        self.nodes.iter().enumerate().map(move |(index, node)| {
            let x = number(index / rows).mul_add(COLUMN, left + MARGIN);
            let y = (number(index % rows) + 0.5).mul_add(ROW, top + MARGIN + head);
            (*node, x, y)
        })
    }
}

/// The whole drawing.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) blocks: Vec<Block>,
    /// Whether boxes are folded.
    pub(super) folded: bool,
    /// Boxes that were left out.
    pub(super) left_out: usize,
    pub(super) width: f64,
    pub(super) height: f64,
    /// The box of each node.
    pub(super) of: BTreeMap<NodeId, usize>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of boxes are small")]
pub(super) const fn number(count: usize) -> f64 {
    count as f64
}

impl Layout {
    pub(super) fn new(inventory: &Inventory, topology: &Topology) -> Self {
        let mut blocks = blocks(inventory, topology);
        let left_out = blocks.len().saturating_sub(MOST);
        blocks.truncate(MOST);
        let mut of = BTreeMap::new();
        for (index, block) in blocks.iter().enumerate() {
            of.extend(block.nodes.iter().map(|node| (*node, index)));
        }
        let degrees = degrees(topology, &of, blocks.len());
        let inner = hubs(&degrees);
        for hub in &inner {
            blocks[*hub].hub = true;
        }
        let folded = blocks.len() > FOLDED_FROM;
        for block in blocks.iter_mut().filter(|block| folded && !block.hub) {
            block.tile = true;
            (block.width, block.height) = TILE;
        }
        let mut layout = Self { blocks, folded, left_out, of, ..Self::default() };
        if layout.blocks.len() <= ON_ELLIPSE {
            layout.ellipse(&inner);
        } else {
            layout.rows(&inner);
        }
        layout.frame();
        layout
    }

    /// Hubs in the middle, the others around them.
    fn ellipse(&mut self, inner: &[usize]) {
        let outer: Vec<usize> =
            (0..self.blocks.len()).filter(|index| !inner.contains(index)).collect();
        let widest = |of: &[usize], blocks: &[Block]| {
            of.iter()
                .map(|index| blocks[*index].width.max(blocks[*index].height))
                .fold(0.0, f64::max)
        };
        let mut reach = 0.0;
        for ring in [inner, &outer] {
            let size = widest(ring, &self.blocks) + GAP;
            let around = number(ring.len()) * size / 5.0;
            let least = if reach > 0.0 { reach + size } else { 0.0 };
            let a = if ring.len() < 2 && reach == 0.0 { 0.0 } else { around.max(least).max(size) };
            let b = (a * 0.62).max(if reach > 0.0 { reach.mul_add(0.62, 150.0) } else { 0.0 });
            for (index, (x, y)) in ring.iter().zip(spread(ring.len(), a, b)) {
                (self.blocks[*index].x, self.blocks[*index].y) = (x, y);
            }
            if !ring.is_empty() {
                reach = a + size / 2.0;
            }
        }
    }

    /// Rows as long as one another, each centred; hubs in the middle of the sequence, so that they
    /// stand in the middle of the drawing.
    fn rows(&mut self, inner: &[usize]) {
        let others: Vec<usize> =
            (0..self.blocks.len()).filter(|index| !inner.contains(index)).collect();
        let (first, second) = others.split_at(others.len() / 2);
        let order: Vec<usize> = first.iter().chain(inner).chain(second).copied().collect();
        let (beside, below) = if self.folded { BETWEEN } else { (CLOSE, GAP) };
        let area: f64 =
            self.blocks.iter().map(|block| (block.width + beside) * (block.height + below)).sum();
        let widest = self.blocks.iter().map(|block| block.width).fold(0.0, f64::max);
        let most = (area * ASPECT).sqrt().max(widest);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
        let mut filled = 0.0;
        for index in order {
            let width = self.blocks[index].width + beside;
            if filled + width > most + beside {
                rows.push(Vec::new());
                filled = 0.0;
            }
            filled += width;
            if let Some(row) = rows.last_mut() {
                row.push(index);
            }
        }
        let mut top = 0.0;
        for (at, row) in rows.iter().enumerate() {
            let length: f64 = row.iter().map(|index| self.blocks[*index].width + beside).sum();
            let height = row.iter().map(|index| self.blocks[*index].height).fold(0.0, f64::max);
            // Rows of equal boxes are shifted against one another: lines pass between them.
            let mut left = -length / 2.0 + if at % 2 == 0 { 0.0 } else { COLUMN / 3.0 };
            for index in row {
                let block = &mut self.blocks[*index];
                block.x = left + block.width / 2.0;
                block.y = top + height / 2.0;
                left += block.width + beside;
            }
            top += height + below;
        }
    }

    /// Moves everything to positive coordinates.
    fn frame(&mut self) {
        let edge = |of: &dyn Fn(&Block) -> f64, blocks: &[Block]| {
            blocks.iter().map(of).fold(f64::INFINITY, f64::min)
        };
        if self.blocks.is_empty() {
            (self.width, self.height) = (400.0, 80.0);
            return;
        }
        let left = edge(&|block| block.x - block.width / 2.0, &self.blocks) - 24.0;
        let top = edge(&|block| block.y - block.height / 2.0, &self.blocks) - 24.0;
        let right = -edge(&|block| -(block.x + block.width / 2.0), &self.blocks) + 24.0;
        let bottom = -edge(&|block| -(block.y + block.height / 2.0), &self.blocks) + 24.0;
        for block in &mut self.blocks {
            block.x -= left;
            block.y -= top;
        }
        (self.width, self.height) = (right - left, bottom - top);
    }
}

/// Sites with hosts, hosts of no site, and devices, each beside the host that it is linked to.
fn blocks(inventory: &Inventory, topology: &Topology) -> Vec<Block> {
    let mut sites: Vec<Vec<NodeId>> = vec![Vec::new(); inventory.sites.len()];
    let mut alone: Vec<NodeId> = Vec::new();
    let mut devices: BTreeMap<Option<NodeId>, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in (0..).map(NodeId).zip(&topology.nodes) {
        match (node.kind, node.site) {
            (NodeKind::Host(_), Some(site)) => sites[site].push(id),
            (NodeKind::Host(_), None) => alone.push(id),
            (NodeKind::Unmanaged(_), _) => {
                let peers = node.interfaces.iter().flat_map(|id| &topology.interface(*id).peers);
                let via = peers.map(|peer| topology.interface(peer.remote).node).min();
                devices.entry(via).or_default().push(id);
            }
        }
    }
    let hosts = sites
        .into_iter()
        .enumerate()
        .filter(|(_, nodes)| !nodes.is_empty())
        .map(|(site, nodes)| Block::new(Some(site), nodes, 0))
        .chain(alone.into_iter().map(|node| Block::new(None, vec![node], 0)));
    let mut blocks = Vec::new();
    for block in hosts {
        let own: Vec<Vec<NodeId>> =
            block.nodes.iter().filter_map(|node| devices.remove(&Some(*node))).collect();
        blocks.push(block);
        blocks.extend(own.into_iter().flat_map(shared));
    }
    blocks.extend(devices.into_values().flat_map(shared));
    blocks
}

/// The boxes of one host's devices.
fn shared(mut devices: Vec<NodeId>) -> Vec<Block> {
    if devices.len() <= DEVICES {
        return devices.into_iter().map(|node| Block::new(None, vec![node], 0)).collect();
    }
    let folded = devices.len().saturating_sub(2 * TALL);
    devices.truncate(2 * TALL);
    vec![Block::new(None, devices, folded)]
}

/// To how many other boxes each has a link.
fn degrees(topology: &Topology, of: &BTreeMap<NodeId, usize>, count: usize) -> Vec<usize> {
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (_, interface) in (0..).map(InterfaceId).zip(&topology.interfaces) {
        let Some(own) = of.get(&interface.node) else { continue };
        for peer in &interface.peers {
            if let Some(other) = of.get(&topology.interface(peer.remote).node)
                && other != own
            {
                near[*own].push(*other);
            }
        }
    }
    let distinct = |mut near: Vec<usize>| {
        near.sort_unstable();
        near.dedup();
        near.len()
    };
    near.into_iter().map(distinct).collect()
}

/// The few boxes that have far more links than most.
fn hubs(degrees: &[usize]) -> Vec<usize> {
    let mut sorted = degrees.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let hubs: Vec<usize> = (0..degrees.len())
        .filter(|index| degrees[*index] > 2 && degrees[*index] * 2 > median * 5)
        .collect();
    if hubs.len() * 3 > degrees.len() { Vec::new() } else { hubs }
}

/// Points on an ellipse at equal distances along it, from the top, clockwise.
fn spread(count: usize, a: f64, b: f64) -> Vec<(f64, f64)> {
    const STEPS: usize = 1440;
    let at = |step: usize| {
        let angle = number(step) / number(STEPS) * std::f64::consts::TAU;
        (a * angle.sin(), -b * angle.cos())
    };
    let mut along = vec![0.0_f64];
    for step in 1..=STEPS {
        let ((x0, y0), (x1, y1)) = (at(step - 1), at(step));
        along.push(along[step - 1] + (x1 - x0).hypot(y1 - y0));
    }
    let total = along[STEPS];
    (0..count)
        .map(|index| {
            let wanted = total * number(index) / number(count.max(1));
            at(along.partition_point(|length| *length < wanted).min(STEPS))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_has_its_hub_and_a_mesh_has_none() {
        assert_eq!(hubs(&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1]), [0]);
        assert!(hubs(&[3, 3, 3, 3]).is_empty());
        assert!(hubs(&[]).is_empty());
    }

    #[test]
    fn points_are_apart() {
        let points = spread(8, 300.0, 180.0);
        for (index, a) in points.iter().enumerate() {
            for b in &points[index + 1..] {
                assert!((a.0 - b.0).hypot(a.1 - b.1) > 120.0, "{points:?}");
            }
        }
    }
}

//! Hosts that are the same before and afterwards, as far as a walk sees.

use ipnet::IpNet;

use super::world::{Host, SIDES, Side, TunnelIndex, World};
use crate::inventory::Inventory;
use crate::topology::{Interface, Node, NodeKind};

/// Whether nothing of a host changes.
pub(super) fn is_same(world: &World<'_>, host: Host) -> bool {
    let [Some(old), Some(new)] = world.hosts[host].ids else { return false };
    let at = [(Side::Old, old), (Side::New, new)].map(|(side, id)| {
        let (inventory, topology) = world.state(side);
        (inventory, topology.node(id))
    });
    let interfaces = SIDES.map(|side| -> Vec<TunnelIndex> {
        let (_, node) = at[side as usize];
        node.interfaces.iter().map(|id| world.tunnel(side, *id)).collect()
    });
    let nets = |node: &Node| -> Vec<IpNet> { node.subnets.iter().map(|net| net.value).collect() };
    let [(_, a), (_, b)] = at;
    place(at[0]) == place(at[1])
        && nets(a) == nets(b)
        && a.nat.value == b.nat.value
        && a.forwards.families() == b.forwards.families()
        && a.masquerade.value == b.masquerade.value
        && a.exit.value == b.exit.value
        && interfaces[0] == interfaces[1]
        && interfaces[0].iter().all(|tunnel| is_same_tunnel(world, *tunnel))
}

/// Where a host is, and what it says of itself that its neighbours look at.
fn place<'a>((inventory, node): (&'a Inventory, &'a Node)) -> impl PartialEq + use<'a> {
    let site = node.site.map(|site| &inventory.sites[site]);
    let site = site.map(|site| {
        let subnets: Vec<IpNet> = site.subnets.iter().map(|net| net.value).collect();
        (&site.name.value, site.underlay.name.as_ref().map(|name| &name.value), subnets)
    });
    let masks = match node.kind {
        NodeKind::Host(host) => inventory.hosts[host].settings.masquerade.get(),
        NodeKind::Unmanaged(_) => false,
    };
    (site, masks, node.is_ours(inventory))
}

fn is_same_tunnel(world: &World<'_>, tunnel: TunnelIndex) -> bool {
    let own = &world.tunnels[tunnel];
    let [Some(old), Some(new)] = own.ids else { return false };
    let states = SIDES.map(|side| world.state(side));
    let (a, b) = (states[0].1.interface(old), states[1].1.interface(new));
    let nets =
        |own: &Interface| -> Vec<IpNet> { own.addresses.iter().map(|addr| addr.value).collect() };
    let told = |side: Side, own: &Interface| {
        let (inventory, topology) = states[side as usize];
        let settings = topology.membership(inventory, own).map(|(_, own)| &own.settings);
        settings.map(|own| {
            let (outer, local) = (own.endpoint.as_ref(), own.local_endpoint.as_ref());
            (outer.map(|one| one.value.clone()), local.map(|one| one.value.clone()))
        })
    };
    own.is_plain()
        && nets(a) == nets(b)
        && a.listen_port.value == b.listen_port.value
        && a.table.value == b.table.value
        && a.name.value == b.name.value
        && a.peers.len() == b.peers.len()
        && told(Side::Old, a) == told(Side::New, b)
        && a.peers.iter().zip(&b.peers).all(|(one, other)| {
            world.tunnel(Side::Old, one.remote) == world.tunnel(Side::New, other.remote)
                && one.allowed_ips.value == other.allowed_ips.value
                && one.address() == other.address()
                && one.heard == other.heard
                && one.keepalive() == other.keepalive()
        })
}

//! Cables, addresses and routes of a lab, as lines for `ip -batch`.
//!
//! Everything on the underlay is point to point: a host has its addresses as /32 and /128 and a
//! default route to an address of its router, so any literal endpoint of an inventory can be given
//! to any host. IPv6 link-local addresses are given, not generated: duplicate address detection of
//! hundreds of hosts would be most of the work of starting them, but without any such address the
//! kernel cannot ask for the neighbour of a packet that it forwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::Spec;
use super::spec::{Cabling, HostSpec, Node, Router};
use crate::model::Family;

/// The gateway addresses that hosts behind a NAT see; each NAT router has the same.
pub(super) const NAT_GATEWAYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1)),
];

/// A router's interface towards `internet`.
pub(super) const UPLINK: &str = "up0";

/// A host's, and a LAN client's, management or LAN switch.
const BRIDGE: &str = "br0";

/// An address of an interface, usable at once.
fn address(addr: IpAddr, length: u8, interface: &str) -> String {
    let nodad = if addr.is_ipv6() { " nodad" } else { "" };
    format!("addr replace {addr}/{length} dev {interface}{nodad}")
}

const fn full(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Interface indices of near ends begin here, far above those that the kernel gives to far ends:
/// where both ends of a cable have the same index the kernel does not see that it is one, and
/// tells a switch up to a second late that its port is up (linkwatch).
const NEAR_INDEX: usize = 1_000_000;

/// The link-local address of whatever is above.
const ABOVE: IpAddr = link_local(1);

/// The link-local address of whatever hangs off a router.
const BELOW: IpAddr = link_local(2);

const fn link_local(n: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n))
}

/// The hardware address of a near end. It stays over a power cut as a network card's does, so that
/// nobody's neighbour table is wrong afterwards.
fn hardware(below: Node, number: usize) -> String {
    let (kind, index) = match below {
        Node::Host(index) => (0, index),
        Node::Router(index) => (1, index),
        Node::Lan(index) => (2, index),
        Node::Controller => (3, 0),
    };
    // 2^16 nodes of a kind and 2^6 cables each: far beyond what a machine carries.
    let [.., high, low] = index.to_be_bytes();
    let [.., number] = number.to_be_bytes();
    format!("02:57:47:{:02x}:{high:02x}:{low:02x}", (kind << 6) | (number & 0x3f))
}

/// What is at the far end of a cable.
struct Far {
    node: Node,
    port: String,
}

/// A pair of interfaces, the near one in this namespace and the far one in another.
fn cable(near: (&str, usize), below: Node, far: &Far, pins: &Path, mtu: u16) -> [String; 2] {
    let (near, number) = near;
    let hardware = hardware(below, number);
    let Far { node, port } = far;
    let index = NEAR_INDEX + number;
    let pin = pins.join(node.id());
    [
        format!(
            "link add {near} address {hardware} mtu {mtu} index {index} type veth peer name {port} mtu {mtu} netns {}",
            pin.display()
        ),
        format!("link set {near} addrgenmode none up"),
    ]
}

/// The lower end of a cable to a router: addresses and default routes.
fn lower_end(cabling: &Cabling, interface: &str, gateways: &[IpAddr]) -> Vec<String> {
    let mut lines: Vec<String> =
        cabling.all().map(|addr| address(addr, full(addr), interface)).collect();
    lines.push(address(BELOW, 64, interface));
    for gateway in gateways {
        if let Some(source) = cabling.source(Family::of_addr(gateway)) {
            lines.push(format!(
                "route add default via {gateway} dev {interface} onlink src {source}"
            ));
        }
    }
    lines
}

/// The upper end of a cable to a router: its gateway addresses and the routes downwards.
fn upper_end(
    port: &str,
    gateways: &[IpAddr],
    below: impl IntoIterator<Item = IpAddr>,
) -> Vec<String> {
    let mut lines = vec![format!("link set {port} addrgenmode none up"), address(ABOVE, 64, port)];
    lines.extend(gateways.iter().map(|addr| address(*addr, full(*addr), port)));
    lines.extend(
        below.into_iter().map(|addr| format!("route replace {addr}/{} dev {port}", full(addr))),
    );
    lines
}

/// The gateways that one of a router's cables sees.
fn gateways<'a>(router: &'a Router, cabling: &Cabling) -> &'a [IpAddr] {
    if cabling.nat { &NAT_GATEWAYS } else { &router.gateways }
}

/// What a host's own namespace is given: all its cables, addresses and routes.
pub(super) fn host(spec: &Spec, index: usize, pins: &Path) -> Vec<String> {
    let host = &spec.hosts[index];
    let own = Node::Host(index);
    let port = own.id();
    let router = &spec.routers[host.uplink.router];
    let mut lines = vec!["link set lo up".to_owned()];
    lines.extend(host.loopback.iter().map(|addr| address(*addr, full(*addr), "lo")));
    let far = |node| Far { node, port: port.clone() };
    lines.extend(cable(
        ("eth0", 0),
        own,
        &far(Node::Router(host.uplink.router)),
        pins,
        host.uplink.mtu,
    ));
    lines.extend(lower_end(&host.uplink, "eth0", gateways(router, &host.uplink)));
    lines.extend(cable(("mgmt0", 1), own, &far(Node::Controller), pins, 1500));
    let length = spec.management.prefix_len();
    lines.push(address(IpAddr::V4(host.management), length, "mgmt0"));
    for (n, (lan, addr)) in host.lans.iter().enumerate() {
        let interface = format!("lan{n}");
        lines.extend(cable((&interface, 2 + n), own, &far(Node::Lan(*lan)), pins, 1500));
        lines.push(address(addr.addr(), addr.prefix_len(), &interface));
        if let Ok(unique) = u16::try_from(index + 2) {
            lines.push(address(link_local(unique), 64, &interface));
        }
    }
    lines
}

/// A host's interfaces that are cables.
pub(super) fn host_cables(host: &HostSpec) -> impl Iterator<Item = String> {
    let lans = (0..host.lans.len()).map(|n| format!("lan{n}"));
    ["eth0".to_owned(), "mgmt0".to_owned()].into_iter().chain(lans)
}

/// What other namespaces need once the host's cables are there: the far ends.
pub(super) fn host_ports(spec: &Spec, index: usize) -> Vec<(Node, Vec<String>)> {
    let host: &HostSpec = &spec.hosts[index];
    let port = Node::Host(index).id();
    let router = &spec.routers[host.uplink.router];
    let plug = |port: &str| format!("link set {port} addrgenmode none master {BRIDGE} up");
    let mut ends = vec![
        (
            Node::Router(host.uplink.router),
            upper_end(&port, gateways(router, &host.uplink), host.uplink.all()),
        ),
        (Node::Controller, vec![plug(&port)]),
    ];
    ends.extend(host.lans.iter().map(|(lan, _)| (Node::Lan(*lan), vec![plug(&port)])));
    ends
}

/// The routes of `internet` to the hosts behind a router.
fn behind(spec: &Spec, index: usize, port: &str) -> Vec<String> {
    let hosts = spec.hosts.iter().filter(|host| host.uplink.router == index && !host.uplink.nat);
    let addresses = hosts.flat_map(|host| &host.uplink.addresses);
    let routes = addresses.filter_map(|addr| {
        let family = Family::of_addr(addr);
        let via = spec.routers[index].gateways.iter().find(|via| Family::of_addr(via) == family)?;
        Some(format!("route replace {addr}/{} via {via} dev {port} onlink", full(*addr)))
    });
    routes.collect()
}

/// What the namespace of a router is given before any host is cabled to it.
pub(super) fn router(spec: &Spec, index: usize, pins: &Path) -> Vec<String> {
    let router = &spec.routers[index];
    let mut lines = vec!["link set lo up".to_owned()];
    let Some(uplink) = &router.uplink else {
        lines.extend(spec.internet.iter().map(|addr| address(*addr, full(*addr), "lo")));
        return lines;
    };
    let far = Far { node: Node::Router(uplink.router), port: Node::Router(index).id() };
    lines.extend(cable((UPLINK, 0), Node::Router(index), &far, pins, uplink.mtu));
    lines.extend(lower_end(uplink, UPLINK, &spec.routers[uplink.router].gateways));
    lines
}

/// What `internet` needs once the cable of a site's router is there.
pub(super) fn router_port(spec: &Spec, index: usize) -> Option<(Node, Vec<String>)> {
    let uplink = spec.routers[index].uplink.as_ref()?;
    let port = Node::Router(index).id();
    let above = &spec.routers[uplink.router].gateways;
    let mut lines = upper_end(&port, above, uplink.all());
    lines.extend(behind(spec, index, &port));
    Some((Node::Router(uplink.router), lines))
}

/// A switch with one address of its own.
fn switch(addr: IpAddr, length: u8) -> Vec<String> {
    vec![
        "link set lo up".to_owned(),
        format!("link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
        format!("link set {BRIDGE} addrgenmode none up"),
        address(addr, length, BRIDGE),
    ]
}

/// What the namespace of a LAN is given: the switch is the client.
pub(super) fn lan(spec: &Spec, index: usize) -> Vec<String> {
    let lan = &spec.lans[index];
    let mut lines = switch(lan.client.addr(), lan.client.prefix_len());
    lines.push(format!("route add default via {} dev {BRIDGE}", lan.gateway));
    lines
}

/// What the management namespace is given.
pub(super) fn management(spec: &Spec) -> Vec<String> {
    let first = spec.management.hosts().next().unwrap_or_else(|| spec.management.addr());
    switch(IpAddr::V4(first), spec.management.prefix_len())
}

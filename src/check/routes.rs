//! Kernel routes: one interface for each prefix, and a host's own LAN left alone.

use std::collections::HashMap;

use ipnet::IpNet;

use super::clashes::{in_main, routed};
use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::Inventory;
use crate::model::{Located, Location};
use crate::topology::{self, Because, Interface, Node, Topology};

/// One prefix that two interfaces of one host route: the second `ip route add` fails, and wg-quick
/// takes its interface down again.
pub(super) fn twice(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    // A LAN that two networks lead to clashes on every host that is in both: one finding, counted.
    let mut findings: Folded<(Location, usize, usize)> = Folded::new();
    for node in topology.nodes.iter().filter(|node| node.interfaces.len() > 1) {
        let mut first: HashMap<IpNet, (&Interface, usize)> = HashMap::new();
        let interfaces = node.interfaces.iter().map(|id| topology.interface(*id));
        for interface in interfaces.filter(|interface| in_main(interface)) {
            for (net, index) in routed(interface) {
                let Some((other, theirs)) = first.get(&net) else {
                    first.insert(net, (interface, index));
                    continue;
                };
                if std::ptr::eq(*other, interface) {
                    continue;
                }
                let one = place(inventory, topology, (other, *theirs), net);
                let two = place(inventory, topology, (interface, index), net);
                let key = (two, other.network, interface.network);
                let ends = ((*other, *theirs, one), (interface, index, two));
                findings.add(key, || clash(inventory, topology, node, net, ends));
            }
        }
    }
    findings.into_findings()
}

fn place(
    inventory: &Inventory,
    topology: &Topology,
    (interface, peer): (&Interface, usize),
    net: IpNet,
) -> Location {
    let remote = topology.interface(interface.peers[peer].remote);
    topology::origin(inventory, topology, interface, remote, &net)
        .at()
        .unwrap_or(topology.node(remote.node).at)
}

/// An interface, the peer that has the prefix, and where that is written.
type RoutedInterface<'t> = (&'t Interface, usize, Location);

fn clash(
    inventory: &Inventory,
    topology: &Topology,
    node: &Node,
    net: IpNet,
    ((one, first, at_one), (two, second, at_two)): (RoutedInterface<'_>, RoutedInterface<'_>),
) -> Finding {
    let network = |interface: &Interface| &inventory.networks[interface.network].name;
    let far = |interface: &Interface, peer: usize| topology.remote(&interface.peers[peer]);
    let title = format!("{} and {} of `{}` both route {net}", one.name, two.name, node.name);
    let mut finding = Finding::new(Code::RouteTwice, title, at_two).label(format!(
        "through {} by `{}`",
        two.name,
        far(two, second).name
    ));
    finding = if at_one == at_two {
        finding.also(network(one).at, "one way to it").also(network(two).at, "the other")
    } else {
        finding.also(at_one, format!("through {} by `{}`", one.name, far(one, first).name))
    };
    finding = finding.also(node.at, "is in both networks");
    if net.prefix_len() == 0 {
        finding.severity = Severity::Warning;
        return finding
            .help("whichever comes up last gets everything: let one of them be the full tunnel");
    }
    finding.help(format!(
        "the kernel has one route for a prefix: the second `ip route add` says \"File exists\" and \
         wg-quick deletes the interface. Let one network lead there: take one end out of `{}` or \
         `{}`",
        network(one).value,
        network(two).value
    ))
}

/// A peer that has the very prefix of a LAN that the host is on.
pub(super) fn lans(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<(Location, Location)> = Folded::new();
    for interface in topology.interfaces.iter().filter(|interface| in_main(interface)) {
        let node = topology.node(interface.node);
        let site = node.site.map(|site| inventory.sites[site].subnets.as_slice());
        let own: Vec<Located<IpNet>> = node
            .subnets
            .iter()
            .chain(site.into_iter().flatten())
            .map(|lan| lan.clone().map(|net| net.trunc()))
            .collect();
        if own.is_empty() || !node.is_ours(inventory) {
            continue;
        }
        for peer in &interface.peers {
            let taken = own.iter().enumerate().filter(|(at, lan)| {
                let before = own[..*at].iter().any(|other| other.value == lan.value);
                !before && peer.allowed_ips.contains(&lan.value)
            });
            for (_, lan) in taken {
                let net = &lan.value;
                let remote = topology.interface(peer.remote);
                let far_at = topology.remote(peer).at;
                let because = topology::origin(inventory, topology, interface, remote, net);
                let overridden = matches!(because, Because::Override(_));
                let (primary, second) = match because {
                    Because::Override(at) => (at, lan.at),
                    _ => (lan.at, far_at),
                };
                findings.add((primary, second), || {
                    let far = &topology.remote(peer).name;
                    let title = format!(
                        "`{}` is on {net}, and {} takes it to `{far}`",
                        node.name, interface.name
                    );
                    let (label, other) = if overridden {
                        ("its own LAN".to_owned(), "the LAN".to_owned())
                    } else {
                        (format!("the LAN of `{}` too", node.name), "routes it for all".to_owned())
                    };
                    Finding::new(Code::LanTaken, title, primary)
                        .label(label)
                        .also(second, other)
                        .also(node.at, "a host of this LAN")
                        .help(format!(
                            "the LAN's own route has the same prefix: wg-quick fails with \"File \
                             exists\", or hijacks the LAN where that route has a metric. Take \
                             {net} out of the AllowedIPs of `{far}` (`peers: {{ {far}: {{ \
                             allowed_ips: […] }} }}` under `{}`), or set `table: off`",
                            node.name
                        ))
                });
            }
        }
    }
    findings.into_findings()
}

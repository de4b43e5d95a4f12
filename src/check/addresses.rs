//! Tunnel addresses: within their network, usable, and on one interface alone.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::finding::{Code, Finding};
use crate::inventory::{Declared, Inventory, Network, usable};
use crate::model::{Family, HostName, Located, Location, covers};
use crate::topology::Topology;

/// Every declared address with its network and who declares it.
fn declared(
    inventory: &Inventory,
) -> impl Iterator<Item = (usize, &Located<HostName>, &Declared<IpAddr>)> {
    let hosts = inventory.hosts.iter().flat_map(|host| {
        host.interfaces.iter().flat_map(move |interface| {
            interface.addresses().iter().map(move |addr| (interface.network, &host.name, addr))
        })
    });
    let peers = inventory
        .peers
        .iter()
        .flat_map(|peer| peer.addresses().iter().map(move |addr| (peer.network, &peer.name, addr)));
    hosts.chain(peers)
}

/// A declared address lies within a prefix of its network, and a host can have it.
pub(super) fn members(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    declared(inventory)
        .filter_map(|(network, _, addr)| member(&inventory.networks[network], addr))
        .collect()
}

fn member(network: &Network, addr: &Declared<IpAddr>) -> Option<Finding> {
    let name = &network.name.value;
    let family = Family::of_addr(&addr.value);
    let Some(prefix) = network.prefixes.iter().find(|net| Family::of(&net.value) == family) else {
        return Some(
            Finding::new(
                Code::AddressOutsidePrefix,
                format!("network `{name}` has no {family} prefix for {}", addr.value),
                addr.at,
            )
            .also(network.name.at, "the network")
            .help(format!("add an {family} prefix to `{name}`, or remove the address")),
        );
    };
    if !prefix.value.contains(&addr.value) {
        return Some(
            Finding::new(
                Code::AddressOutsidePrefix,
                format!("{} is outside of {}", addr.value, prefix.value),
                addr.at,
            )
            .label(format!("not in network `{name}`"))
            .also(prefix.at, format!("the {family} prefix of `{name}`"))
            .help("choose an address within the prefix, or leave it out: one is allocated"),
        );
    }
    if !usable(&prefix.value, addr.value) {
        let what = if addr.value == prefix.value.network() { "first" } else { "last" };
        return Some(
            Finding::new(
                Code::UnusableAddress,
                format!("no host can have the {what} address of {}", prefix.value),
                addr.at,
            )
            .also(prefix.at, "the prefix")
            .help("choose another address, or leave it out: one is allocated"),
        );
    }
    None
}

/// Two members of one network that declare one address. (An allocated address never clashes; a
/// declared one that is pinned to somebody else is reported where addresses are allocated.)
pub(super) fn duplicates(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut first: HashMap<(usize, IpAddr), (&HostName, Location)> = HashMap::new();
    let mut findings = Vec::new();
    for (network, name, addr) in declared(inventory) {
        let key = (network, addr.value);
        let Some((other, at)) = first.get(&key) else {
            first.insert(key, (&name.value, addr.at));
            continue;
        };
        let title = format!("{} is the address of `{other}` and of `{}`", addr.value, name.value);
        findings.push(
            Finding::new(Code::DuplicateAddress, title, addr.at)
                .label(format!("of `{}`", name.value))
                .also(*at, format!("of `{other}`"))
                .help("give one of them another address, or leave it out: one is allocated"),
        );
    }
    findings
}

/// Two networks of one host whose prefixes overlap: the routes of one would take the other's
/// traffic.
pub(super) fn networks(inventory: &Inventory, _topology: &Topology) -> Vec<Finding> {
    let mut together: BTreeSet<(usize, usize)> = BTreeSet::new();
    for host in &inventory.hosts {
        for (index, a) in host.interfaces.iter().enumerate() {
            for b in &host.interfaces[index + 1..] {
                together.insert((a.network.min(b.network), a.network.max(b.network)));
            }
        }
    }
    let mut findings = Vec::new();
    for (a, b) in together {
        let (one, two) = (&inventory.networks[a], &inventory.networks[b]);
        for first in &one.prefixes {
            for second in &two.prefixes {
                if covers(&first.value, &second.value) || covers(&second.value, &first.value) {
                    findings.push(
                        Finding::new(
                            Code::NetworksOverlap,
                            format!(
                                "networks `{}` and `{}` overlap, and a host is in both",
                                one.name.value, two.name.value
                            ),
                            second.at,
                        )
                        .label(format!("overlaps {}", first.value))
                        .also(first.at, format!("of `{}`", one.name.value))
                        .help("give each network a prefix of its own"),
                    );
                }
            }
        }
    }
    findings
}

//! What `check` calls an error on the way of a flow, `why` does not call reached.

use std::net::IpAddr;

use proptest::prelude::*;
use wgfleet::check::walk::{Act, Doubt, Packet, Place, Start, Step, Walker};
use wgfleet::check::{self, entry, pairs, tables::Tables};
use wgfleet::finding::{Code, Finding, Severity};
use wgfleet::inventory::Inventory;
use wgfleet::topology::{InterfaceId, Topology};

/// Fleets that a run tries unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 150;

/// The names in a title, in order.
fn names(title: &str) -> Vec<&str> {
    title.split('`').skip(1).step_by(2).collect()
}

/// Whether an error is about something that a step uses.
fn concerns(topology: &Topology, finding: &Finding, step: &Step, addr: IpAddr) -> bool {
    let (Some(own), Act::Send(remote)) = (step.interface, step.act) else { return false };
    let names = names(&finding.title);
    let name = |id: InterfaceId| topology.node(topology.interface(id).node).name.as_str();
    // Either end's entry for the other: a session has both.
    let of_link = |(a, b): (InterfaceId, InterfaceId)| {
        let Some(peer) = entry(topology, a, b) else { return false };
        let places = [topology.endpoint_at(peer), peer.at()];
        names.starts_with(&[name(a), name(b)]) && places.contains(&finding.primary.at)
    };
    let of_node = |id: InterfaceId, addr: IpAddr| {
        let words = finding.title.split([' ', ',']);
        let mut nets = words.filter_map(|word| word.parse::<ipnet::IpNet>().ok());
        let lists = topology.interface(id).peers.iter().flat_map(|peer| peer.allowed_ips.iter());
        let longest = lists.filter(|net| net.contains(&addr)).max_by_key(|net| net.prefix_len());
        // Another interface of the host may have the error.
        let twice = |net: &ipnet::IpNet| {
            let peers = topology.interface(id).peers.iter();
            peers.filter(|peer| peer.allowed_ips.contains(net)).count() > 1
        };
        names.first() == Some(&name(id)) && nets.any(|net| longest == Some(&net) && twice(&net))
    };
    match finding.code {
        Code::EndpointInTunnel | Code::PrivateEndpoint | Code::NoInitiator => {
            of_link((own, remote)) || of_link((remote, own))
        }
        Code::NoListenPort => {
            let told = |(a, b)| {
                let place = entry(topology, a, b).map(|peer| topology.endpoint_at(peer));
                names.starts_with(&[name(b), name(a)]) && place == Some(finding.primary.at)
            };
            told((own, remote)) || told((remote, own))
        }
        Code::DuplicateAllowedIp => of_node(own, addr),
        Code::PortClash | Code::InterfaceClash => [own, remote].into_iter().any(|id| {
            let several = topology.node(topology.interface(id).node).interfaces.len() > 1;
            finding.title.starts_with("two interfaces of") && several && names[0] == name(id)
        }),
        Code::RouteTwice => [own, remote].into_iter().any(|id| {
            let interface = topology.interface(id).name.as_str();
            names[0] == name(id) && finding.title.split(' ').any(|word| word == interface)
        }),
        _ => false,
    }
}

fn agree(inventory: &Inventory, topology: &Topology) -> Result<usize, TestCaseError> {
    let found = check::check(inventory, topology);
    let errors: Vec<&Finding> =
        found.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let tables = Tables::new(inventory, topology);
    let walker = Walker::new(inventory, &tables, Doubt::Fails);
    let mut reached = 0;
    for pair in pairs(inventory, topology).into_iter().filter(|pair| pair.cause.is_none()) {
        let node = pair.from.node;
        let lan = pair.from.network.is_none();
        let start = if lan { Start::Through(node) } else { Start::Node(node) };
        let packet = Packet { source: pair.from.addr, destination: pair.to.addr };
        let out = walker.walk(start, packet, &[]);
        let Ok(Place::Node(far) | Place::Lan(far)) = out.end else { continue };
        let lan = pair.to.network.is_none();
        let start = if lan { Start::Through(far) } else { Start::Node(far) };
        let reply = Packet { source: packet.destination, destination: packet.source };
        let back = walker.walk(start, reply, &out.steps);
        reached += 1;
        for walk in [&out, &back] {
            for step in &walk.steps {
                for error in &errors {
                    let addr = walk.packet.destination;
                    prop_assert!(
                        !concerns(topology, error, step, addr),
                        "{:?} is reached, and {}: {:?}",
                        packet,
                        error.code,
                        error.title
                    );
                }
            }
        }
    }
    Ok(reached)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(CASES)) })]

    #[test]
    fn no_flow_is_reached_over_what_check_calls_an_error(spec in super::spec()) {
        let (inventory, topology) = super::fleet(&spec);
        agree(&inventory, &topology)?;
    }
}

//! Laws of headers: where traffic of a host moves, its header does not say that nothing is disrupted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use wgfleet::model::{HostName, PublicKey};
use wgfleet::observed::ObservedHost;
use wgfleet::plan::{Disruption, HostState};

use crate::drift::live;
use crate::fleet::spec;
use crate::plan::config;
use crate::world::{World, facts, plan};

/// The peer that a host sends packets for an address to.
fn next(
    host: &ObservedHost,
    names: &BTreeMap<PublicKey, HostName>,
    addr: IpAddr,
) -> Option<(String, HostName)> {
    let peers = host.interfaces.iter().flat_map(|(name, own)| {
        own.peers.iter().map(move |(key, peer)| (name, key, &peer.allowed_ips))
    });
    let matching = peers.filter_map(|(interface, key, nets)| {
        let length =
            nets.iter().filter(|net| net.contains(&addr)).map(ipnet::IpNet::prefix_len).max()?;
        Some((length, interface.to_string(), names.get(key)?.clone()))
    });
    matching.max_by_key(|(length, ..)| *length).map(|(_, interface, name)| (interface, name))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_header_says_so_where_traffic_moves(old in spec(), new in spec(), facts in facts(), kept in any::<bool>()) {
        let mut new = new;
        if kept {
            new.hosts.clone_from(&old.hosts);
        }
        let (before, after) = (old.desired(), new.desired());
        let mut names: BTreeMap<PublicKey, HostName> = (*before.names).clone();
        names.extend((*after.names).clone());
        let ends = after.hosts.iter().flat_map(|host| &host.interfaces);
        let ends: Vec<IpAddr> = ends.flat_map(|own| &own.addresses).map(ipnet::IpNet::addr).collect();
        for index in 0..before.hosts.len().min(after.hosts.len()) {
            let (first, mut world) = plan(&before, index, &old.vault, &World::new(facts.clone()), &before.names);
            if first.state != HostState::Ready {
                continue;
            }
            live(&mut world);
            let (second, later) = plan(&after, index, &new.vault, &world, &names);
            if second.state != HostState::Ready {
                continue;
            }
            for end in &ends {
                let (was, is) = (next(&world.host, &names, *end), next(&later.host, &names, *end));
                if was.is_some() && was != is {
                    prop_assert!(second.disruption > Disruption::None, "{end}: {was:?} {is:?}\n{:#?}\n{}\n{}", second.changes, old.yaml(), new.yaml());
                }
            }
        }
    }
}

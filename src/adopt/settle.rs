//! What follows from a draft, held against what is known: where they differ, the draft says so itself.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::draft::Draft;
use super::fabric::Fabric;
use super::known::{KnownInterface, KnownPeer};
use super::meaning::Meaning;
use super::remark::{Remark, Topic};
use super::sketch::has_psk;
use super::text;
use crate::model::{HostName, Keepalive, RouteTable};
use crate::topology::{Interface, Peer};

/// An interface with what is known of it.
struct Pair<'m, 'k> {
    end: usize,
    derived: &'m Interface,
    known: &'k KnownInterface,
}

/// All interfaces of hosts.
fn interfaces<'m, 'k>(
    draft: &'m Draft,
    meaning: &'m Meaning,
    fabric: &'m Fabric<'k>,
    names: &'m [HostName],
) -> impl Iterator<Item = Pair<'m, 'k>> {
    (0..fabric.ends.len()).filter_map(move |end| {
        let known = fabric.interface(end)?;
        let id = meaning.member(draft, fabric.ends[end].network, &names[end])?;
        Some(Pair { end, derived: meaning.topology.interface(id), known })
    })
}

impl Pair<'_, '_> {
    /// Its peers in the topology, each with its end.
    fn peers<'a>(
        &'a self,
        meaning: &'a Meaning,
        fabric: &'a Fabric<'_>,
        names: &'a [HostName],
    ) -> impl Iterator<Item = (usize, &'a Peer)> {
        self.derived.peers.iter().filter_map(move |peer| {
            let name = &meaning.topology.remote(peer).name;
            let mut linked = fabric.ends[self.end].linked.iter();
            Some((*linked.find(|end| names[**end] == *name)?, peer))
        })
    }
}

fn set(nets: &[IpNet]) -> BTreeSet<IpNet> {
    nets.iter().map(IpNet::trunc).collect()
}

/// How many lists of `AllowedIPs` of a network do not follow from the draft.
pub(super) fn differing_lists(
    draft: &Draft,
    meaning: &Meaning,
    fabric: &Fabric<'_>,
    names: &[HostName],
    network: usize,
) -> usize {
    let mut differing = 0;
    for pair in interfaces(draft, meaning, fabric, names) {
        if fabric.ends[pair.end].network != network {
            continue;
        }
        for (other, peer) in pair.peers(meaning, fabric, names) {
            let known = fabric.told(pair.end, other);
            differing +=
                usize::from(known.is_some_and(|known| {
                    set(&known.allowed_ips) != set(&peer.allowed_ips.whole())
                }));
        }
    }
    differing
}

/// Writes into the draft what differs from what follows from it.
pub(super) fn settle(
    draft: &mut Draft,
    meaning: &Meaning,
    fabric: &Fabric<'_>,
    names: &[HostName],
) {
    let before = draft.clone();
    for pair in interfaces(&before, meaning, fabric, names) {
        let network = fabric.ends[pair.end].network;
        let of_network = before.networks[network].psk;
        let Some(host) = draft.hosts.iter_mut().find(|host| host.name == names[pair.end]) else {
            continue;
        };
        let (known, derived) = (pair.known, pair.derived);
        let mut keepalives: Vec<(usize, Option<Keepalive>, Option<Keepalive>)> = Vec::new();
        for (other, peer) in pair.peers(meaning, fabric, names) {
            let is_host = fabric.ends[other].of.is_some();
            let pair_has = has_psk(fabric, pair.end, other);
            let own =
                before.peers.iter().find(|peer| peer.name == names[other]).map(|peer| peer.psk);
            let told = if is_host { of_network } else { own == Some(true) };
            // Of two hosts, the one says it that comes first.
            let psk = (pair_has != told && (!is_host || pair.end < other)).then_some(pair_has);
            let Some(known) = fabric.told(pair.end, other) else { continue };
            keepalives.push((other, known.keepalive, peer.keepalive()));
            let lists = set(&known.allowed_ips) != set(&peer.allowed_ips.whole());
            let endpoint =
                known.endpoint.as_ref().filter(|endpoint| Some(*endpoint) != peer.address());
            let endpoint = endpoint.filter(|_| !pair.known.is_live);
            if psk.is_none() && !lists && endpoint.is_none() {
                continue;
            }
            let own = host.override_of(&names[other]);
            own.psk = psk;
            own.endpoint = endpoint.cloned();
            own.allowed_ips = lists.then(|| set(&known.allowed_ips).into_iter().collect());
        }
        let first = keepalives.first().map(|(_, known, _)| *known);
        let same = keepalives.iter().all(|(_, known, _)| Some(*known) == first);
        let wrong = keepalives.iter().filter(|(_, known, derived)| known != derived);
        let wrong: Vec<_> = wrong.copied().collect();
        let on_host = same && (wrong.len() > 1 || (wrong.len() == 1 && keepalives.len() == 1));
        for (other, known, _) in &wrong {
            if !on_host {
                host.override_of(&names[*other]).keepalive = Some(*known);
            }
        }
        let Some(member) = host.member(network) else { continue };
        if on_host {
            member.tuning.keepalive = first;
        }
        let full = |nets: &[IpNet]| nets.iter().all(|net| net.prefix_len() == net.max_prefix_len());
        let addresses: Vec<IpNet> = derived.addresses.iter().map(|addr| addr.value).collect();
        if let Some(own) = &known.addresses
            && full(own)
            && !full(&addresses)
        {
            member.tuning.on_link = Some(false);
        }
        if known.listen_port.is_some() && known.listen_port != derived.listen_port.value {
            member.tuning.listen_port = known.listen_port;
        }
        if known.mtu.is_some_and(|mtu| mtu != derived.mtu.value) {
            member.tuning.mtu = known.mtu;
        }
    }
}

/// Tells what still differs.
pub(super) fn remaining(
    draft: &Draft,
    meaning: &Meaning,
    fabric: &Fabric<'_>,
    names: &[HostName],
    remarks: &mut Vec<Remark>,
) {
    for pair in interfaces(draft, meaning, fabric, names) {
        let name = &names[pair.end];
        let (known, derived) = (pair.known, pair.derived);
        if let Some(own) = &known.addresses {
            let own: BTreeSet<IpNet> = own.iter().copied().collect();
            let new: BTreeSet<IpNet> = derived.addresses.iter().map(|addr| addr.value).collect();
            if own != new {
                let text = format!(
                    "`{name}` has {} on `{}`, and gets {}: a network of wgfleet has one prefix of each family, \
                     and a host one address in it",
                    texts(&own),
                    derived.name.value,
                    texts(&new)
                );
                remarks.push(Remark::new(Topic::Address, text).of(name));
            }
        }
        if known.listen_port.is_none()
            && !known.is_live
            && let Some(port) = derived.listen_port.value
        {
            let text = format!(
                "no file says the UDP port of `{name}`, and others find it at port {port}: it will listen there"
            );
            remarks.push(Remark::new(Topic::Setting, text).of(name));
        }
        if known.table.unwrap_or_default() == RouteTable::Auto
            && known.dns.is_empty()
            && known.hooks.is_empty()
            && known.is_live
        {
            let text = format!(
                "`{name}` was read from what runs, which does not say its DNS servers, hooks and routing table"
            );
            remarks.push(
                Remark::new(Topic::Setting, text)
                    .of(name)
                    .write("import its wg0.conf as well, if it has one"),
            );
        }
        for (other, peer) in pair.peers(meaning, fabric, names) {
            match fabric.told(pair.end, other) {
                None => {
                    let text = format!(
                        "`{}` has `{name}` for a peer, and `{name}` does not have it: the plan adds it there",
                        names[other]
                    );
                    let hint = format!(
                        "if the link is not wanted, take it out of `links:` and out of the file of `{}`",
                        names[other]
                    );
                    remarks.push(Remark::new(Topic::OneSided, text).of(name).write(hint));
                }
                Some(known) => {
                    of_peer(name, &names[other], known, peer, pair.known.is_live, draft, remarks);
                }
            }
        }
    }
}

fn of_peer(
    name: &HostName,
    other: &HostName,
    known: &KnownPeer,
    derived: &Peer,
    is_live: bool,
    draft: &Draft,
    remarks: &mut Vec<Remark>,
) {
    if known.endpoint.is_none()
        && !is_live
        && let Some(endpoint) = derived.address()
    {
        let text = format!("`{name}` has no endpoint for `{other}`, and gets {endpoint}");
        remarks.push(Remark::new(Topic::Endpoint, text).of(name));
    }
    let overridden = draft.hosts.iter().find(|host| host.name == *name);
    let overridden = overridden.and_then(|host| host.overrides.get(other));
    if set(&known.allowed_ips) != set(&derived.allowed_ips.whole()) {
        let text = format!(
            "`{name}` and `{other}` are linked in several networks, and one override holds in all of them: the \
             AllowedIPs of one of these links change"
        );
        remarks.push(
            Remark::new(Topic::AllowedIps, text)
                .of(name)
                .write("look at them in `wgfleet plan` first"),
        );
    }
    let Some(nets) = overridden.and_then(|own| own.allowed_ips.as_ref()) else { return };
    let everything = nets.iter().any(|net| net.prefix_len() <= 1);
    if everything && draft.hosts.iter().any(|host| host.name == *other) {
        let text = format!(
            "`{name}` sends everything through `{other}`. It is kept as a list of AllowedIPs, so that wgfleet \
             leaves forwarding and masquerading on `{other}` to what is there"
        );
        let hint = format!(
            "{}\nand take `allowed_ips` of `{other}` out: then wgfleet forwards and masquerades on `{other}`",
            text::lines("hosts", name, &[("full_tunnel", other.as_str())])
        );
        remarks.push(Remark::new(Topic::Exit, text).of(name).write(hint));
    } else if !everything {
        let text = format!(
            "the AllowedIPs that `{name}` has for `{other}` do not follow from the links; they are kept as they are"
        );
        let hint = format!(
            "take `allowed_ips` of `{other}` at `{name}` out, and see in `wgfleet plan` what changes"
        );
        remarks.push(Remark::new(Topic::AllowedIps, text).of(name).write(hint));
    }
}

fn texts(nets: &BTreeSet<IpNet>) -> String {
    if nets.is_empty() {
        return "no address".to_owned();
    }
    let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
    nets.join(", ")
}

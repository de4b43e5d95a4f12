//! The first draft: names, addresses, endpoints, LANs and keys, before links are settled.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::draft::{Draft, DraftHost, DraftMember, DraftNetwork, DraftPeer, DraftSite, Tuning};
use super::fabric::Fabric;
use super::known::{KnownHost, There};
use super::lans::Lans;
use super::naming::{Names, label, tells};
use super::remark::{Remark, Topic};
use super::text;
use crate::model::{Endpoint, FleetName, HostName, InterfaceName, NetworkName, list};

/// The interface of a network that nobody names.
const USUAL: &str = "wg0";

/// Ends of the names of machines that lead to a LAN; without them, they are the names of places.
const OF_GATEWAYS: [&str; 6] = ["-gw", "-gateway", "-router", "-fw", "-firewall", "-vpn"];

/// A draft, and the names of its ends.
pub(super) struct Sketch {
    pub(super) draft: Draft,
    /// The name of each end; ends of one host share it.
    pub(super) names: Vec<HostName>,
}

/// Draws what does not depend on the shape of the links.
pub(super) fn sketch(
    fleet: &FleetName,
    hosts: &[KnownHost],
    fabric: &Fabric<'_>,
    lans: &Lans,
    there: &There,
    remarks: &mut Vec<Remark>,
) -> Sketch {
    let mut names = Names::new();
    let of_ends = name_ends(hosts, fabric, lans, &mut names, remarks);
    let networks = networks(fabric, lans, &mut names);
    let mut draft = Draft {
        fleet: fleet.clone(),
        networks,
        sites: Vec::new(),
        hosts: Vec::new(),
        peers: Vec::new(),
    };
    for end in 0..fabric.ends.len() {
        let name = &of_ends[end];
        match fabric.ends[end].of {
            None => {
                let peer = peer(fabric, lans, &of_ends, end, remarks);
                draft.peers.push(peer);
            }
            Some((host, _)) => {
                let member = member(hosts, fabric, lans, &draft, &of_ends, end, remarks);
                let known = draft.hosts.iter_mut().find(|known| known.name == *name);
                let subnets = lans.subnets[end].iter().copied();
                if let Some(known) = known {
                    known.members.push(member);
                    let new: Vec<IpNet> =
                        subnets.filter(|net| !known.subnets.contains(net)).collect();
                    known.subnets.extend(new);
                    continue;
                }
                draft.hosts.push(DraftHost {
                    name: name.clone(),
                    ssh: hosts[host].ssh.clone().filter(|ssh| ssh.to_string() != name.as_str()),
                    site: None,
                    nat: false,
                    transit: false,
                    subnets: subnets.collect(),
                    members: vec![member],
                    overrides: BTreeMap::new(),
                });
            }
        }
    }
    for host in &mut draft.hosts {
        let ends = || (0..fabric.ends.len()).filter(|end| of_ends[*end] == host.name);
        let unseen = host.members.iter().all(|member| member.endpoint.is_none())
            && ends().all(|end| fabric.told_of(end).all(|(_, peer)| peer.endpoint.is_none()));
        let keeps = ends().any(|end| {
            fabric
                .interface(end)
                .is_some_and(|one| one.peers.iter().any(|peer| peer.keepalive.is_some()))
        });
        host.nat = unseen && keeps;
    }
    if there.is_empty() {
        sites(&mut draft, &mut names);
    }
    Sketch { draft, names: of_ends }
}

fn name_ends(
    hosts: &[KnownHost],
    fabric: &Fabric<'_>,
    lans: &Lans,
    names: &mut Names,
    remarks: &mut Vec<Remark>,
) -> Vec<HostName> {
    let mut of_hosts: BTreeMap<usize, HostName> = BTreeMap::new();
    let mut all = Vec::new();
    let mut by_name = Vec::new();
    let address = |end: usize| {
        lans.addresses[end].first().map(|addr| addr.to_string().replace([':', '.'], "-"))
    };
    let comments = |end: usize| -> Vec<String> {
        fabric.told_of(end).flat_map(|(_, peer)| peer.names.iter().cloned()).collect()
    };
    // Hosts first: what is read from a machine's own name is surer than a comment.
    for (end, one) in fabric.ends.iter().enumerate() {
        let Some((index, _)) = one.of else { continue };
        if of_hosts.contains_key(&index) {
            continue;
        }
        let own = &hosts[index].name;
        let sure = tells(own);
        let wanted = sure.then(|| own.clone()).into_iter().chain(comments(end));
        let else_ = address(end).map_or_else(|| "host".to_owned(), |addr| format!("host-{addr}"));
        let name = host_name(&names.give(wanted, &else_));
        if !sure {
            let text = format!(
                "nothing says the name of the host of {}; it is `{name}` here",
                source(fabric, end)
            );
            let hint = format!(
                "rename `{name}` in fleet.yaml before you use it: keys in the vault are kept by name"
            );
            remarks.push(Remark::new(Topic::Name, text).of(&name).write(hint));
        }
        if hosts[index].ssh.is_none() {
            by_name.push(name.clone());
        }
        of_hosts.insert(index, name);
    }
    remarks.extend(reached_by_name(&by_name));
    for (end, one) in fabric.ends.iter().enumerate() {
        if let Some(name) = one.of.and_then(|(index, _)| of_hosts.get(&index)) {
            all.push(name.clone());
            continue;
        }
        let left_out = fabric
            .left_out
            .get(&one.key)
            .and_then(|(host, interface)| Some(format!("{}-{interface}", of_hosts.get(host)?)));
        let told = comments(end);
        let nameless = left_out.is_none() && told.is_empty();
        let wanted = left_out.into_iter().chain(told);
        let found = fabric.told_of(end).find_map(|(_, peer)| peer.endpoint.as_ref());
        let found = found
            .and_then(|endpoint| Some(endpoint.to_string().rsplit_once(':')?.0.replace('.', "-")));
        let told_by = address(end).or(found);
        let else_ = told_by.map_or_else(|| "peer".to_owned(), |word| format!("peer-{word}"));
        let name = host_name(&names.give(wanted, &else_));
        if nameless {
            let text = format!("no comment says who the peer {} is; it is `{name}` here", one.key);
            remarks.push(
                Remark::new(Topic::Name, text)
                    .of(&name)
                    .write(format!("rename `{name}` in fleet.yaml")),
            );
        }
        all.push(name);
    }
    all
}

/// That ssh(1) is to reach hosts by their names.
fn reached_by_name(hosts: &[HostName]) -> Option<Remark> {
    let first = hosts.first()?;
    let names: Vec<String> = hosts.iter().map(|name| format!("`{name}`")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (them, names_of) = if hosts.len() == 1 { ("it", "its name") } else { ("each", "its name") };
    let text =
        format!("no file says how ssh(1) reaches {}; {them} is tried by {names_of}", list(&names));
    let hint = text::lines("hosts", first, &[("ssh", &format!("root@{first}.example.com"))]);
    Some(Remark::new(Topic::Ssh, text).write(hint))
}

fn source<'k>(fabric: &Fabric<'k>, end: usize) -> &'k str {
    fabric.interface(end).map_or("", |one| &one.source)
}

/// A label is a name.
fn host_name(label: &str) -> HostName {
    label.parse().unwrap_or_else(|_| unreachable!("a label is a host name"))
}

/// The value that most have; the first of those that as many have.
fn most<T: Clone + Ord>(all: impl IntoIterator<Item = T>) -> Option<T> {
    let mut votes: BTreeMap<T, (usize, usize)> = BTreeMap::new();
    for (place, one) in all.into_iter().enumerate() {
        votes.entry(one).or_insert((0, usize::MAX - place)).0 += 1;
    }
    votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(value, _)| value)
}

fn networks(fabric: &Fabric<'_>, lans: &Lans, names: &mut Names) -> Vec<DraftNetwork> {
    let usual = || USUAL.parse::<InterfaceName>().unwrap_or_else(|_| unreachable!("it is a name"));
    // Networks have a name space of their own.
    let mut own = Names::new();
    let _ = names;
    (0..fabric.networks)
        .map(|network| {
            let interfaces = || fabric.members(network).filter_map(|end| fabric.interface(end));
            let interface =
                most(interfaces().filter_map(|one| one.name.clone())).unwrap_or_else(usual);
            let told = most(interfaces().filter_map(|one| one.network.clone()));
            let of_interface = label(interface.as_str()).filter(|_| fabric.networks > 1);
            let name = own.give(told.into_iter().chain(of_interface), "vpn");
            let name: NetworkName =
                name.parse().unwrap_or_else(|_| unreachable!("a label is a network name"));
            DraftNetwork {
                name,
                interface,
                prefixes: lans.prefixes[network].clone(),
                links: Vec::new(),
                psk: has_psks(fabric, network),
                tuning: Tuning::default(),
            }
        })
        .collect()
}

/// Whether most pairs of hosts of a network have preshared keys.
fn has_psks(fabric: &Fabric<'_>, network: usize) -> bool {
    let (mut with, mut without) = (0, 0);
    for (a, b) in pairs(fabric, network) {
        *if has_psk(fabric, a, b) { &mut with } else { &mut without } += 1;
    }
    with > without
}

/// The linked pairs of hosts of a network.
pub(super) fn pairs(fabric: &Fabric<'_>, network: usize) -> Vec<(usize, usize)> {
    let hosts: BTreeSet<usize> =
        fabric.members(network).filter(|end| fabric.ends[*end].of.is_some()).collect();
    let pairs = hosts.iter().flat_map(|a| fabric.ends[*a].linked.range(a + 1..).map(|b| (*a, *b)));
    pairs.filter(|(_, b)| hosts.contains(b)).collect()
}

/// Whether either end says that the pair has a preshared key.
pub(super) fn has_psk(fabric: &Fabric<'_>, a: usize, b: usize) -> bool {
    [fabric.told(a, b), fabric.told(b, a)]
        .into_iter()
        .flatten()
        .any(super::known::KnownPeer::has_psk)
}

/// The endpoint that all who can know name for an end; nothing where some have none. Overrides say the
/// rest.
fn endpoint(fabric: &Fabric<'_>, end: usize) -> Option<Endpoint> {
    let files = || {
        fabric
            .told_of(end)
            .filter(|(from, _)| fabric.interface(*from).is_some_and(|one| !one.is_live))
    };
    let written = files().map(|(_, peer)| peer.endpoint.as_ref());
    if files().next().is_some() {
        let written: Option<Vec<&Endpoint>> = written.collect();
        return by_text(written?);
    }
    // Where packets came from last says where it is found only if it listens at that port, or if it is kept alive.
    let port = fabric.interface(end).and_then(|one| one.listen_port);
    let live = fabric.told_of(end).filter_map(|(_, peer)| {
        let seen = peer.endpoint.as_ref()?;
        (Some(seen.port) == port || (port.is_none() && peer.keepalive.is_some())).then_some(seen)
    });
    by_text(live.collect())
}

/// Where an end may be found that only unmanaged peers look for, of which nothing was read.
fn guess(
    hosts: &[KnownHost],
    fabric: &Fabric<'_>,
    end: usize,
    name: &HostName,
) -> Option<Endpoint> {
    let port = fabric.interface(end)?.listen_port?;
    let linked = &fabric.ends[end].linked;
    let alone = linked.iter().all(|other| fabric.ends[*other].of.is_none());
    let waits = linked.iter().any(|other| {
        fabric.told(end, *other).is_some_and(|peer| {
            let fixed = !fabric.interface(end).is_some_and(|one| one.is_live);
            !fixed || peer.endpoint.is_none()
        })
    });
    let (host, _) = fabric.ends[end].of?;
    let host = hosts[host].ssh.as_ref().map_or(name.as_str(), |ssh| ssh.host());
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    (alone && waits).then(|| format!("{host}:{port}").parse().ok())?
}

fn by_text(all: Vec<&Endpoint>) -> Option<Endpoint> {
    let text = most(all.iter().map(ToString::to_string))?;
    all.into_iter().find(|one| one.to_string() == text).cloned()
}

fn member(
    hosts: &[KnownHost],
    fabric: &Fabric<'_>,
    lans: &Lans,
    draft: &Draft,
    names: &[HostName],
    end: usize,
    remarks: &mut Vec<Remark>,
) -> DraftMember {
    let network = fabric.ends[end].network;
    let name = &names[end];
    let known = fabric.interface(end);
    let mut hooks = known.map(|one| one.hooks.clone()).unwrap_or_default();
    let mut refused = Vec::new();
    for list in [&mut hooks.pre_up, &mut hooks.post_up, &mut hooks.pre_down, &mut hooks.post_down] {
        list.retain(|hook| {
            let fits = hook.parse::<crate::model::Hook>();
            refused.extend(fits.as_ref().err().map(ToString::to_string));
            fits.is_ok()
        });
    }
    for why in refused {
        let text = format!("a hook of {} is left out: {why}", source(fabric, end));
        remarks.push(
            Remark::new(Topic::Hooks, text)
                .of(name)
                .write("write it into a script on the host, and call that"),
        );
    }
    if hooks.all().any(|hook| hook.to_ascii_lowercase().contains("masquerade")) {
        let text = format!(
            "a hook of `{name}` masquerades; it is kept as it is. wgfleet does the same by itself, and removes it \
             with the interface"
        );
        let hint =
            text::lines("hosts", name, &[("masquerade", "true    # and take that hook out")]);
        remarks.push(Remark::new(Topic::Hooks, text).of(name).write(hint));
    }
    if known.is_some_and(|one| one.save_config) {
        let text = format!(
            "{} has SaveConfig, which overwrites the file with whatever the interface holds; wgfleet's files do \
             not have it",
            source(fabric, end)
        );
        remarks.push(Remark::new(Topic::Setting, text).of(name));
    }
    if lans.unknown.contains(&end) {
        let text = format!("nothing says the tunnel address of `{name}`; one would be allocated");
        let hint = text::lines(
            "hosts",
            name,
            &[("address", "10.0.0.1    # what `ip address` says there")],
        );
        remarks.push(Remark::new(Topic::Address, text).of(name).write(hint));
    }
    let interface = known.and_then(|one| one.name.clone());
    let written = endpoint(fabric, end);
    let guessed = if written.is_none() { guess(hosts, fabric, end, name) } else { None };
    if let Some(guessed) = &guessed {
        let text = format!(
            "nothing that was read says where the peers of `{name}` find it: {guessed} is a guess, by which \
             `wgfleet check` knows that they do"
        );
        let hint = text::lines(
            "hosts",
            name,
            &[("endpoint", "HOST:PORT    # as in the configuration of its peers")],
        );
        remarks.push(Remark::new(Topic::Endpoint, text).of(name).write(hint));
    }
    DraftMember {
        network,
        interface: interface.filter(|name| *name != draft.networks[network].interface),
        address: lans.addresses[end].clone(),
        endpoint: written.or(guessed),
        full_tunnel: None,
        tuning: Tuning {
            table: known
                .and_then(|one| one.table)
                .filter(|table| *table != crate::model::RouteTable::Auto),
            fwmark: known
                .and_then(|one| one.fwmark)
                .filter(|_| known.is_some_and(|one| !one.is_live)),
            dns: known.map(|one| one.dns.clone()).filter(|dns| !dns.is_empty()),
            ..Tuning::default()
        },
        hooks,
    }
}

fn peer(
    fabric: &Fabric<'_>,
    lans: &Lans,
    names: &[HostName],
    end: usize,
    remarks: &mut Vec<Remark>,
) -> DraftPeer {
    let name = &names[end];
    let told: Vec<_> = fabric.told_of(end).collect();
    let endpoint = endpoint(fabric, end);
    if endpoint.is_none() && told.iter().any(|(_, peer)| peer.endpoint.is_some()) {
        let text = format!(
            "`{name}` was seen at an address, which may be another one tomorrow; it has no endpoint here"
        );
        let hint = text::lines(
            "peers",
            name,
            &[("endpoint", "HOST:PORT    # if it is always found there")],
        );
        remarks.push(Remark::new(Topic::Endpoint, text).of(name).write(hint));
    }
    DraftPeer {
        name: name.clone(),
        network: fabric.ends[end].network,
        via: told.iter().map(|(from, _)| names[*from].clone()).collect(),
        public_key: fabric.ends[end].key,
        address: lans.addresses[end].clone(),
        endpoint,
        subnets: lans.subnets[end].iter().copied().collect(),
        psk: told.iter().any(|(_, peer)| peer.has_psk()),
    }
}

/// LANs with several gateways, and those of hosts that are called gateways, are sites.
fn sites(draft: &mut Draft, names: &mut Names) {
    let mut by_lan: BTreeMap<BTreeSet<IpNet>, Vec<usize>> = BTreeMap::new();
    for (index, host) in draft.hosts.iter().enumerate() {
        let lans: BTreeSet<IpNet> = host.subnets.iter().copied().collect();
        if !lans.is_empty() {
            by_lan.entry(lans).or_default().push(index);
        }
    }
    for (lans, gateways) in by_lan {
        let place = |index: usize| {
            let name = draft.hosts[index].name.as_str();
            OF_GATEWAYS.iter().find_map(|end| name.strip_suffix(end))
        };
        let site = gateways.iter().find_map(|index| place(*index));
        let first = draft.hosts[gateways[0]].name.as_str();
        let wanted = match site {
            Some(site) => site.to_owned(),
            None if gateways.len() > 1 => format!("{first}-site"),
            None => continue,
        };
        let name = names.give([wanted], "site");
        let Ok(name) = name.parse() else { continue };
        draft.sites.push(DraftSite { name, subnets: lans.into_iter().collect() });
        for index in gateways {
            draft.hosts[index].subnets.clear();
            draft.hosts[index].site = Some(draft.sites.len() - 1);
        }
    }
}

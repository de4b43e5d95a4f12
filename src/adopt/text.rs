//! A draft as the text of an inventory.

use std::fmt::Write as _;

use super::draft::{
    Draft, DraftHost, DraftLink, DraftMember, DraftNetwork, DraftOverride, DraftPeer, Tuning,
};
use super::known::There;
use super::yaml::{self, Map, Value};
use crate::model::{HostName, Keepalive};

/// The interface of a network whose file has no other.
const ONLY: &str = "wg0";

/// What stands above everything.
const HEAD: &str = "\
# Written by `wgfleet import` from what runs. It is yours now: `wgfleet import` never changes it.
#   wgfleet check             is it right?
#   wgfleet explain HOST      what follows from it for a host, and why
#   wgfleet plan              what an apply would change on the hosts
# Every key is described in docs/file-format.md.
";

/// What stands above what is added to an inventory.
const HEAD_OF_ADDITION: &str = "\
# Added by `wgfleet import`, which never changes it. fleet.yaml includes it.
";

/// The text of a file with the hosts and peers that an inventory does not have yet.
pub(super) fn addition(draft: &Draft, there: &There) -> String {
    let mut text = HEAD_OF_ADDITION.to_owned();
    let new: Vec<&DraftHost> =
        draft.hosts.iter().filter(|host| !there.hosts.contains(&host.name)).collect();
    let known = |network: usize| {
        let hosts =
            draft.hosts.iter().filter(|host| host.members.iter().any(|one| one.network == network));
        let peers = draft.peers.iter().filter(|peer| peer.network == network);
        hosts.map(|host| &host.name).chain(peers.map(|peer| &peer.name)).any(|name| there.has(name))
    };
    let networks = (0..draft.networks.len()).filter(|network| !known(*network));
    let networks = networks.map(|index| {
        let one = &draft.networks[index];
        (one.name.to_string(), network(one, true))
    });
    let hosts = new.iter().map(|one| (one.name.to_string(), host(draft, one)));
    let peers = draft.peers.iter().filter(|peer| !there.has(&peer.name));
    let peers = peers.map(|one| (one.name.to_string(), peer(draft, one)));
    let sections: [(&str, Map); 3] =
        [("networks", networks.collect()), ("hosts", hosts.collect()), ("peers", peers.collect())];
    for (section, entries) in sections {
        if !entries.is_empty() {
            text.push('\n');
            yaml::write(&mut text, &vec![(section.to_owned(), Value::Map(entries))], 0);
        }
    }
    text
}

/// The text of an inventory.
pub(super) fn text(draft: &Draft) -> String {
    let mut text = HEAD.to_owned();
    let mut all: Map = vec![("fleet".to_owned(), word(&draft.fleet))];
    yaml::write(&mut text, &all, 0);
    all.clear();
    let several = draft.networks.len() > 1;
    let networks = draft.networks.iter().map(|one| (one.name.to_string(), network(one, several)));
    all.push(("networks".to_owned(), Value::Map(networks.collect())));
    let sites: Map = draft
        .sites
        .iter()
        .enumerate()
        .map(|(index, site)| {
            let hosts = draft.hosts.iter().filter(|host| host.site == Some(index));
            let hosts = hosts.map(|one| (one.name.to_string(), host(draft, one))).collect();
            let map = vec![
                ("subnets".to_owned(), Value::List(site.subnets.iter().map(word).collect())),
                ("hosts".to_owned(), Value::Map(hosts)),
            ];
            (site.name.to_string(), Value::Map(map))
        })
        .collect();
    all.push(("sites".to_owned(), Value::Map(sites)));
    let hosts = draft.hosts.iter().filter(|host| host.site.is_none());
    let hosts = hosts.map(|one| (one.name.to_string(), host(draft, one))).collect();
    all.push(("hosts".to_owned(), Value::Map(hosts)));
    let peers = draft.peers.iter().map(|one| (one.name.to_string(), peer(draft, one))).collect();
    all.push(("peers".to_owned(), Value::Map(peers)));
    for (section, value) in all {
        let Value::Map(entries) = &value else { continue };
        if !entries.is_empty() {
            text.push('\n');
            yaml::write(&mut text, &vec![(section, value)], 0);
        }
    }
    text
}

/// The lines of a host or an unmanaged peer with some settings, to show what to add.
pub(super) fn lines(section: &str, name: &HostName, settings: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let _ = write!(text, "{section}:\n  {name}:");
    for (key, value) in settings {
        let _ = write!(text, "\n    {key}: {value}");
    }
    text
}

fn word(value: &impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn plain(value: &impl ToString) -> Value {
    Value::Word(value.to_string())
}

fn keepalive(value: Option<Keepalive>) -> Value {
    value.map_or_else(|| Value::Word("off".to_owned()), |seconds| plain(&seconds.get()))
}

fn psk(wanted: bool) -> Value {
    Value::Word(if wanted { "pairwise" } else { "none" }.to_owned())
}

fn put(map: &mut Map, key: &str, value: Option<Value>) {
    map.extend(value.map(|value| (key.to_owned(), value)));
}

fn some<T: ToString>(all: &[T]) -> Option<Value> {
    (!all.is_empty()).then(|| Value::one_or_many(all))
}

fn network(network: &DraftNetwork, several: bool) -> Value {
    let mut map = Map::new();
    let default = if several { network.name.as_str() } else { ONLY };
    let interface = Some(&network.interface).filter(|name| name.as_str() != default);
    put(&mut map, "interface", interface.map(word));
    put(&mut map, "prefixes", Some(Value::List(network.prefixes.iter().map(word).collect())));
    let mut links: Vec<Value> = network.links.iter().map(link).collect();
    let is_default = network.links == [DraftLink::Mesh(None)];
    if !is_default {
        let only = if links.len() == 1 && !matches!(network.links[0], DraftLink::Pair(..)) {
            links.remove(0)
        } else {
            Value::List(links)
        };
        put(&mut map, "links", Some(only));
    }
    put(&mut map, "psk", network.psk.then(|| psk(true)));
    tuning(&mut map, &network.tuning);
    Value::Map(map)
}

fn link(link: &DraftLink) -> Value {
    match link {
        DraftLink::Mesh(None) => Value::Word("mesh".to_owned()),
        DraftLink::Mesh(Some(members)) => {
            Value::Map(vec![("mesh".to_owned(), Value::List(members.iter().map(word).collect()))])
        }
        DraftLink::Hub { hubs, spokes, mesh_hubs } => {
            let mut map = Map::new();
            put(&mut map, "hub", some(hubs));
            put(&mut map, "spokes", spokes.as_deref().and_then(some));
            put(&mut map, "mesh_hubs", (!mesh_hubs).then(|| Value::Word("false".to_owned())));
            Value::Map(map)
        }
        DraftLink::Pair(a, b) => Value::List(vec![word(a), word(b)]),
    }
}

fn tuning(map: &mut Map, tuning: &Tuning) {
    put(map, "on_link", tuning.on_link.as_ref().map(plain));
    put(map, "listen_port", tuning.listen_port.map(|port| plain(&port.get())));
    put(map, "mtu", tuning.mtu.map(|mtu| plain(&mtu.get())));
    put(map, "table", tuning.table.as_ref().map(plain));
    put(map, "fwmark", tuning.fwmark.as_ref().map(plain));
    put(map, "dns", tuning.dns.as_deref().and_then(some));
    put(map, "keepalive", tuning.keepalive.map(keepalive));
}

fn host(draft: &Draft, host: &DraftHost) -> Value {
    let mut map = Map::new();
    put(&mut map, "ssh", host.ssh.as_ref().map(word));
    let yes = || Value::Word("true".to_owned());
    put(&mut map, "nat", host.nat.then(yes));
    put(&mut map, "gateway", host.site.is_some().then(yes));
    put(&mut map, "transit", host.transit.then(yes));
    put(&mut map, "subnets", some(&host.subnets));
    if draft.networks.len() < 2 {
        for member in &host.members {
            settings(&mut map, member);
        }
    } else {
        let members = host.members.iter().map(|member| {
            let mut map = Map::new();
            settings(&mut map, member);
            (draft.networks[member.network].name.to_string(), Value::Map(map))
        });
        put(&mut map, "networks", Some(Value::Map(members.collect())));
    }
    let overrides = host.overrides.iter().map(|(name, own)| (name.to_string(), overridden(own)));
    let overrides: Map = overrides.collect();
    put(&mut map, "peers", (!overrides.is_empty()).then_some(Value::Map(overrides)));
    Value::Map(map)
}

fn settings(map: &mut Map, member: &DraftMember) {
    put(map, "interface", member.interface.as_ref().map(word));
    put(map, "address", some(&member.address));
    put(map, "endpoint", member.endpoint.as_ref().map(word));
    put(map, "full_tunnel", member.full_tunnel.as_ref().map(word));
    tuning(map, &member.tuning);
    let hooks = &member.hooks;
    put(map, "pre_up", some(&hooks.pre_up));
    put(map, "post_up", some(&hooks.post_up));
    put(map, "pre_down", some(&hooks.pre_down));
    put(map, "post_down", some(&hooks.post_down));
}

fn overridden(own: &DraftOverride) -> Value {
    let mut map = Map::new();
    put(
        &mut map,
        "allowed_ips",
        own.allowed_ips.as_ref().map(|nets| Value::List(nets.iter().map(word).collect())),
    );
    put(&mut map, "endpoint", own.endpoint.as_ref().map(word));
    put(&mut map, "keepalive", own.keepalive.map(keepalive));
    put(&mut map, "psk", own.psk.map(psk));
    Value::Map(map)
}

fn peer(draft: &Draft, peer: &DraftPeer) -> Value {
    let mut map = Map::new();
    let network = &draft.networks[peer.network].name;
    put(&mut map, "network", (draft.networks.len() > 1).then(|| word(network)));
    put(&mut map, "via", some(&peer.via));
    put(&mut map, "public_key", Some(word(&peer.public_key)));
    put(&mut map, "address", some(&peer.address));
    put(&mut map, "endpoint", peer.endpoint.as_ref().map(word));
    put(&mut map, "subnets", some(&peer.subnets));
    put(&mut map, "psk", peer.psk.then(|| psk(true)));
    Value::Map(map)
}

//! What could make a flow work, by what keeps it from working.

use ipnet::IpNet;

use super::change::{Edit, Proposal, What};
use crate::check::broken;
use crate::check::flow::Broken;
use crate::check::flows::Member;
use crate::check::walk::{Act, Cause};
use crate::inventory::{Host, Inventory, LinkShape, Selector};
use crate::model::{HostName, Located, Location, count, covers};
use crate::topology::{self, Addresses, InterfaceId, NodeId, NodeKind, Topology};

/// What could make a flow work, the smallest changes first.
pub(super) fn proposals(
    inventory: &Inventory,
    topology: &Topology,
    addresses: &dyn Addresses,
    (broken, sources): (&Broken, &[Member]),
) -> Vec<Proposal> {
    let maker = Maker { inventory, topology };
    let mut all = Vec::new();
    all.extend(maker.overrides(addresses, broken));
    let steps = || broken.out.steps.iter().chain(broken.back.iter().flat_map(|back| &back.steps));
    let last = steps().last();
    let switch = |node: NodeId, key| maker.switch(node, key).into_iter();
    match (broken.cause, last) {
        (Some(Cause::Asleep(id)), _) => all.extend(maker.keepalive(topology.interface(id).node)),
        (Some(Cause::NoForwarding), Some(step)) => {
            all.extend(switch(step.node, "transit").chain(switch(step.node, "gateway")));
        }
        (Some(Cause::NoExit), Some(step)) => all.extend(switch(step.node, "exit")),
        (Some(Cause::NoRoute | Cause::NoPeer(_)), _) => {
            all.extend(maker.exits(broken));
            all.extend(maker.exit_for_all(broken, sources));
        }
        (Some(Cause::NoReturnPath), Some(step)) => {
            all.extend(switch(step.node, "masquerade").chain(switch(step.node, "exit")));
        }
        _ => {}
    }
    let unmet = matches!(
        broken.cause,
        Some(Cause::NoSession(_) | Cause::PrivateEndpoint(_) | Cause::Hairpin(_))
    );
    all.extend(maker.gateways(broken));
    // A host in between that could pass the packets on.
    let crossed = steps().filter(|step| matches!(step.act, Act::Send(_) | Act::Drop(_)));
    let mut nodes: Vec<NodeId> = crossed.map(|step| step.node).collect();
    nodes.dedup();
    all.extend(nodes.into_iter().flat_map(|node| switch(node, "transit")));
    if let (true, Some(step)) = (unmet, last) {
        all.extend(step.interface.map(|id| maker.hubs(id)).unwrap_or_default());
    }
    all.extend(maker.links(broken));
    all.sort_by_key(|proposal| proposal.edits.len());
    all
}

struct Maker<'a> {
    inventory: &'a Inventory,
    topology: &'a Topology,
}

impl Maker<'_> {
    fn host(&self, node: NodeId) -> Option<(usize, &Host)> {
        match self.topology.node(node).kind {
            NodeKind::Host(index) => Some((index, &self.inventory.hosts[index])),
            NodeKind::Unmanaged(_) => None,
        }
    }

    fn switch(&self, node: NodeId, key: &'static str) -> Option<Proposal> {
        let (_, host) = self.host(node)?;
        let edits = vec![set(host.name.at, key, "true")];
        Some(Proposal { title: format!("say `{key}: true` on `{}`", host.name.value), edits })
    }

    /// What is derived instead of what overrides it: the one to blame, then all that play a part.
    fn overrides(&self, addresses: &dyn Addresses, broken: &Broken) -> Vec<Proposal> {
        let (blamed, declared) = broken::blame(self.topology, broken);
        let steps = broken.out.steps.iter();
        let steps = steps.chain(broken.back.iter().flat_map(|back| &back.steps));
        let mut nodes: Vec<NodeId> = steps.map(|step| step.node).collect();
        nodes.extend([broken.from, broken.to].iter().filter_map(Member::node));
        nodes.sort_unstable();
        nodes.dedup();
        let mut found: Vec<(usize, usize, usize, Location)> = Vec::new();
        for (host, settings) in nodes.iter().filter_map(|node| self.host(*node)) {
            for (own, interface) in settings.interfaces.iter().enumerate() {
                for (peer, over) in interface.peers.iter().enumerate() {
                    if over.settings.allowed_ips.is_some() {
                        found.push((host, own, peer, over.peer.at));
                    }
                }
            }
        }
        found.sort_by_key(|(.., at)| (*at != blamed || !declared, *at));
        if found.is_empty() {
            return Vec::new();
        }
        let mut plain = self.inventory.clone();
        for (host, own, peer, _) in &found {
            plain.hosts[*host].interfaces[*own].peers[*peer].settings.allowed_ips = None;
        }
        let derived = topology::build(&plain, addresses);
        let packets = [Some(&broken.out), broken.back.as_ref()].into_iter().flatten();
        let asked: Vec<IpNet> = packets
            .flat_map(|walk| [walk.packet.source, walk.packet.destination])
            .map(IpNet::from)
            .collect();
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (host, own, peer, at) in &found {
            let settings = &self.inventory.hosts[*host];
            let interface = &settings.interfaces[*own];
            let over = &interface.peers[*peer];
            let name = &over.peer.value;
            let told = over.settings.allowed_ips.as_deref().unwrap_or_default();
            let told: Vec<IpNet> = told.iter().map(|net| net.value.trunc()).collect();
            let peers = u32::try_from(*host).ok().and_then(|node| {
                let member = derived.member(NodeId(node), interface.network)?;
                Some(&derived.interface(member).peers)
            });
            let peers = peers.map(Vec::as_slice).unwrap_or_default();
            let lists = peers.iter().find(|peer| derived.remote(peer).name == *name);
            // What the list lacks of what would be derived, and the flow needs.
            let lacking = lists.into_iter().flat_map(|peer| peer.allowed_ips.iter());
            let lacking: Vec<IpNet> = lacking
                .filter(|net| !told.iter().any(|told| covers(told, net)))
                .filter(|net| asked.iter().any(|asked| covers(net, asked)))
                .copied()
                .collect();
            // One that holds all of the list leaves nothing of it.
            let [net] = &lacking[..] else {
                removed.push(removal(&settings.name.value, name, *at));
                continue;
            };
            if told.is_empty() || told.iter().any(|told| !covers(net, told)) {
                let whole: Vec<String> = told.iter().chain([net]).map(written).collect();
                let whole = format!("[{}]", whole.join(", "));
                let what = What::Append { item: written(net), whole };
                added.push((
                    format!("add {net} to the AllowedIPs of `{name}` on `{}`", settings.name.value),
                    Edit { within: *at, key: "allowed_ips", what },
                ));
            }
            removed.push(removal(&settings.name.value, name, *at));
        }
        let pair = (added.len() == 2).then(|| Proposal {
            title: format!("{}, and {}", added[0].0, added[1].0),
            edits: added.iter().map(|(_, edit)| edit.clone()).collect(),
        });
        let all = (removed.len() > 1).then(|| Proposal {
            title: "remove the overrides of AllowedIPs on the way".to_owned(),
            edits: removed.iter().map(|(_, edit)| edit.clone()).collect(),
        });
        let single = |(title, edit): (String, Edit)| Proposal { title, edits: vec![edit] };
        let mut proposals: Vec<Proposal> = added.into_iter().take(4).map(single).collect();
        proposals.extend(removed.into_iter().take(4).map(single));
        proposals.extend(pair.into_iter().chain(all));
        proposals
    }

    fn keepalive(&self, node: NodeId) -> Vec<Proposal> {
        let title = format!("let `{}` keep its session alive", self.topology.node(node).name);
        let mut places = Vec::new();
        match self.topology.node(node).kind {
            NodeKind::Host(index) => {
                let host = &self.inventory.hosts[index];
                places.push(host.name.at);
                places.extend(host.interfaces.iter().map(|own| own.at));
                let peers = host.interfaces.iter().flat_map(|own| &own.peers);
                places.extend(
                    peers.filter(|peer| peer.settings.keepalive.is_some()).map(|peer| peer.peer.at),
                );
            }
            NodeKind::Unmanaged(index) => places.push(self.inventory.peers[index].name.at),
        }
        places.dedup();
        let edit = |within| set(within, "keepalive", "25");
        places
            .into_iter()
            .map(|at| Proposal { title: title.clone(), edits: vec![edit(at)] })
            .collect()
    }

    /// Full tunnels for an end that is to reach the Internet: through the exits that there are,
    /// then through hosts that could be one.
    fn exits(&self, broken: &Broken) -> Vec<Proposal> {
        if !matches!(broken.to, Member::Internet(_)) {
            return Vec::new();
        }
        let (mut through, mut made) = (Vec::new(), Vec::new());
        for id in self.near(broken.from) {
            let own = self.topology.interface(id);
            let node = self.topology.node(own.node);
            for peer in &own.peers {
                let far = self.topology.remote(peer);
                let NodeKind::Host(index) = far.kind else { continue };
                let edits = match node.kind {
                    NodeKind::Host(_) => [node.at, own.at]
                        .map(|within| set(within, "full_tunnel", far.name.as_str()))
                        .into(),
                    NodeKind::Unmanaged(_) => {
                        vec![set(node.at, "full_tunnel", "true")]
                    }
                };
                for edit in edits {
                    let title =
                        format!("send everything from `{}` through `{}`", node.name, far.name);
                    if far.exit.value {
                        through.push(Proposal { title, edits: vec![edit] });
                        continue;
                    }
                    let within = self.inventory.hosts[index].name.at;
                    let exit = set(within, "exit", "true");
                    let title = format!("{title}, as an exit");
                    made.push(Proposal { title, edits: vec![edit, exit] });
                }
            }
        }
        // Places that are one, where the network is not named, make one proposal twice.
        through.truncate(8);
        made.truncate(8);
        through.into_iter().chain(made).collect()
    }

    /// The same for all hosts that a selector stands for, each through an exit that it is linked
    /// to.
    fn exit_for_all(&self, broken: &Broken, sources: &[Member]) -> Option<Proposal> {
        if !matches!(broken.to, Member::Internet(_)) {
            return None;
        }
        let interfaces = sources.iter().flat_map(|source| self.near(*source));
        let mut nodes: Vec<NodeId> =
            interfaces.map(|id| self.topology.interface(id).node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let edit = |node: &NodeId| {
            let (_, host) = self.host(*node)?;
            let peers = self.topology.node(*node).interfaces.iter();
            let peers = peers.flat_map(|id| &self.topology.interface(*id).peers);
            let exit = peers.map(|peer| self.topology.remote(peer)).find(|far| far.exit.value)?;
            let full = host.interfaces.iter().any(|own| own.full_tunnel_via.is_some());
            (!full).then(|| set(host.name.at, "full_tunnel", exit.name.as_str()))
        };
        let edits: Vec<Edit> = nodes.iter().filter_map(edit).collect();
        let title =
            format!("send everything from {} through their exits", count(edits.len(), "host"));
        (edits.len() > 1).then_some(Proposal { title, edits })
    }

    /// Hosts that could route the LAN at an end.
    fn gateways(&self, broken: &Broken) -> Vec<Proposal> {
        let sites = [broken.from, broken.to].into_iter().filter_map(|end| match end {
            Member::Lan { site, .. } => site,
            _ => None,
        });
        sites
            .flat_map(|site| {
                let nodes = (0..).map(NodeId).zip(&self.topology.nodes);
                nodes.filter(move |(_, node)| node.site == Some(site)).map(|(id, _)| id)
            })
            .filter(|node| self.host(*node).is_some_and(|(_, host)| !host.settings.gateway.get()))
            .filter_map(|node| self.switch(node, "gateway"))
            .take(4)
            .collect()
    }

    /// The interfaces of the hosts at an end.
    fn near(&self, end: Member) -> Vec<InterfaceId> {
        let at = |node: NodeId| self.topology.node(node).interfaces.clone();
        match end {
            Member::Lan { site: Some(site), .. } => (0..)
                .map(NodeId)
                .zip(&self.topology.nodes)
                .filter(|(id, node)| {
                    node.site == Some(site)
                        && self.host(*id).is_some_and(|(_, host)| host.settings.gateway.get())
                })
                .flat_map(|(id, _)| at(id))
                .collect(),
            Member::Lan { node: Some(node), .. } => at(node),
            end => end.node().map(at).unwrap_or_default(),
        }
    }

    /// A link between the ends, then a relay that both are linked to.
    fn links(&self, broken: &Broken) -> Vec<Proposal> {
        let mut all = Vec::new();
        let named = |id: InterfaceId| &self.topology.node(self.topology.interface(id).node).name;
        for a in self.near(broken.from) {
            for b in self.near(broken.to) {
                let network = self.topology.interface(a).network;
                let managed =
                    [a, b].iter().all(|id| self.host(self.topology.interface(*id).node).is_some());
                if network != self.topology.interface(b).network || !managed || a == b {
                    continue;
                }
                let (one, two) = (named(a), named(b));
                let title = format!("link `{one}` and `{two}`");
                let edits = self.with_links(network, &[format!("[{one}, {two}]")]);
                all.push(Proposal { title, edits });
                for (relay, host) in self.inventory.hosts.iter().enumerate() {
                    let own = host.membership(network);
                    let found = own.is_some_and(|own| own.settings.endpoint.is_some());
                    let name = &host.name.value;
                    if !found || name == one || name == two || all.len() > 8 {
                        continue;
                    }
                    let Some(transit) =
                        self.switch(NodeId(u32::try_from(relay).unwrap_or(u32::MAX)), "transit")
                    else {
                        continue;
                    };
                    let links = [format!("[{one}, {name}]"), format!("[{two}, {name}]")];
                    let mut edits = self.with_links(network, &links);
                    edits.extend(transit.edits);
                    let title = format!("relay `{one}` and `{two}` through `{name}`");
                    all.push(Proposal { title, edits });
                }
            }
        }
        all
    }

    /// For a mesh that holds hosts without an endpoint: those become spokes of one that has one.
    fn hubs(&self, near: InterfaceId) -> Vec<Proposal> {
        let network = self.topology.interface(near).network;
        let settings = &self.inventory.networks[network];
        if !settings
            .links
            .iter()
            .any(|shape| matches!(shape, LinkShape::Mesh { members: None, .. }))
        {
            return Vec::new();
        }
        let (mut found, mut hidden) = (Vec::new(), Vec::new());
        for host in &self.inventory.hosts {
            let Some(own) = host.membership(network) else { continue };
            let list = if own.settings.endpoint.is_some() { &mut found } else { &mut hidden };
            list.push(host.name.value.as_str());
        }
        let kept = settings
            .links
            .iter()
            .filter(|shape| !matches!(shape, LinkShape::Mesh { members: None, .. }));
        let kept: Vec<String> = kept.map(shape).collect();
        let proposal = |hub: &&str| {
            let mut shapes = kept.clone();
            if found.len() > 1 {
                shapes.push(format!("{{ mesh: [{}] }}", found.join(", ")));
            }
            shapes.push(format!("{{ hub: {hub}, spokes: [{}] }}", hidden.join(", ")));
            let value = match shapes.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            let edits = vec![set(settings.name.at, "links", &value)];
            let title =
                format!("link hosts without an endpoint to `{hub}`, which passes their packets on");
            Proposal { title, edits }
        };
        found.iter().take(3).map(proposal).collect()
    }

    /// The links of a network with more of them.
    fn with_links(&self, network: usize, more: &[String]) -> Vec<Edit> {
        let network = &self.inventory.networks[network];
        let mut shapes: Vec<String> = network.links.iter().map(shape).collect();
        let new: Vec<String> = more.iter().filter(|more| !shapes.contains(more)).cloned().collect();
        shapes.extend(new.iter().cloned());
        let whole = format!("[{}]", shapes.join(", "));
        // A mesh that is not written stands at the name of the network.
        let written = network.links.iter().all(|shape| at(shape) != network.name.at);
        match &new[..] {
            [item] if written => {
                let what = What::Append { item: item.clone(), whole };
                vec![Edit { within: network.name.at, key: "links", what }]
            }
            _ => vec![set(network.name.at, "links", &whole)],
        }
    }
}

/// That an override of a peer goes.
fn removal(host: &HostName, peer: &HostName, at: Location) -> (String, Edit) {
    let title = format!("remove the AllowedIPs of `{peer}` on `{host}`");
    (title, Edit { within: at, key: "allowed_ips", what: What::Unset })
}

/// A key that gets a value.
fn set(within: Location, key: &'static str, value: &str) -> Edit {
    Edit { within, key, what: What::Set(value.to_owned()) }
}

/// Where a link shape is written.
const fn at(shape: &LinkShape) -> Location {
    match shape {
        LinkShape::Mesh { at, .. } | LinkShape::Hub { at, .. } | LinkShape::Pair { at, .. } => *at,
    }
}

/// A prefix as the file has it.
fn written(net: &IpNet) -> String {
    match net {
        IpNet::V4(net) => net.to_string(),
        IpNet::V6(net) => format!("\"{net}\""),
    }
}

/// A link shape as the file has it.
fn shape(shape: &LinkShape) -> String {
    let words = |selectors: &[Located<Selector>]| {
        let words: Vec<String> = selectors.iter().map(|selector| word(&selector.value)).collect();
        format!("[{}]", words.join(", "))
    };
    match shape {
        LinkShape::Mesh { members: None, .. } => "mesh".to_owned(),
        LinkShape::Mesh { members: Some(members), .. } => format!("{{ mesh: {} }}", words(members)),
        LinkShape::Hub { hubs, spokes, mesh_hubs, .. } => {
            let spokes = spokes.as_ref().map(|all| format!(", spokes: {}", words(all)));
            let apart = if *mesh_hubs { "" } else { ", mesh_hubs: false" };
            format!("{{ hub: {}{}{apart} }}", words(hubs), spokes.unwrap_or_default())
        }
        LinkShape::Pair { a, b, .. } => format!("[{}, {}]", a.value, b.value),
    }
}

fn word(selector: &Selector) -> String {
    match selector {
        Selector::Host(name) => name.to_string(),
        Selector::Site(name) => name.to_string(),
        Selector::Group(name) => name.to_string(),
        Selector::Network(name) => name.to_string(),
        Selector::Net(net) => net.to_string(),
        Selector::Internet => "internet".to_owned(),
    }
}

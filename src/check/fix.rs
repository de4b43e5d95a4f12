//! Changes to the file that make a flow work: proposed from the cause, and kept only if the proof
//! of the changed file succeeds.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::first::first;
use super::flow::Broken;
use super::flows::{self, Member};
use super::tables::Tables;
use super::walk::{Act, Cause};
use crate::finding;
use crate::inventory::{Host, Inventory, LinkShape, Reader, Selector, edit};
use crate::model::{Located, Location, count, mask_in};
use crate::topology::{self, Addresses, InterfaceId, NodeId, NodeKind, Topology};

/// Most proposals that are tried: each means to read and to prove the whole file again.
const TRIED: usize = 24;

/// A change to the file after which the flow works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fix {
    /// What it does, as a lower-case fragment.
    pub text: String,
    /// The change as a unified diff of the files, for patch(1) or `git apply`.
    pub patch: String,
}

/// One key that is set.
struct Edit {
    /// The key of the map that holds it.
    within: Location,
    key: &'static str,
    value: String,
}

struct Proposal {
    title: String,
    edits: Vec<Edit>,
}

/// Finds a change after which every flow from `from` to `to` works.
pub(super) fn find(
    inventory: &Inventory,
    topology: &Topology,
    addresses: &dyn Addresses,
    (from, to): (&Selector, &Selector),
    broken: &Broken,
) -> Option<Fix> {
    let errors = |inventory: &Inventory, topology: &Topology| {
        let found = super::check(inventory, topology);
        found.iter().filter(|f| f.severity == finding::Severity::Error).count()
    };
    let before = errors(inventory, topology);
    let sources =
        flows::expand(inventory, &inventory.index(), &Tables::new(inventory, topology), from);
    proposals(inventory, topology, addresses, (broken, &sources)).into_iter().take(TRIED).find_map(
        |proposal| {
            let texts = apply(inventory, &proposal)?;
            let mut reader = Reader::at(inventory.now);
            for ((_, file), text) in inventory.sources.files().zip(&texts) {
                reader.add(file.path.clone(), text.clone());
            }
            let changed = reader.finish().inventory?;
            let topology = topology::build(&changed, addresses);
            let tables = Tables::new(&changed, &topology);
            let works = first(&changed, &tables, from, to).broken.is_none();
            (works && errors(&changed, &topology) <= before)
                .then(|| Fix { text: proposal.title, patch: patch(inventory, &texts) })
        },
    )
}

/// The texts of all files with the edits made.
fn apply(inventory: &Inventory, proposal: &Proposal) -> Option<Vec<String>> {
    let mut texts: Vec<String> =
        inventory.sources.files().map(|(_, file)| file.text.clone()).collect();
    let mut edits: Vec<&Edit> = proposal.edits.iter().collect();
    // From the end of each file, so that places before stay what they are.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.within));
    for Edit { within, key, value } in edits {
        let text = texts.get_mut(within.file.0 as usize)?;
        *text = edit::set(text, within.end as usize, key, value)?;
    }
    Some(texts)
}

fn patch(inventory: &Inventory, texts: &[String]) -> String {
    let mut patch = String::new();
    for ((_, file), text) in inventory.sources.files().zip(texts) {
        if file.text != *text {
            let name = below(&file.path).display().to_string();
            let diff = similar::TextDiff::from_lines(&file.text, text);
            let (old, new) = (format!("a/{name}"), format!("b/{name}"));
            patch.push_str(&diff.unified_diff().context_radius(3).header(&old, &new).to_string());
        }
    }
    mask_in(&mut patch);
    patch
}

/// A path without what leads up: neither git nor patch(1) follows that. It is then relative to the
/// highest folder that it is given by.
fn below(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => drop(below.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    below
}

fn proposals(
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
    if let (true, Some(step)) = (unmet, last) {
        all.extend(step.interface.map(|id| maker.hubs(id)).unwrap_or_default());
    }
    all.extend(maker.gateways(broken));
    all.extend(maker.links(broken));
    // A host in between that could pass the packets on.
    let crossed = steps().filter(|step| matches!(step.act, Act::Send(_) | Act::Drop(_)));
    let mut nodes: Vec<NodeId> = crossed.map(|step| step.node).collect();
    nodes.dedup();
    all.extend(nodes.into_iter().flat_map(|node| switch(node, "transit")));
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
        let edits = vec![Edit { within: host.name.at, key, value: "true".to_owned() }];
        Some(Proposal { title: format!("say `{key}: true` on `{}`", host.name.value), edits })
    }

    /// What is derived instead of what overrides it: the one to blame, then all that play a part.
    fn overrides(&self, addresses: &dyn Addresses, broken: &Broken) -> Vec<Proposal> {
        let (blamed, declared) = super::broken::blame(self.topology, broken);
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
        let edit = |(host, own, peer, at): &(usize, usize, usize, Location)| {
            let settings = &self.inventory.hosts[*host];
            let interface = &settings.interfaces[*own];
            let name = &interface.peers[*peer].peer.value;
            let node = NodeId(u32::try_from(*host).ok()?);
            let peers = &derived.interface(derived.member(node, interface.network)?).peers;
            let peer = peers.iter().find(|peer| derived.remote(peer).name == *name)?;
            let nets: Vec<String> = peer
                .allowed_ips
                .iter()
                .map(|net| match net {
                    ipnet::IpNet::V4(net) => net.to_string(),
                    ipnet::IpNet::V6(net) => format!("\"{net}\""),
                })
                .collect();
            let value = format!("[{}]", nets.join(", "));
            let title = format!("derive the AllowedIPs of `{name}` on `{}`", settings.name.value);
            Some((title, Edit { within: *at, key: "allowed_ips", value }))
        };
        let single = found
            .iter()
            .filter_map(edit)
            .map(|(title, edit)| Proposal { title, edits: vec![edit] });
        let mut all: Vec<Proposal> = single.take(6).collect();
        if found.len() > 1 {
            let edits: Vec<Edit> = found.iter().filter_map(edit).map(|(_, edit)| edit).collect();
            all.push(Proposal { title: "derive the overridden AllowedIPs".to_owned(), edits });
        }
        all
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
        let edit = |within| Edit { within, key: "keepalive", value: "25".to_owned() };
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
                        .map(|within| Edit {
                            within,
                            key: "full_tunnel",
                            value: far.name.to_string(),
                        })
                        .into(),
                    NodeKind::Unmanaged(_) => {
                        vec![Edit { within: node.at, key: "full_tunnel", value: "true".to_owned() }]
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
                    let exit = Edit { within, key: "exit", value: "true".to_owned() };
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
            let (within, value) = (host.name.at, exit.name.to_string());
            (!full).then_some(Edit { within, key: "full_tunnel", value })
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
                let edit = self.with_links(network, &[format!("[{one}, {two}]")]);
                all.push(Proposal { title, edits: vec![edit] });
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
                    let mut edits = vec![self.with_links(network, &links)];
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
            let edits = vec![Edit { within: settings.name.at, key: "links", value }];
            let title =
                format!("link hosts without an endpoint to `{hub}`, which passes their packets on");
            Proposal { title, edits }
        };
        found.iter().take(3).map(proposal).collect()
    }

    /// The links of a network with more of them.
    fn with_links(&self, network: usize, more: &[String]) -> Edit {
        let network = &self.inventory.networks[network];
        let mut shapes: Vec<String> = network.links.iter().map(shape).collect();
        shapes
            .extend(more.iter().filter(|more| !shapes.contains(more)).cloned().collect::<Vec<_>>());
        Edit { within: network.name.at, key: "links", value: format!("[{}]", shapes.join(", ")) }
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

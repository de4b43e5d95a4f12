//! Ties the sections together: inheritance, memberships, and every name looked up.

use crate::finding::{Code, Finding};
use crate::model::{
    GroupName, HostName, InterfaceName, Located, Location, RouteTable, SourceMap, parse_net,
};

use super::draft::{Draft, DraftHost, DraftPeer, DraftRule};
use super::fields::Sink;
use super::links::{self, Word};
use super::names::{Meaning, Names};
use super::settings::{InterfaceSettings, Member, Settings};
use super::{
    Expect, Host, HostInterface, Inventory, LinkShape, Network, Selector, Site, UnmanagedPeer,
};

/// Makes an inventory of what the files say; `None` where the fleet has no name.
pub(super) fn resolve(draft: Draft<'_>, sources: &SourceMap, sink: &mut Sink) -> Option<Inventory> {
    let mut fleet = Resolver {
        names: Names::default(),
        defaults: draft.defaults.map(|defaults| defaults.value).unwrap_or_default(),
        groups: Vec::new(),
        tunings: Vec::new(),
        site_defaults: Vec::new(),
        networks: Vec::new(),
        sites: Vec::new(),
        hosts: Vec::new(),
        sink,
    };
    for group in draft.groups {
        let meaning = Meaning::Group(fleet.groups.len());
        if fleet.names.claim(group.name.value.as_str(), group.name.at, meaning, fleet.sink) {
            fleet.groups.push((group.name.value, group.settings));
        }
    }
    let shapes = fleet.networks(draft.networks);
    let mut site_of = Vec::with_capacity(draft.sites.len());
    for site in draft.sites {
        let index = fleet.sites.len();
        let name = site.name.value.as_str();
        if fleet.names.claim(name, site.name.at, Meaning::Site(index), fleet.sink) {
            site_of.push(Some(index));
            fleet.site_defaults.push(site.defaults);
            fleet.sites.push(Site {
                name: site.name,
                subnets: site.subnets,
                underlay: site.underlay,
            });
        } else {
            site_of.push(match fleet.names.get(name) {
                Some(Meaning::Site(first)) => Some(first),
                _ => None,
            });
        }
    }
    let mut hosts = Vec::with_capacity(draft.hosts.len());
    for host in draft.hosts {
        let meaning = Meaning::Host(hosts.len());
        if fleet.names.claim(host.name.value.as_str(), host.name.at, meaning, fleet.sink) {
            hosts.push(host);
        }
    }
    let mut peers = Vec::with_capacity(draft.peers.len());
    for peer in draft.peers {
        let meaning = Meaning::Peer(peers.len());
        if fleet.names.claim(peer.name.value.as_str(), peer.name.at, meaning, fleet.sink) {
            peers.push(peer);
        }
    }
    for host in hosts {
        let under = host.under.and_then(|index| site_of[index]);
        let host = fleet.host(host, under);
        fleet.hosts.push(host);
    }
    fleet.full_tunnels();
    for (network, shapes) in shapes.into_iter().enumerate() {
        fleet.links(network, shapes);
    }
    let peers = peers.into_iter().filter_map(|peer| fleet.peer(peer)).collect();
    let expects = draft.rules.iter().filter_map(|rule| fleet.rule(rule)).collect();
    Some(Inventory {
        fleet: draft.fleet?,
        networks: fleet.networks,
        sites: fleet.sites,
        hosts: fleet.hosts,
        peers,
        expects,
        sources: sources.clone(),
    })
}

struct Resolver<'s> {
    names: Names,
    defaults: Settings,
    groups: Vec<(GroupName, Settings)>,
    /// What each network says about its members' interfaces.
    tunings: Vec<InterfaceSettings>,
    site_defaults: Vec<Settings>,
    networks: Vec<Network>,
    sites: Vec<Site>,
    hosts: Vec<Host>,
    sink: &'s mut Sink,
}

impl Resolver<'_> {
    /// Names the interfaces; returns the links of each network for later.
    fn networks<'n>(
        &mut self,
        drafts: Vec<super::draft::DraftNetwork<'n>>,
    ) -> Vec<Option<Vec<links::Draft<'n>>>> {
        let several = drafts.len() > 1;
        let mut shapes = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let index = self.networks.len();
            let name = draft.name.value.as_str();
            if !self.names.claim_network(name, draft.name.at, index, self.sink) {
                continue;
            }
            let default = if several { name } else { "wg0" };
            let interface = draft.interface.or_else(|| match default.parse::<InterfaceName>() {
                Ok(interface) => Some(Located::new(interface, draft.name.at)),
                Err(error) => {
                    self.sink.push(
                        Finding::new(
                            Code::MissingKey,
                            format!("network `{name}` needs `interface`"),
                            draft.name.at,
                        )
                        .label(error.to_string())
                        .help("the interface is named as its network unless `interface:` says otherwise"),
                    );
                    None
                }
            });
            let Some(interface) = interface
                .or_else(|| "wg0".parse().ok().map(|name| Located::new(name, draft.name.at)))
            else {
                continue;
            };
            shapes.push(draft.links);
            self.networks.push(Network {
                name: draft.name,
                interface,
                prefixes: draft.prefixes,
                links: Vec::new(),
                psk: draft.psk,
                listen_port: draft.tuning.listen_port.clone(),
                mtu: draft.tuning.mtu.clone(),
            });
            self.tunings.push(draft.tuning);
        }
        shapes
    }

    fn host(&mut self, draft: DraftHost, under: Option<usize>) -> Host {
        let site = match (&draft.site, under) {
            (Some(name), None) => self.names.find(
                name.value.as_str(),
                name.at,
                "site",
                |meaning| match meaning {
                    Meaning::Site(index) => Some(index),
                    _ => None,
                },
                self.sink,
            ),
            (_, under) => under,
        };
        let mut levels: Vec<usize> = Vec::new();
        for group in &draft.groups {
            let found = self.names.find(
                group.value.as_str(),
                group.at,
                "group",
                |meaning| match meaning {
                    Meaning::Group(index) => Some(index),
                    _ => None,
                },
                self.sink,
            );
            levels.extend(found.filter(|index| !levels.contains(index)));
        }
        let own = draft.settings;
        let mut settings = own.clone();
        if let Some(site) = site {
            settings.inherit(&self.site_defaults[site]);
            settings.interface.inherit(&self.site_defaults[site].interface);
        }
        for group in levels.iter().rev() {
            settings.inherit(&self.groups[*group].1);
            settings.interface.inherit(&self.groups[*group].1.interface);
        }
        settings.inherit(&self.defaults);
        let nat = settings.nat.unwrap_or_default();
        let interfaces = self.interfaces(&draft.name, &own, &settings, nat, &draft.peers);
        for over in &draft.peers {
            self.known_peer(&draft.name, &over.peer);
        }
        if let Some(gateway) = settings.gateway.as_ref().filter(|gateway| gateway.value) {
            let lans = site.is_some_and(|site| !self.sites[site].subnets.is_empty());
            if !lans && draft.subnets.is_empty() && own.gateway.is_some() {
                self.sink.push(
                    Finding::new(
                        Code::Conflict,
                        format!("`{}` is a gateway without subnets", draft.name.value),
                        gateway.at,
                    )
                    .label("routes its site's subnets, and there are none")
                    .help("give its site `subnets:`, or remove `gateway`"),
                );
            }
        }
        let ssh =
            draft.ssh.unwrap_or_else(|| Located::new((&draft.name.value).into(), draft.name.at));
        let groups = levels.iter().map(|index| self.groups[*index].0.clone()).collect();
        Host {
            ssh,
            site,
            groups,
            r#become: settings.r#become.unwrap_or_default(),
            nat,
            gateway: settings.gateway.is_some_and(|gateway| gateway.value),
            transit: settings.transit.unwrap_or_default(),
            exit: settings.exit.unwrap_or_default(),
            masquerade: settings.masquerade.unwrap_or_default(),
            subnets: draft.subnets,
            backend: settings.backend.unwrap_or_default(),
            interfaces,
            name: draft.name,
        }
    }

    /// The memberships of a host, in order of the networks.
    fn interfaces(
        &mut self,
        name: &Located<HostName>,
        own: &Settings,
        settings: &Settings,
        nat: bool,
        overrides: &[super::PeerOverride],
    ) -> Vec<HostInterface> {
        let mut members: Vec<(usize, Member)> = Vec::new();
        match &settings.networks {
            Some(named) => {
                for member in named {
                    let text = Located::new(member.name.value.as_str(), member.name.at);
                    let Some(index) = self.names.find_network(&text, self.sink) else { continue };
                    if members.iter().all(|(other, _)| *other != index) {
                        members.push((index, member.clone()));
                    }
                }
            }
            None => match &self.networks[..] {
                [only] => {
                    let network = Located::new(only.name.value.clone(), name.at);
                    let settings = InterfaceSettings::default();
                    members.push((0, Member { name: network, settings }));
                }
                [] => {}
                several => {
                    let names: Vec<&str> = several.iter().map(|n| n.name.value.as_str()).collect();
                    let example = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
                    self.sink.push(
                        Finding::new(
                            Code::MissingKey,
                            format!("host `{}` is in no network", name.value),
                            name.at,
                        )
                        .help(format!(
                            "the file has several networks: write `networks: [{example}]` with those that it is in"
                        )),
                    );
                }
            },
        }
        members.sort_by_key(|(index, _)| *index);
        if members.len() > 1 {
            self.single_settings(&own.interface, members.len());
        }
        let several = members.len() > 1;
        members
            .into_iter()
            .map(|(network, member)| {
                let mut general = settings.interface.clone();
                if several {
                    self.split_addresses(network, &mut general);
                }
                let own_port = member
                    .settings
                    .listen_port
                    .clone()
                    .or_else(|| own.interface.listen_port.clone());
                let mut merged = member.settings;
                merged.inherit(&general);
                merged.inherit(&self.tunings[network]);
                merged.inherit(&self.defaults.interface);
                // An endpoint without NAT names the port; inherited ports do not contradict it.
                let listen_port = match (&merged.endpoint, own_port) {
                    (_, Some(port)) => Some(port),
                    (Some(_), None) if !nat => None,
                    (_, None) => merged.listen_port,
                };
                let full_tunnel_via = merged.full_tunnel.and_then(|via| {
                    let at = via.at;
                    via.value.filter(|via| *via != name.value).map(|via| Located::new(via, at))
                });
                HostInterface {
                    network,
                    at: if settings.networks.is_some() { member.name.at } else { name.at },
                    interface: merged.interface,
                    addresses: merged.address.unwrap_or_default(),
                    endpoint: merged.endpoint,
                    local_endpoint: merged.local_endpoint,
                    listen_port,
                    mtu: merged.mtu,
                    table: merged.table.unwrap_or(RouteTable::Auto),
                    fwmark: merged
                        .fwmark
                        .and_then(|mark| mark.value.map(|value| Located::new(value, mark.at))),
                    dns: merged.dns.unwrap_or_default(),
                    keepalive: merged.keepalive,
                    hooks: merged.hooks,
                    full_tunnel_via,
                    peers: overrides.to_vec(),
                }
            })
            .collect()
    }

    /// Settings that one interface alone can have, on a host with several.
    fn single_settings(&mut self, own: &InterfaceSettings, count: usize) {
        let places = [
            ("interface", own.interface.as_ref().map(|v| v.at)),
            ("endpoint", own.endpoint.as_ref().map(|v| v.at)),
            ("local_endpoint", own.local_endpoint.as_ref().map(|v| v.at)),
            ("listen_port", own.listen_port.as_ref().map(|v| v.at)),
        ];
        for (key, at) in places.into_iter().filter_map(|(key, at)| at.map(|at| (key, at))) {
            self.sink.push(
                Finding::new(
                    Code::Conflict,
                    format!("`{key}` of a host with {count} interfaces"),
                    at,
                )
                .label("which of them?")
                .help(format!("write it under the network: `networks: {{NAME: {{{key}: …}}}}`")),
            );
        }
    }

    /// A host with several interfaces may list its addresses together: each goes to the network
    /// whose prefix holds it.
    fn split_addresses(&self, network: usize, settings: &mut InterfaceSettings) {
        let Some(addresses) = &mut settings.address else { return };
        let holder = |addr: &std::net::IpAddr| {
            self.networks
                .iter()
                .position(|network| network.prefixes.iter().any(|net| net.value.contains(addr)))
        };
        // One that no prefix holds stays with the first network; the checker says so.
        addresses.retain(|addr| holder(&addr.value).unwrap_or(0) == network);
        if addresses.is_empty() {
            settings.address = None;
        }
    }

    /// A peer override names a host or an unmanaged peer, and not the host itself.
    fn known_peer(&mut self, host: &Located<HostName>, peer: &Located<HostName>) {
        let found = self.names.find(
            peer.value.as_str(),
            peer.at,
            "host or peer",
            |meaning| matches!(meaning, Meaning::Host(_) | Meaning::Peer(_)).then_some(()),
            self.sink,
        );
        if found.is_some() && host.value == peer.value {
            let title = format!("`{}` overrides itself as a peer", host.value);
            self.sink
                .push(Finding::new(Code::Conflict, title, peer.at).help("name one of its peers"));
        }
    }

    /// The host of a full tunnel must share a network; a host with several interfaces sends its
    /// full tunnel through the one that it shares with it.
    fn full_tunnels(&mut self) {
        let mut changes: Vec<(usize, usize)> = Vec::new();
        for (index, host) in self.hosts.iter().enumerate() {
            for (slot, interface) in host.interfaces.iter().enumerate() {
                let Some(via) = &interface.full_tunnel_via else { continue };
                let found = self.names.find(
                    via.value.as_str(),
                    via.at,
                    "host",
                    |meaning| match meaning {
                        Meaning::Host(index) => Some(index),
                        _ => None,
                    },
                    self.sink,
                );
                let Some(target) = found else {
                    changes.push((index, slot));
                    continue;
                };
                let shares = |network: usize| {
                    self.hosts[target].interfaces.iter().any(|other| other.network == network)
                };
                let shared = host.interfaces.iter().position(|interface| shares(interface.network));
                if shared != Some(slot) {
                    changes.push((index, slot));
                }
                if shared.is_none() && slot == 0 {
                    self.sink.push(
                        Finding::new(
                            Code::Conflict,
                            format!("`{}` and `{}` share no network", host.name.value, via.value),
                            via.at,
                        )
                        .also(host.name.at, "sends everything through it")
                        .help("name a host of one of its networks"),
                    );
                }
            }
        }
        for (host, slot) in changes {
            self.hosts[host].interfaces[slot].full_tunnel_via = None;
        }
    }

    fn is_member(&self, host: usize, network: usize) -> bool {
        self.hosts[host].interfaces.iter().any(|interface| interface.network == network)
    }

    fn links(&mut self, network: usize, shapes: Option<Vec<links::Draft<'_>>>) {
        let at = self.networks[network].name.at;
        let links = match shapes {
            None => vec![LinkShape::Mesh { members: None, at }],
            Some(drafts) => {
                drafts.into_iter().filter_map(|draft| self.link(network, draft)).collect()
            }
        };
        self.networks[network].links = links;
    }

    fn link(&mut self, network: usize, draft: links::Draft<'_>) -> Option<LinkShape> {
        match draft {
            links::Draft::Mesh { members, at } => Some(LinkShape::Mesh {
                members: members.map(|words| self.selectors(network, &words)),
                at,
            }),
            links::Draft::Hub { hubs, spokes, mesh_hubs, at } => {
                let hubs = self.selectors(network, &hubs);
                let spokes = spokes.map(|words| self.selectors(network, &words));
                (!hubs.is_empty()).then_some(LinkShape::Hub { hubs, spokes, mesh_hubs, at })
            }
            links::Draft::Pair { a, b, at } => {
                if a.value == b.value {
                    let title = format!("a link from `{}` to itself", a.value);
                    self.sink
                        .push(Finding::new(Code::Conflict, title, b.at).help("name two hosts"));
                    return None;
                }
                let (a, b) = (self.end(network, &a), self.end(network, &b));
                Some(LinkShape::Pair { a: a?, b: b?, at })
            }
        }
    }

    /// One end of a link that is written out.
    fn end(&mut self, network: usize, word: &Word<'_>) -> Option<Located<HostName>> {
        if matches!(self.names.get(word.value), Some(Meaning::Peer(_))) {
            self.peer_in_links(word);
            return None;
        }
        let index = self.names.find(
            word.value,
            word.at,
            "host",
            |meaning| match meaning {
                Meaning::Host(index) => Some(index),
                _ => None,
            },
            self.sink,
        )?;
        self.member(index, network, word.at)
            .then(|| Located::new(self.hosts[index].name.value.clone(), word.at))
    }

    fn member(&mut self, host: usize, network: usize, at: Location) -> bool {
        let is = self.is_member(host, network);
        if !is {
            let (host, network) = (&self.hosts[host].name, &self.networks[network].name);
            self.sink.push(
                Finding::new(
                    Code::UnknownReference,
                    format!("`{}` is not a member of network `{}`", host.value, network.value),
                    at,
                )
                .also(host.at, "the host")
                .help(format!("add `{}` to its `networks:`", network.value)),
            );
        }
        is
    }

    fn peer_in_links(&mut self, word: &Word<'_>) {
        self.sink.push(
            Finding::new(
                Code::UnknownReference,
                format!("`{}` is an unmanaged peer", word.value),
                word.at,
            )
            .help("unmanaged peers are linked by their own `via:`"),
        );
    }

    fn selectors(&mut self, network: usize, words: &[Word<'_>]) -> Vec<Located<Selector>> {
        words.iter().filter_map(|word| self.selector(network, word)).collect()
    }

    /// A host, a site or a group with members in the network.
    fn selector(&mut self, network: usize, word: &Word<'_>) -> Option<Located<Selector>> {
        if matches!(self.names.get(word.value), Some(Meaning::Peer(_))) {
            self.peer_in_links(word);
            return None;
        }
        let meaning =
            self.names.find(word.value, word.at, "host, site or group", Some, self.sink)?;
        let selector = match meaning {
            Meaning::Host(index) => self
                .member(index, network, word.at)
                .then(|| Selector::Host(self.hosts[index].name.value.clone()))?,
            Meaning::Site(index) => {
                self.any_member(network, word, |host| host.site == Some(index));
                Selector::Site(self.sites[index].name.value.clone())
            }
            Meaning::Group(index) => {
                let group = self.groups[index].0.clone();
                self.any_member(network, word, |host| host.groups.contains(&group));
                Selector::Group(group)
            }
            Meaning::Peer(_) => return None,
        };
        Some(Located::new(selector, word.at))
    }

    fn any_member(&mut self, network: usize, word: &Word<'_>, belongs: impl Fn(&Host) -> bool) {
        let found = self
            .hosts
            .iter()
            .any(|host| belongs(host) && host.interfaces.iter().any(|i| i.network == network));
        if !found {
            let name = &self.networks[network].name.value;
            self.sink.push(
                Finding::new(
                    Code::UnknownReference,
                    format!("`{}` has no host in network `{name}`", word.value),
                    word.at,
                )
                .help("name a host, site or group with members in the network"),
            );
        }
    }

    fn peer(&mut self, draft: DraftPeer) -> Option<UnmanagedPeer> {
        let network = match (&draft.network, &self.networks[..]) {
            (Some(name), _) => {
                let text = Located::new(name.value.as_str(), name.at);
                self.names.find_network(&text, self.sink)?
            }
            (None, [_]) => 0,
            (None, _) => {
                self.sink.push(
                    Finding::new(
                        Code::MissingKey,
                        format!("peer `{}` needs `network`", draft.name.value),
                        draft.name.at,
                    )
                    .help("the file does not have exactly one network: name the peer's"),
                );
                return None;
            }
        };
        let mut via = Vec::new();
        for name in draft.via {
            let found = self.names.find(
                name.value.as_str(),
                name.at,
                "host",
                |meaning| match meaning {
                    Meaning::Host(index) => Some(index),
                    _ => None,
                },
                self.sink,
            );
            if found.is_some_and(|index| self.member(index, network, name.at)) {
                via.push(name);
            }
        }
        Some(UnmanagedPeer {
            name: draft.name,
            network,
            via,
            public_key: draft.public_key,
            addresses: draft.addresses,
            endpoint: draft.endpoint,
            full_tunnel: draft.full_tunnel,
            subnets: draft.subnets,
            keepalive: draft.keepalive,
            dns: draft.dns,
            mtu: draft.mtu,
        })
    }

    fn rule(&mut self, draft: &DraftRule<'_>) -> Option<Expect> {
        let (from, to) = (self.flow_end(&draft.from), self.flow_end(&draft.to));
        Some(Expect { allow: draft.allow, from: from?, to: to?, at: draft.at })
    }

    fn flow_end(&mut self, word: &Word<'_>) -> Option<Located<Selector>> {
        let text = word.value;
        let selector = if text == "internet" {
            Selector::Internet
        } else if let Some(index) =
            self.names.network(text).filter(|_| self.names.get(text).is_none())
        {
            Selector::Network(self.networks[index].name.value.clone())
        } else if let Ok(net) = parse_net(text) {
            Selector::Net(net.trunc())
        } else {
            let what = "host, site, group, peer, network or prefix";
            match self.names.find(text, word.at, what, Some, self.sink)? {
                Meaning::Host(_) | Meaning::Peer(_) => Selector::Host(text.parse().ok()?),
                Meaning::Site(index) => Selector::Site(self.sites[index].name.value.clone()),
                Meaning::Group(index) => Selector::Group(self.groups[index].0.clone()),
            }
        };
        if self.names.network(text).is_some() && self.names.get(text).is_some() {
            self.sink.push(
                Finding::new(
                    Code::Conflict,
                    format!("`{text}` is a network and something else"),
                    word.at,
                )
                .help("rename one of them, so that the rule says which is meant"),
            );
        }
        Some(Located::new(selector, word.at))
    }
}

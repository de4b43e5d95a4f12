//! Ties the sections together: inheritance, memberships, and every name looked up.

use crate::finding::{Code, Finding};
use crate::model::{GroupName, HostName, InterfaceName, Located, NetworkName, SourceMap};

use super::declared::Level;
use super::draft::{Draft, DraftHost};
use super::fields::Sink;
use super::form::Entry;
use super::host::HostMap;
use super::links;
use super::moved;
use super::names::{Meaning, Names};
use super::network::NetworkMap;
use super::rows::Rows as _;
use super::settings::{InterfaceSettings, Settings};
use super::{Host, Inventory, Network, PeerOverride, Site};

/// Makes an inventory of what the files say; `None` where the fleet has no name.
pub(super) fn resolve(draft: Draft, sources: &SourceMap, sink: &mut Sink) -> Option<Inventory> {
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
    for (name, settings) in draft.groups {
        let meaning = Meaning::Group(fleet.groups.len());
        if fleet.names.claim(name.value.as_str(), name.at, meaning, fleet.sink) {
            fleet.groups.push((name.value, settings));
        }
    }
    let none = draft.networks.is_empty() && fleet.sink.findings.is_empty();
    if let (true, Some(host)) = (none, draft.hosts.first()) {
        fleet.sink.push(
            Finding::new(Code::MissingKey, "the inventory has no `networks`", host.name.at)
                .label("nothing links this host")
                .help("add `networks: {backbone: {prefixes: [10.10.0.0/24]}}`"),
        );
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
    for (name, map) in draft.peers {
        let meaning = Meaning::Peer(peers.len());
        if fleet.names.claim(name.value.as_str(), name.at, meaning, fleet.sink) {
            peers.push((name, map));
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
    let peers = peers.into_iter().filter_map(|(name, map)| fleet.peer(name, map)).collect();
    let moved = moved::settle(&draft.moved, &mut fleet.names, fleet.sink);
    let expects = draft.rules.iter().filter_map(|rule| fleet.rule(rule)).collect();
    let rollout = fleet.rollout(draft.rollout.as_ref());
    Some(Inventory {
        fleet: draft.fleet?.into(),
        networks: fleet.networks,
        sites: fleet.sites,
        hosts: fleet.hosts,
        peers,
        expects,
        moved,
        rollout,
        absent: Vec::new(),
        now: None,
        sources: sources.clone(),
    })
}

/// The fleet as far as it is tied together.
pub(super) struct Resolver<'s> {
    pub(super) names: Names,
    pub(super) defaults: Settings,
    pub(super) groups: Vec<(GroupName, Settings)>,
    /// What each network says about its members' interfaces.
    pub(super) tunings: Vec<InterfaceSettings>,
    pub(super) site_defaults: Vec<Settings>,
    pub(super) networks: Vec<Network>,
    pub(super) sites: Vec<Site>,
    pub(super) hosts: Vec<Host>,
    pub(super) sink: &'s mut Sink,
}

impl Resolver<'_> {
    /// Names the interfaces; returns the links of each network for later.
    fn networks(
        &mut self,
        drafts: Vec<(Located<NetworkName>, NetworkMap)>,
    ) -> Vec<Option<Vec<links::Draft>>> {
        let several = drafts.len() > 1;
        let mut shapes = Vec::with_capacity(drafts.len());
        for (named, NetworkMap { keys, interface: settings }) in drafts {
            let index = self.networks.len();
            let name = named.value.as_str();
            if !self.names.claim_network(name, named.at, index, self.sink) {
                continue;
            }
            let default = if several { name } else { "wg0" };
            let written = keys.interface.map(Located::from);
            let interface = written.or_else(|| match default.parse::<InterfaceName>() {
                Ok(interface) => Some(Located::new(interface, named.at)),
                Err(error) => {
                    self.sink.push(
                        Finding::new(
                            Code::MissingKey,
                            format!("network `{name}` needs `interface`"),
                            named.at,
                        )
                        .label(error.to_string())
                        .help("the interface is named as its network unless `interface:` says otherwise"),
                    );
                    None
                }
            });
            let Some(interface) =
                interface.or_else(|| "wg0".parse().ok().map(|name| Located::new(name, named.at)))
            else {
                continue;
            };
            shapes.push(keys.links);
            self.networks.push(Network {
                name: named,
                interface,
                prefixes: keys.prefixes,
                links: Vec::new(),
                psk: keys.psk.inherited(Level::Network),
                mtu: settings.mtu.as_ref().map(|mtu| mtu.inherited(Level::Network)),
            });
            self.tunings.push(settings);
        }
        shapes
    }

    fn host(&mut self, draft: DraftHost, under: Option<usize>) -> Host {
        let HostMap { keys, presence, settings: own } = draft.map;
        let site = match (&keys.site, under) {
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
        for group in &keys.groups {
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
        let mut settings = own.clone();
        if let Some(site) = site {
            settings.inherit(&self.site_defaults[site], Level::Site);
            settings.interface.inherit(&self.site_defaults[site].interface, Level::Site);
        }
        for (index, group) in levels.iter().enumerate().rev() {
            let level = Level::Group(u16::try_from(index).unwrap_or(u16::MAX));
            settings.inherit(&self.groups[*group].1, level);
            settings.interface.inherit(&self.groups[*group].1.interface, level);
        }
        settings.inherit(&self.defaults, Level::Fleet);
        let peers: Vec<PeerOverride> = keys
            .peers
            .into_iter()
            .filter_map(Entry::whole)
            .map(|(peer, settings)| PeerOverride { peer, settings })
            .collect();
        let interfaces = self.interfaces(&draft.name, &own, &settings, &peers);
        for over in &peers {
            self.known_peer(&draft.name, &over.peer);
        }
        if let Some(gateway) = settings.host.gateway.declared().filter(|gateway| gateway.value) {
            let lans = site.is_some_and(|site| !self.sites[site].subnets.is_empty());
            if !lans && keys.subnets.is_empty() && own.host.gateway.declared().is_some() {
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
        let ssh = keys
            .ssh
            .map_or_else(|| Located::new((&draft.name.value).into(), draft.name.at), Located::from);
        let groups = levels.iter().map(|index| self.groups[*index].0.clone()).collect();
        Host {
            ssh,
            site,
            groups,
            presence,
            settings: settings.host,
            subnets: keys.subnets,
            interfaces,
            name: draft.name,
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
}

//! Looks up the names in links, unmanaged peers, rules and rollouts.

use std::collections::BTreeSet;

use crate::finding::{Code, Finding};
use crate::model::{HostName, Located, Location, Part, parse_net};

use super::expect::DraftRule;
use super::links::{self, Word};
use super::names::Meaning;
use super::peer::PeerMap;
use super::resolve::Resolver;
use super::rollout::{RolloutKeys, RolloutPolicy};
use super::value;
use super::{Expect, Host, LinkShape, LossOf, Selector, UnmanagedPeer};

impl Resolver<'_> {
    fn is_member(&self, host: usize, network: usize) -> bool {
        self.hosts[host].interfaces.iter().any(|interface| interface.network == network)
    }

    pub(super) fn links(&mut self, network: usize, shapes: Option<Vec<links::Draft>>) {
        let at = self.networks[network].name.at;
        let links = match shapes {
            None => vec![LinkShape::Mesh { members: None, at }],
            Some(drafts) => {
                drafts.into_iter().filter_map(|draft| self.link(network, draft)).collect()
            }
        };
        self.networks[network].links = links;
    }

    fn link(&mut self, network: usize, draft: links::Draft) -> Option<LinkShape> {
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
    fn end(&mut self, network: usize, word: &Word) -> Option<Located<HostName>> {
        if matches!(self.names.get(&word.value), Some(Meaning::Peer(_))) {
            self.peer_in_links(word);
            return None;
        }
        let index = self.names.find(
            &word.value,
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
        if !is && !self.names.is_twice(self.hosts[host].name.value.as_str()) {
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

    fn peer_in_links(&mut self, word: &Word) {
        self.sink.push(
            Finding::new(
                Code::UnknownReference,
                format!("`{}` is an unmanaged peer", word.value),
                word.at,
            )
            .help("unmanaged peers are linked by their own `via:`"),
        );
    }

    fn selectors(&mut self, network: usize, words: &[Word]) -> Vec<Located<Selector>> {
        words.iter().filter_map(|word| self.selector(network, word)).collect()
    }

    /// A host, a site or a group with members in the network.
    fn selector(&mut self, network: usize, word: &Word) -> Option<Located<Selector>> {
        if matches!(self.names.get(&word.value), Some(Meaning::Peer(_))) {
            self.peer_in_links(word);
            return None;
        }
        let meaning =
            self.names.find(&word.value, word.at, "host, site or group", Some, self.sink)?;
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

    fn any_member(&mut self, network: usize, word: &Word, belongs: impl Fn(&Host) -> bool) {
        let found = self
            .hosts
            .iter()
            .any(|host| belongs(host) && host.interfaces.iter().any(|i| i.network == network));
        if !found && !self.names.is_twice(&word.value) {
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

    pub(super) fn peer(&mut self, name: Located<HostName>, map: PeerMap) -> Option<UnmanagedPeer> {
        let PeerMap { links, presence, mut settings } = map;
        let network = match (&links.network, &self.networks[..]) {
            (Some(network), _) => {
                let text = Located::new(network.value.as_str(), network.at);
                self.names.find_network(&text, self.sink)?
            }
            (None, [_]) => 0,
            (None, _) => {
                self.sink.push(
                    Finding::new(
                        Code::MissingKey,
                        format!("peer `{}` needs `network`", name.value),
                        name.at,
                    )
                    .help("the file does not have exactly one network: name the peer's"),
                );
                return None;
            }
        };
        let mut via = Vec::new();
        for host in links.via {
            let found = self.names.find(
                host.value.as_str(),
                host.at,
                "host",
                |meaning| match meaning {
                    Meaning::Host(index) => Some(index),
                    _ => None,
                },
                self.sink,
            );
            if found.is_some_and(|index| self.member(index, network, host.at)) {
                via.push(host);
            }
        }
        settings.address =
            settings.address.map(|addresses| value::one_of_each_family(addresses, self.sink));
        Some(UnmanagedPeer { name, network, via, presence, settings })
    }

    pub(super) fn rule(&mut self, draft: &DraftRule) -> Option<Expect> {
        let (from, to) = (self.flow_end(&draft.from), self.flow_end(&draft.to));
        let without = match &draft.without {
            Some(names) => Some(self.loss_of(names, draft.at)?),
            None => None,
        };
        Some(Expect { allow: draft.allow, from: from?, to: to?, without, at: draft.at })
    }

    /// What a `survive` rule takes away.
    fn loss_of(&mut self, words: &[Word], rule: Location) -> Option<Located<LossOf>> {
        const HELP: &str = "write `loss_of: NAME` for a host, a peer or the uplink of a site, or \
                            `loss_of: [a, b]` for the link between two hosts";
        let at = words.first().map_or(rule, |word| word.at);
        let mut ends: Vec<HostName> = Vec::new();
        for word in words {
            let what = "host, peer or site";
            match self.names.find(&word.value, word.at, what, Some, self.sink)? {
                Meaning::Host(_) | Meaning::Peer(_) => ends.push(word.value.parse().ok()?),
                Meaning::Site(site) if words.len() == 1 => {
                    let name = self.sites[site].name.value.clone();
                    return Some(Located::new(LossOf::Uplink(name), at));
                }
                other @ (Meaning::Site(_) | Meaning::Group(_)) => {
                    let title = format!("`{}` is {}", word.value, other.what());
                    self.sink.push(Finding::new(Code::WrongType, title, word.at).help(HELP));
                    return None;
                }
            }
        }
        match <[HostName; 1]>::try_from(ends) {
            Ok([host]) => Some(Located::new(LossOf::Host(host), at)),
            Err(ends) => match <[HostName; 2]>::try_from(ends) {
                Ok([a, b]) if a != b => Some(Located::new(LossOf::Link(a, b), at)),
                _ => {
                    let title = "a rule takes away one thing: a host, a site or a link";
                    self.sink.push(Finding::new(Code::WrongType, title, at).help(HELP));
                    None
                }
            },
        }
    }

    fn flow_end(&mut self, word: &Word) -> Option<Located<Selector>> {
        let text = word.value.as_str();
        let selector = if text == "internet" {
            Selector::Internet
        } else if let Some(index) =
            self.names.network(text).filter(|_| self.names.get(text).is_none())
        {
            Selector::Network(self.networks[index].name.value.clone())
        } else if let Ok(net) = parse_net(text) {
            if net != net.trunc() {
                value::host_bits(&net, word.at, self.sink);
            }
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

    /// Looks the names of `rollout:` up.
    pub(super) fn rollout(&mut self, keys: Option<&Located<RolloutKeys>>) -> RolloutPolicy {
        let Some(Located { value: keys, .. }) = keys else {
            return RolloutPolicy::default();
        };
        let values = |all: &[Located<Part>]| all.iter().map(|part| part.value).collect();
        RolloutPolicy {
            canary: keys.canary.iter().flatten().flat_map(|word| self.named(word)).collect(),
            waves: values(&keys.waves),
            order: keys.order.iter().flatten().map(|word| self.named(word)).collect(),
            max_group: keys.max_group.as_ref().and_then(|size| usize::try_from(size.value).ok()),
            budget: keys.budget.as_ref().map(|budget| budget.value),
            ask: keys.ask.declared().is_some_and(|ask| ask.value),
            windows: keys.windows.iter().map(|window| window.value.clone()).collect(),
            forbid: keys.forbid.iter().map(|kind| kind.value).collect(),
        }
    }

    /// The hosts of a host's name, a site or a group.
    fn named(&mut self, word: &Located<String>) -> BTreeSet<HostName> {
        let only = |meaning| (!matches!(meaning, Meaning::Peer(_))).then_some(meaning);
        let what = "host, site or group";
        let Some(meaning) = self.names.find(&word.value, word.at, what, only, self.sink) else {
            return BTreeSet::new();
        };
        let group = match meaning {
            Meaning::Group(index) => Some(&self.groups[index].0),
            _ => None,
        };
        let hosts = self.hosts.iter().enumerate().filter(|(index, host)| match meaning {
            Meaning::Host(host) => *index == host,
            Meaning::Site(site) => host.site == Some(site),
            Meaning::Group(_) => group.is_some_and(|group| host.groups.contains(group)),
            Meaning::Peer(_) => false,
        });
        hosts.map(|(_, host)| host.name.value.clone()).collect()
    }
}

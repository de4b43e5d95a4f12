//! Which networks a host is a member of, and what each of its interfaces inherits.

use crate::finding::{Code, Finding};
use crate::model::{HostName, Located};

use super::HostInterface;
use super::declared::{Declared, Level};
use super::names::Meaning;
use super::resolve::Resolver;
use super::rows::Rows as _;
use super::settings::{InterfaceSettings, Member, Settings};
use super::value::one_of_each_family;

impl Resolver<'_> {
    /// The memberships of a host, in order of the networks.
    pub(super) fn interfaces(
        &mut self,
        name: &Located<HostName>,
        own: &Settings,
        settings: &Settings,
        overrides: &[super::PeerOverride],
    ) -> Vec<HostInterface> {
        let mut members: Vec<(usize, Member)> = Vec::new();
        match &settings.membership.networks {
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
                    members.push((0, Member::bare(network)));
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
                merged.inherit(&general, Level::Own);
                merged.inherit(&self.tunings[network], Level::Network);
                merged.inherit(&self.defaults.interface, Level::Fleet);
                // An endpoint says the port; inherited ports do not contradict it. Behind a NAT it is
                // the forwarder's, which says nothing about the host's.
                let told = (merged.endpoint.is_some() && !settings.host.nat.get())
                    || merged.local_endpoint.is_some();
                merged.listen_port = own_port.or_else(|| merged.listen_port.filter(|_| !told));
                merged.address = merged.address.map(|all| one_of_each_family(all, self.sink));
                let full_tunnel_via = merged.full_tunnel.clone().and_then(|via| {
                    let Declared { value, at, level } = via;
                    let other = value.filter(|via| *via != name.value);
                    other.map(|value| Declared { value, at, level })
                });
                HostInterface {
                    network,
                    at: if settings.membership.networks.is_some() {
                        member.name.at
                    } else {
                        name.at
                    },
                    settings: merged,
                    full_tunnel_via,
                    peers: overrides.to_vec(),
                }
            })
            .collect()
    }

    /// Settings that one interface alone can have, on a host with several.
    fn single_settings(&mut self, own: &InterfaceSettings, count: usize) {
        let rows = InterfaceSettings::ROWS;
        let single = [rows.interface, rows.endpoint, rows.local_endpoint, rows.listen_port];
        let single = single.map(|row| row.name);
        for (key, place) in own.places().into_iter().map(|(row, place)| (row.name, place)) {
            if !single.contains(&key) {
                continue;
            }
            self.sink.push(
                Finding::new(
                    Code::Conflict,
                    format!("`{key}` of a host with {count} interfaces"),
                    place.at,
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

    /// The host of a full tunnel must share a network; a host with several interfaces sends its
    /// full tunnel through the one that it shares with it.
    pub(super) fn full_tunnels(&mut self) {
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
                let common = host.interfaces.iter().position(|interface| shares(interface.network));
                if common != Some(slot) {
                    changes.push((index, slot));
                }
                if common.is_none() && slot == 0 {
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
}

//! Who a selector stands for.

use std::collections::HashMap;

use crate::model::{GroupName, HostName, NetworkName, SiteName};

use super::{Inventory, Selector};

/// Lookups by name over one inventory, each in constant time.
#[derive(Debug, Default)]
pub struct Index<'i> {
    hosts: HashMap<&'i HostName, usize>,
    peers: HashMap<&'i HostName, usize>,
    sites: HashMap<&'i SiteName, usize>,
    networks: HashMap<&'i NetworkName, usize>,
    by_site: HashMap<&'i SiteName, Vec<usize>>,
    by_group: HashMap<&'i GroupName, Vec<usize>>,
    by_network: Vec<Vec<usize>>,
    single: Vec<usize>,
}

impl Inventory {
    /// Lookups by name.
    #[must_use]
    pub fn index(&self) -> Index<'_> {
        let mut index = Index {
            by_network: vec![Vec::new(); self.networks.len()],
            single: (0..self.hosts.len()).collect(),
            ..Index::default()
        };
        for (at, site) in self.sites.iter().enumerate() {
            index.sites.insert(&site.name.value, at);
        }
        for (at, network) in self.networks.iter().enumerate() {
            index.networks.insert(&network.name.value, at);
        }
        for (at, peer) in self.peers.iter().enumerate() {
            index.peers.insert(&peer.name.value, at);
        }
        for (at, host) in self.hosts.iter().enumerate() {
            index.hosts.insert(&host.name.value, at);
            if let Some(site) = host.site.and_then(|site| self.sites.get(site)) {
                index.by_site.entry(&site.name.value).or_default().push(at);
            }
            for group in &host.groups {
                index.by_group.entry(group).or_default().push(at);
            }
            for interface in &host.interfaces {
                if let Some(members) = index.by_network.get_mut(interface.network) {
                    members.push(at);
                }
            }
        }
        index
    }

    /// The managed hosts that a selector stands for, as indices in order of the file. For many
    /// lookups, make an [`Index`] once.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<usize> {
        self.index().select(selector).to_vec()
    }
}

impl Index<'_> {
    /// Index of a managed host.
    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<usize> {
        self.hosts.get(name).copied()
    }

    /// Index of an unmanaged peer.
    #[must_use]
    pub fn peer(&self, name: &HostName) -> Option<usize> {
        self.peers.get(name).copied()
    }

    /// Index of a site.
    #[must_use]
    pub fn site(&self, name: &SiteName) -> Option<usize> {
        self.sites.get(name).copied()
    }

    /// Index of a network.
    #[must_use]
    pub fn network(&self, name: &NetworkName) -> Option<usize> {
        self.networks.get(name).copied()
    }

    /// The managed hosts of a network, in order of the file.
    #[must_use]
    pub fn members(&self, network: usize) -> &[usize] {
        self.by_network.get(network).map_or(&[], Vec::as_slice)
    }

    /// The managed hosts that a selector stands for, in order of the file; none for unmanaged
    /// peers, prefixes and the Internet.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> &[usize] {
        match selector {
            Selector::Host(name) => {
                self.hosts.get(name).and_then(|at| self.single.get(*at..=*at)).unwrap_or_default()
            }
            Selector::Site(name) => self.by_site.get(name).map_or(&[], Vec::as_slice),
            Selector::Group(name) => self.by_group.get(name).map_or(&[], Vec::as_slice),
            Selector::Network(name) => {
                self.network(name).map_or(&[], |network| self.members(network))
            }
            Selector::Net(_) | Selector::Internet => &[],
        }
    }
}

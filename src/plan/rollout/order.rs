//! Which group changes in which wave.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::settings::RolloutSettings;
use super::wave::{Against, Group, Wave};
use crate::inventory::{Inventory, LinkShape};
use crate::model::HostName;
use crate::topology::{NodeKind, Topology};

/// What the order of waves looks at.
pub(super) struct Order<'a> {
    pub(super) settings: &'a RolloutSettings,
    /// The host that the controller's own path goes through.
    pub(super) controller: Option<&'a HostName>,
    /// The hubs of each network that has several.
    pub(super) hubs: BTreeMap<String, BTreeSet<&'a HostName>>,
    /// The gateways of each site that has several.
    pub(super) gateways: BTreeMap<String, BTreeSet<&'a HostName>>,
    /// Hosts that pass on what others send.
    pub(super) late: BTreeSet<&'a HostName>,
}

impl<'a> Order<'a> {
    pub(super) fn new(
        inventory: &'a Inventory,
        topology: &'a Topology,
        settings: &'a RolloutSettings,
        controller: Option<&'a HostName>,
    ) -> Self {
        let index = inventory.index();
        let name = |host: &usize| &inventory.hosts[*host].name.value;
        let mut hubs: BTreeMap<String, BTreeSet<&HostName>> = BTreeMap::new();
        for network in &inventory.networks {
            let of = hubs.entry(network.name.value.to_string()).or_default();
            for shape in &network.links {
                if let LinkShape::Hub { hubs, .. } = shape {
                    let all = hubs.iter().flat_map(|hub| index.select(&hub.value));
                    of.extend(all.map(name));
                }
            }
        }
        let mut gateways: BTreeMap<String, BTreeSet<&HostName>> = BTreeMap::new();
        let mut late: BTreeSet<&HostName> = hubs.values().flatten().copied().collect();
        for node in topology.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Host(_))) {
            if node.forwards.any() || !node.subnets.is_empty() {
                late.insert(&node.name);
            }
            if let Some(site) = node.site.filter(|_| !node.subnets.is_empty()) {
                let site = inventory.sites[site].name.value.to_string();
                gateways.entry(site).or_default().insert(&node.name);
            }
        }
        hubs.retain(|_, hubs| hubs.len() > 1);
        gateways.retain(|_, gateways| gateways.len() > 1);
        Self { settings, controller, hubs, gateways, late }
    }

    /// How late a group is: the controller's own path after all, what passes on for others before it.
    fn rank(&self, group: &Group) -> (bool, bool) {
        let any = |of: &dyn Fn(&HostName) -> bool| group.hosts.iter().any(of);
        (any(&|host| Some(host) == self.controller), any(&|host| self.late.contains(host)))
    }

    /// The step of the order that a group belongs to: that of its last host.
    fn step(&self, group: &Group) -> usize {
        let steps = &self.settings.order;
        let of = |host: &HostName| {
            steps.iter().position(|step| step.contains(host)).unwrap_or(steps.len())
        };
        group.hosts.iter().map(of).max().unwrap_or_default()
    }

    /// The rules that hosts which change in one wave are against.
    pub(super) fn against<'h>(&self, hosts: impl Iterator<Item = &'h HostName>) -> Vec<Against> {
        let hosts: BTreeSet<&HostName> = hosts.collect();
        let mut all = Vec::new();
        for (network, hubs) in &self.hubs {
            if hubs.iter().all(|hub| hosts.contains(hub)) {
                let hosts = hubs.iter().map(|hub| (*hub).clone()).collect();
                all.push(Against::AllHubs { network: network.clone(), hosts });
            }
        }
        for (site, gateways) in &self.gateways {
            let some: Vec<HostName> = gateways
                .iter()
                .filter(|gateway| hosts.contains(*gateway))
                .map(|gateway| (*gateway).clone())
                .collect();
            if some.len() > 1 {
                all.push(Against::GatewaysOfSite { site: site.clone(), hosts: some });
            }
        }
        all
    }

    /// Whether a group may join a wave: it is against no rule that it is not against by itself.
    fn may_join(&self, wave: &Wave, group: &Group) -> bool {
        let together = wave.groups.iter().chain([group]).flat_map(|group| &group.hosts);
        let alone = self.against(group.hosts.iter());
        let before = self.against(wave.groups.iter().flat_map(|group| &group.hosts));
        self.against(together).iter().all(|rule| alone.contains(rule) || before.contains(rule))
    }

    /// Puts groups into waves: a canary that was named, then the steps of the order, then the others.
    pub(super) fn waves(&self, groups: Vec<Group>) -> Vec<Wave> {
        let all: usize = groups.iter().map(|group| group.hosts.len()).sum();
        let sizes = self.settings.sizes(all);
        let is_canary =
            |group: &Group| group.hosts.iter().any(|host| self.settings.canary.contains(host));
        let (canary, others): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(is_canary);
        let mut waves = Vec::new();
        if !canary.is_empty() {
            waves.push(Wave { groups: canary });
        }
        let before = waves.len();
        let mut steps: BTreeMap<usize, Vec<Group>> = BTreeMap::new();
        for group in others {
            steps.entry(self.step(&group)).or_default().push(group);
        }
        for groups in steps.into_values() {
            // Sizes are those of all waves but the canary's.
            let sizes = sizes.get(waves.len() - before..).unwrap_or_default();
            waves.extend(self.arranged(groups, sizes));
        }
        waves
    }

    /// Puts groups into waves of these sizes; what is left is the last one.
    fn arranged(&self, mut groups: Vec<Group>, sizes: &[usize]) -> Vec<Wave> {
        if sizes.is_empty() {
            return vec![Wave { groups }];
        }
        groups.sort_by_key(|group| self.rank(group));
        let mut waves: Vec<Wave> = Vec::new();
        for group in groups {
            let fits = |index: usize, wave: &Wave| {
                let hosts: usize = wave.groups.iter().map(|group| group.hosts.len()).sum();
                let room = sizes.get(index).is_none_or(|size| hosts + group.hosts.len() <= *size);
                // What the controller's own path goes through is last, by itself.
                let path = |group: &Group| self.rank(group).0;
                let alone = path(&group) != wave.groups.iter().any(path);
                room && !alone && self.may_join(wave, &group)
            };
            let last = waves.len().saturating_sub(1);
            let place = (last..waves.len()).find(|index| fits(*index, &waves[*index]));
            match place {
                Some(place) => waves[place].groups.push(group),
                None => waves.push(Wave { groups: vec![group] }),
            }
        }
        waves
    }
}

/// The first host of the group that a host is in.
fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

/// Groups of hosts that couplings join, each in order of `hosts`, in order of their first host.
pub(super) fn joined<'h>(
    hosts: &'h [HostName],
    couplings: impl Iterator<Item = &'h [HostName]>,
) -> Vec<Vec<&'h HostName>> {
    let index: HashMap<&HostName, usize> = hosts.iter().zip(0..).collect();
    let mut parent: Vec<usize> = (0..hosts.len()).collect();
    for coupling in couplings {
        let mut known = coupling.iter().filter_map(|host| index.get(host).copied());
        let Some(first) = known.next() else { continue };
        for other in known {
            let (a, b) = (root(&mut parent, first), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<&HostName>> = BTreeMap::new();
    for (at, host) in hosts.iter().enumerate() {
        groups.entry(root(&mut parent, at)).or_default().push(host);
    }
    groups.into_values().collect()
}

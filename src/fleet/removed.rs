//! Hosts that the inventory no longer has: where they can be logged in to, and what was found there.
//!
//! The inventory that is there now may be a pull request's, and says nothing of them. Where they are
//! stands in a commit that hosts have recorded, or is where this controller has logged in before. A key
//! that is not known is never believed there.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::load::load_at;
use super::read::Fleet;
use super::records::Records;
use crate::inventory::Inventory;
use crate::model::{Become, FingerprintKey, FleetName, HostName, InterfaceName, SshTarget};
use crate::observed::{Commit, Unanswered};
use crate::plan::{FormerTarget, Found, NotAsked, Remains, removed_hosts};
use crate::remote::{Believe, Host, ObserveRequest, Observing};
use crate::vault::Index;

/// Recorded commits that are looked into, the newest first: in a change that was not carried out on all
/// hosts, older ones still have a host.
const COMMITS: usize = 4;

/// The hosts that the inventory no longer has.
#[derive(Debug, Default)]
pub(super) struct Removed {
    names: BTreeSet<HostName>,
    /// Those of them that the command is about.
    asked: BTreeSet<HostName>,
    /// Those of them that were unmanaged peers.
    peers: BTreeSet<HostName>,
    /// The interfaces that the fleet has: they may have had those.
    interfaces: BTreeSet<InterfaceName>,
    /// Where each was logged in to last.
    targets: BTreeMap<HostName, FormerTarget>,
    found: BTreeMap<HostName, Remains>,
}

impl Removed {
    /// Those that the lock file has addresses of, or the vault keys; `limit` are the hosts that the
    /// command is about, all where it is empty.
    pub(super) fn of(fleet: &Fleet, index: &Index, limit: &[HostName]) -> Self {
        let inventory = fleet.inventory();
        let pinned = fleet.loaded.lock.members().map(|(_, host)| host);
        let names = removed_hosts(inventory, pinned, index.names());
        let asked = names.iter().filter(|name| limit.is_empty() || limit.contains(name));
        let peers = inventory.absent.iter().filter(|absent| !absent.is_host());
        Self {
            peers: peers.map(|absent| absent.name().value.clone()).collect(),
            asked: asked.map(|name| (*name).clone()).collect(),
            names: names.into_iter().cloned().collect(),
            interfaces: interfaces(inventory),
            ..Self::default()
        }
    }

    /// Whether a host is one of them.
    pub(super) fn has(&self, name: &HostName) -> bool {
        self.names.contains(name)
    }

    /// What is asked where this controller's last logins went.
    pub(super) fn at_last_logins(
        &mut self,
        last: &BTreeMap<HostName, SshTarget>,
    ) -> Vec<ObserveRequest> {
        let known = self.asked.iter().filter_map(|name| Some((name.clone(), last.get(name)?)));
        let known: Vec<_> = known.collect();
        let request = |(name, ssh): (HostName, &SshTarget)| {
            let target = FormerTarget { ssh: ssh.clone(), commit: None };
            self.request(name, target, Become::Auto)
        };
        known.into_iter().map(request).collect()
    }

    /// What is asked where commits say that hosts have recorded, and nobody has asked yet.
    pub(super) fn at_commits(
        &mut self,
        context: &Context,
        fleet: &FleetName,
        records: &Records,
    ) -> Vec<ObserveRequest> {
        let mut requests = Vec::new();
        let mut missing = self.asked.clone();
        for commit in records.commits().into_iter().take(COMMITS) {
            if missing.is_empty() {
                break;
            }
            let Some(inventory) = inventory_at(context, fleet, commit) else { continue };
            self.interfaces.extend(interfaces(&inventory));
            for host in inventory.hosts.iter().filter(|host| missing.remove(&host.name.value)) {
                let (name, ssh) = (host.name.value.clone(), host.ssh.value.clone());
                let target = FormerTarget { ssh, commit: Some(commit.id.clone()) };
                match self.found.get_mut(&name).and_then(|found| found.login.as_mut()) {
                    Some(asked) if asked.ssh == target.ssh => *asked = target,
                    _ => requests.push(self.request(name, target, host.settings.r#become.get())),
                }
            }
            let peers = inventory.peers.iter().map(|peer| &peer.name.value);
            self.peers.extend(peers.filter(|peer| missing.remove(*peer)).cloned());
        }
        requests
    }

    fn request(
        &mut self,
        name: HostName,
        target: FormerTarget,
        r#become: Become,
    ) -> ObserveRequest {
        self.targets.insert(name.clone(), target.clone());
        ObserveRequest {
            name,
            ssh: target.ssh,
            r#become,
            believe: Believe::Known,
            // Whatever answers there gets no key of the vault's: its files are only named.
            key: FingerprintKey::public(),
            interfaces: self.interfaces.iter().cloned().collect(),
            peers: 0,
        }
    }

    /// Takes what was found, and ends the connections.
    pub(super) async fn learn<H: Host>(&mut self, fleet: &FleetName, found: Vec<Observing<H>>) {
        let mut open = Vec::new();
        for Observing { name, seen } in found {
            let found = match seen {
                Ok((observed, host)) => {
                    open.push(host);
                    Found::on(fleet, &name, &observed)
                }
                Err(error) => Found::Unreadable { reason: Unanswered::from(&error) },
            };
            let login = self.targets.get(&name).cloned();
            let is_own = |remains: &Remains| matches!(remains.found, Found::Own { .. });
            let remains = Remains { login, found };
            // Where it was found once, it need not be in the other place.
            if is_own(&remains) || !self.found.get(&name).is_some_and(is_own) {
                self.found.insert(name, remains);
            }
        }
        futures_util::future::join_all(open.into_iter().map(Host::close)).await;
    }

    /// What is known of each.
    pub(super) fn remains(mut self) -> BTreeMap<HostName, Remains> {
        let remains = |name: HostName| {
            let known = self.found.remove(&name);
            let why = if !self.asked.contains(&name) {
                NotAsked::OutsideLimit
            } else if self.peers.contains(&name) {
                NotAsked::Peer
            } else {
                NotAsked::NoTarget
            };
            let remains = known.unwrap_or(Remains::not_asked(why));
            (name, remains)
        };
        self.names.into_iter().map(remains).collect()
    }
}

/// The inventory at a commit that hosts have recorded, where this clone has it.
fn inventory_at(context: &Context, fleet: &FleetName, commit: &Commit) -> Option<Inventory> {
    let inventory = load_at(context, commit.id.as_str()).ok()??.inventory?;
    (inventory.fleet.value == *fleet).then_some(inventory)
}

fn interfaces(inventory: &Inventory) -> BTreeSet<InterfaceName> {
    inventory.networks.iter().map(|network| network.interface.value.clone()).collect()
}

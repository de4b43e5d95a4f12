//! Hosts and peers that do not count, and those that soon will not.

use std::collections::BTreeSet;

use crate::finding::{Code, Finding, Severity};
use crate::inventory::{Absence, Absent, Inventory, Presence};
use crate::model::{HostName, Located, count};

/// Days before the end of a time from which on it is warned about.
const SOON: i64 = 14;

/// Places that a finding names.
const PLACES: usize = 4;

/// What is left out, with those that need it; then what ends soon.
pub(super) fn absent(inventory: &Inventory) -> Vec<Finding> {
    let left_out = inventory.absent.iter().map(|absent| left_out(inventory, absent));
    let hosts = inventory.hosts.iter().map(|host| (&host.name, &host.presence));
    let peers = inventory.peers.iter().map(|peer| (&peer.name, &peer.presence));
    let soon = hosts.chain(peers).filter_map(|(name, presence)| ends(inventory, name, presence));
    left_out.chain(soon).collect()
}

/// A note; a warning where somebody is linked to nobody else, an error where everything was to go through it.
fn left_out(inventory: &Inventory, absent: &Absent) -> Finding {
    let name = &absent.name().value;
    let (title, help) = match &absent.why {
        Absence::Disabled(_) => (
            format!("`{name}` is left out: it is disabled"),
            "without `enabled: false` it belongs to the fleet again",
        ),
        Absence::Over(until) => (
            format!("`{name}` is left out: its time was over with {}", until.value),
            "a later `until` lets it belong to the fleet again",
        ),
    };
    let finding = Finding::new(Code::LeftOut, title, absent.why.at());
    let tunnels = inventory.hosts.iter().flat_map(|host| &host.interfaces);
    let tunnels = tunnels.filter_map(|own| own.settings.full_tunnel.as_ref());
    let tunnels = tunnels.filter(|via| via.value.as_ref() == Some(name)).map(|via| via.at);
    let tunnels: Vec<_> = tunnels.collect::<BTreeSet<_>>().into_iter().collect();
    let gone = |via: &Located<HostName>| inventory.absent(&via.value).is_some();
    let alone: Vec<_> = inventory
        .peers
        .iter()
        .filter(|peer| peer.via.iter().any(|via| via.value == *name) && peer.via.iter().all(gone))
        .map(|peer| peer.name.at)
        .collect();
    let (places, severity, text, help) = if !tunnels.is_empty() {
        // Without the tunnel, what was to be hidden leaves in the clear.
        let help = "name another host in `full_tunnel`, or write `full_tunnel: false` where traffic \
                    may leave without the tunnel";
        (tunnels, Severity::Error, "everything was to go through it", help)
    } else if alone.is_empty() {
        (alone, finding.severity, "", help)
    } else {
        let help = "name another host in `via`, or leave the peer out too";
        (alone, Severity::Warning, "is linked to nobody else", help)
    };
    let more = places.len().saturating_sub(PLACES);
    let mut finding = Finding { severity, ..finding.help(help) };
    if more > 0 {
        finding = finding.label(format!("and {} more need it", count(more, "place")));
    }
    places.into_iter().take(PLACES).fold(finding, |finding, at| finding.also(at, text))
}

fn ends(inventory: &Inventory, name: &Located<HostName>, presence: &Presence) -> Option<Finding> {
    let until = presence.until.as_ref()?;
    let days = until.value.days_left(inventory.now?);
    if days > SOON {
        return None;
    }
    let name = &name.value;
    let days = count(usize::try_from(days).unwrap_or_default(), "day");
    let title = format!("the time of `{name}` ends within {days}");
    Some(Finding::new(Code::EndsSoon, title, until.at).label("its last day").help(
        "write a later date if it is to stay; otherwise the first `wgfleet apply` after this one takes \
         it out",
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::inventory::{LockFile, Reader, allocate};
    use crate::model::NetworkName;
    use crate::topology;

    const FLEET: &str = "fleet: f
networks: { n: { prefixes: 10.0.0.0/24, links: { hub: hub } } }
hosts:
  hub: { endpoint: \"hub.example.com:51820\" }
  old: { nat: true, enabled: false }
  lab: { nat: true, until: 2027-01-31 }
  new: { nat: true }
peers:
  phone: { via: hub, until: 2027-01-31+01:00 }
";

    fn at(now: Option<&str>) -> Inventory {
        let mut reader = Reader::at(now.map(|now| now.parse().unwrap()));
        reader.add(PathBuf::from("f.yaml"), FLEET.to_owned());
        reader.finish().inventory.unwrap()
    }

    fn peers_of_hub(inventory: &Inventory, lock: &LockFile) -> Vec<String> {
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        let topology = topology::build(inventory, &addresses);
        let hub = topology.interface(topology.nodes[0].interfaces[0]);
        hub.peers.iter().map(|peer| topology.remote(peer).name.to_string()).collect()
    }

    #[test]
    fn whose_time_is_over_has_no_peers_and_keeps_its_address() {
        let (lock, _) = allocate(&at(None), &LockFile::default());
        for (now, peers) in [
            (None, &["lab", "new", "phone"][..]),
            (Some("2027-01-31T22:59:59Z"), &["lab", "new", "phone"]),
            (Some("2027-01-31T23:00:00Z"), &["lab", "new"]),
            (Some("2027-02-01T00:00:00Z"), &["new"]),
        ] {
            let inventory = at(now);
            assert_eq!(peers_of_hub(&inventory, &lock), peers, "{now:?}");
            let (same, findings) = allocate(&inventory, &LockFile::default());
            assert!(findings.is_empty());
            assert_eq!(same, lock, "{now:?}");
            let absent: Vec<&str> =
                inventory.absent.iter().map(|one| one.name().value.as_str()).collect();
            assert_eq!(absent.len() + peers.len(), 4);
            assert!(absent.contains(&"old"));
        }
    }
}

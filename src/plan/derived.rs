//! Which addresses and routes of an interface are wgfleet's to take away: those that a file made, not what
//! its hooks did.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::model::{RouteTable, parse_net};
use crate::observed::ObservedInterface;
use crate::wgconf::{Document, Setting};

/// What the file that an interface runs by made of it; all of it where no hooks are to run.
#[derive(Debug, Default)]
pub(super) struct Owned {
    /// Whether hooks may have added to it.
    hooked: bool,
    addresses: BTreeSet<IpNet>,
    nets: BTreeSet<IpNet>,
    tables: BTreeSet<u32>,
}

impl Owned {
    /// From the texts of the wanted file and of the one that is there, and from what runs.
    pub(super) fn of(wanted: Option<&str>, seen: Option<&str>, live: &ObservedInterface) -> Self {
        let (Some(wanted), Some(seen)) = (wanted, seen) else { return Self::default() };
        let mut owned = Self::default();
        for section in Document::of(wanted.as_bytes()).sections {
            let mut settings = section.entries().filter_map(|entry| entry.setting);
            owned.hooked |= settings.any(|set| matches!(set, Setting::PreUp | Setting::PostUp));
        }
        owned.tables.extend([254, live.fwmark]);
        owned.nets.extend(live.peers.values().flat_map(|peer| peer.allowed_ips.iter().copied()));
        for section in Document::of(seen.as_bytes()).sections {
            for entry in section.entries() {
                let nets = || entry.items().filter_map(|item| parse_net(item).ok());
                match entry.setting {
                    Some(Setting::Address) => owned.addresses.extend(nets()),
                    Some(Setting::AllowedIps) => owned.nets.extend(nets().map(|net| net.trunc())),
                    Some(Setting::Table) => {
                        if let Ok(RouteTable::Number(table)) = entry.value.trim().parse() {
                            owned.tables.insert(table);
                        }
                    }
                    _ => {}
                }
            }
        }
        owned
    }

    /// Whether an address that is not wanted is to go.
    pub(super) fn address(&self, addr: &IpNet) -> bool {
        !self.hooked || self.addresses.contains(addr)
    }

    /// Whether a route that is not wanted is to go.
    pub(super) fn route(&self, table: u32, net: &IpNet) -> bool {
        !self.hooked || (self.nets.contains(net) && self.tables.contains(&table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::LiveBackend;

    #[test]
    fn what_hooks_add_is_left_alone_and_what_a_file_made_is_not() {
        let live = ObservedInterface {
            backend: LiveBackend::Kernel,
            up: true,
            mtu: 1420,
            public_key: None,
            listen_port: 0,
            fwmark: 0,
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: std::collections::BTreeMap::new(),
        };
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let seen = "[Interface]\nAddress = 10.1.0.2/24, 10.1.0.9/24\nPostUp = ip route add 10.96.0.0/16 dev %i\n\
                    [Peer]\nAllowedIPs = 10.1.0.1/32, 172.23.1.0/24\n";
        let hooked = "[Interface]\nPostUp = ip route add 10.96.0.0/16 dev %i\n";
        let owned = Owned::of(Some(hooked), Some(seen), &live);
        assert!(owned.route(254, &net("172.23.1.0/24")) && !owned.route(254, &net("10.96.0.0/16")));
        assert!(!owned.route(77, &net("172.23.1.0/24")));
        assert!(owned.address(&net("10.1.0.9/24")) && !owned.address(&net("10.99.0.1/24")));
        // Without hooks, or without a file that is there, whatever is not wanted goes.
        for owned in [
            Owned::of(Some("[Interface]\n"), Some(seen), &live),
            Owned::of(Some(hooked), None, &live),
        ] {
            assert!(owned.route(77, &net("10.96.0.0/16")) && owned.address(&net("10.99.0.1/24")));
        }
    }
}

//! Which addresses and routes of an interface are wgfleet's to take away: those that a file made, not what
//! its hooks did.
//!
//! What a hook can have added is read from its words where it runs plain commands alone: only what it names.
//! A script, a variable or a file of commands may add anything, and then nothing but what a file made goes.

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
    /// Whether they may have added anything.
    opaque: bool,
    /// What they name otherwise.
    named: BTreeSet<IpNet>,
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
            for entry in section.entries() {
                if let Some(Setting::PreUp | Setting::PostUp) = entry.setting {
                    owned.hooked = true;
                    match named(entry.value) {
                        Some(nets) => owned.named.extend(nets),
                        None => owned.opaque = true,
                    }
                }
            }
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
        !self.hooked || self.addresses.contains(addr) || self.is_strange(addr)
    }

    /// Whether a route that is not wanted is to go.
    pub(super) fn route(&self, table: u32, net: &IpNet) -> bool {
        !self.hooked
            || (self.nets.contains(net) && self.tables.contains(&table))
            || self.is_strange(net)
    }

    /// Whether no hook can have added it.
    fn is_strange(&self, net: &IpNet) -> bool {
        !self.opaque && !self.named.contains(net) && !self.named.contains(&net.trunc())
    }
}

/// Programs that add no address and no route but what their words name.
const PLAIN: &[&str] = &[
    "ip",
    "iptables",
    "ip6tables",
    "nft",
    "sysctl",
    "wg",
    "echo",
    "printf",
    "touch",
    "rm",
    "true",
    ":",
    "logger",
    "resolvectl",
];

/// The addresses and prefixes that a command names; `None` where it may add others.
fn named(command: &str) -> Option<Vec<IpNet>> {
    let opaque = |c: char| matches!(c, '$' | '`' | '<' | '(' | '{' | '\\' | '*' | '"' | '\'');
    if command.contains(opaque) {
        return None;
    }
    let mut nets = Vec::new();
    for one in command.split([';', '&', '|', '\n']).map(str::trim).filter(|one| !one.is_empty()) {
        let mut words = one.split_whitespace();
        let program = words.next().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        if !PLAIN.contains(&program) {
            return None;
        }
        for word in words {
            // A file of commands names anything.
            if program == "ip" && word.starts_with("-b") {
                return None;
            }
            if word == "default" {
                nets.extend(["0.0.0.0/0", "::/0"].iter().filter_map(|net| parse_net(net).ok()));
            }
            if let Ok(net) = parse_net(word) {
                nets.extend([net, net.trunc()]);
            }
        }
    }
    Some(nets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::LiveBackend;

    #[test]
    fn a_hook_of_plain_commands_can_add_what_it_names() {
        let nets = |command: &str| {
            named(command).map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let both = ["0.0.0.0/0", "::/0"].map(str::to_owned).to_vec();
        assert_eq!(nets("ip route add default dev %i table 77"), Some(both));
        assert_eq!(nets("ip addr add 10.9.0.1/24 dev %i").unwrap(), ["10.9.0.1/24", "10.9.0.0/24"]);
        assert_eq!(
            nets("touch /run/x; /sbin/sysctl -w a=1 && iptables -A F -i %i -j ACCEPT"),
            Some(Vec::new())
        );
        for opaque in [
            "/root/up.sh",
            "ip route add $NET dev %i",
            "ip -batch /etc/routes",
            "sh -c 'ip route add x'",
            "for a in 1; do ip route add 10.0.0.0/8 dev %i; done",
            "bird -c x",
            "ip route add `cat /x`",
        ] {
            assert_eq!(named(opaque), None, "{opaque}");
        }
    }

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
        assert!(owned.address(&net("10.1.0.9/24")) && owned.address(&net("10.99.0.1/24")));
        assert!(owned.route(254, &net("10.44.0.0/16")), "no hook names it");
        let opaque =
            "[Interface]\nPostUp = ip route add 10.96.0.0/16 dev %i\nPostUp = /root/routes.sh\n";
        let owned = Owned::of(Some(opaque), Some(seen), &live);
        assert!(!owned.route(254, &net("10.44.0.0/16")) && !owned.address(&net("10.99.0.1/24")));
        // Without hooks, or without a file that is there, whatever is not wanted goes.
        for owned in [
            Owned::of(Some("[Interface]\n"), Some(seen), &live),
            Owned::of(Some(hooked), None, &live),
        ] {
            assert!(owned.route(77, &net("10.96.0.0/16")) && owned.address(&net("10.99.0.1/24")));
        }
    }
}

//! Laws of the proof.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use wgfleet::check;
use wgfleet::finding::Code;
use wgfleet::inventory::{self, Inventory};
use wgfleet::topology::{self, Topology};

/// A host's settings, from bits: nat, gateway, transit, override of what it expects from the first.
#[derive(Debug, Clone)]
struct Spec {
    hub: bool,
    hosts: Vec<u8>,
}

fn spec() -> impl Strategy<Value = Spec> {
    (any::<bool>(), proptest::collection::vec(any::<u8>(), 3..7))
        .prop_map(|(hub, hosts)| Spec { hub, hosts })
}

/// The file with its hosts in an order, and more links.
fn yaml(spec: &Spec, order: &[usize], links: &str, narrow: bool) -> String {
    let shape = if spec.hub { "{ hub: h0 }" } else { "mesh" };
    let mut text = format!(
        "fleet: f\nnetworks: {{ n: {{ prefixes: 10.9.0.0/24, links: [{shape}{links}] }} }}\nsites:\n"
    );
    for host in order {
        let bits = spec.hosts[*host];
        let last = host + 1;
        let mut settings = format!("address: 10.9.0.{last}");
        let nat = bits & 1 == 1 && *host != 0;
        if nat {
            settings.push_str(", nat: true");
        } else {
            let _ = write!(settings, ", endpoint: \"192.0.2.{last}:51820\"");
        }
        if bits & 2 == 2 {
            settings.push_str(", gateway: true");
        }
        if bits & 4 == 4 {
            settings.push_str(", transit: true");
        }
        if narrow && bits & 0x18 == 0x18 && *host != 0 {
            settings.push_str(", peers: { h0: { allowed_ips: [10.9.0.1/32] } }");
        }
        let _ = writeln!(
            text,
            "  s{host}: {{ subnets: 10.50.{host}.0/24, hosts: {{ h{host}: {{ {settings} }} }} }}"
        );
    }
    text
}

fn fleet(text: &str) -> (Inventory, Topology) {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings));
    let topology = topology::build(&inventory, &|_: &_, _: &_| -> Vec<IpAddr> { Vec::new() });
    (inventory, topology)
}

/// Whether each flow works, by its addresses.
fn verdicts(text: &str) -> BTreeMap<(IpAddr, IpAddr), bool> {
    let (inventory, topology) = fleet(text);
    let pairs = check::pairs(&inventory, &topology);
    pairs.iter().map(|pair| ((pair.from.addr, pair.to.addr), pair.cause.is_none())).collect()
}

fn codes(text: &str) -> BTreeSet<Code> {
    let (inventory, topology) = fleet(text);
    check::check(&inventory, &topology).iter().map(|finding| finding.code).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(300)) })]

    /// The verdict does not depend on the order of the file.
    #[test]
    fn order_means_nothing(spec in spec(), seed in any::<u64>()) {
        let straight: Vec<usize> = (0..spec.hosts.len()).collect();
        let mut mixed = straight.clone();
        for index in (1..mixed.len()).rev() {
            mixed.swap(index, usize::try_from(seed >> (8 * (index % 8))).unwrap() % (index + 1));
        }
        let verdicts = |order: &[usize]| verdicts(&yaml(&spec, order, "", true));
        prop_assert_eq!(verdicts(&straight), verdicts(&mixed));
        prop_assert_eq!(
            codes(&yaml(&spec, &straight, "", true)),
            codes(&yaml(&spec, &mixed, "", true))
        );
    }

    /// One more link that can have a session takes nothing away.
    #[test]
    fn a_link_more_breaks_no_flow(spec in spec(), a in 0_usize..7, b in 0_usize..7) {
        let count = spec.hosts.len();
        let a = a % count;
        // Another, and the first where neither of the two could begin a session.
        let b = (a + 1 + b % (count - 1)) % count;
        let hidden = |host: usize| spec.hosts[host] & 1 == 1 && host != 0;
        let b = if hidden(a) && hidden(b) { 0 } else { b };
        let order: Vec<usize> = (0..count).collect();
        let before = verdicts(&yaml(&spec, &order, "", false));
        let after = verdicts(&yaml(&spec, &order, &format!(", [h{a}, h{b}]"), false));
        for (flow, works) in before {
            prop_assert!(!works || after[&flow], "{flow:?}");
        }
    }

    /// A failing fleet from which bystanders are taken away fails with the same code.
    #[test]
    fn shrinking_keeps_the_code(spec in spec()) {
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let text = yaml(&spec, &order, "", true);
        let (inventory, topology) = fleet(&text);
        for finding in check::check(&inventory, &topology) {
            let walked = matches!(finding.code.number(), 350..=399 | 450..=499);
            let Some(witness) = finding.witness.as_ref().filter(|_| walked) else { continue };
            let mut needed: BTreeSet<usize> = [0].into();
            let named = |name: &str| name.trim_start_matches('h').parse::<usize>().ok();
            needed.extend(finding.trace.iter().filter_map(|hop| named(hop.host.as_str())));
            for addr in [witness.source, witness.destination] {
                let IpAddr::V4(addr) = addr else { continue };
                let [_, net, site, last] = addr.octets();
                needed.insert(usize::from(if net == 9 { last - 1 } else { site }));
            }
            let order: Vec<usize> = needed.into_iter().collect();
            let fewer = codes(&yaml(&spec, &order, "", true));
            prop_assert!(fewer.contains(&finding.code), "{:?}: {:?}", finding, fewer);
        }
    }
}

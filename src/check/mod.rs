//! What a topology would do wrong, found without a packet.
//!
//! Each rule is a pure function over the inventory and its topology, in time about linear in
//! their size; [`RULES`] lists them. A rule reports a cause once, however many interfaces suffer
//! from it ([`Finding::count`]).

mod addresses;
mod advice;
mod allowed;
mod boundaries;
mod broken;
mod carriers;
mod circles;
mod clashes;
mod difference;
mod dns;
mod endpoints;
mod ends;
mod entry;
mod exits;
mod expect;
mod failure;
mod failures;
mod first;
mod fix;
mod flow;
mod flows;
mod folded;
mod hooks;
mod hybrid;
mod joint;
mod keepalives;
mod keys;
mod lans;
mod listening;
mod mtus;
mod nested;
mod overridden;
mod overrides;
mod pairs;
mod points;
mod ports;
mod presence;
mod proof;
mod reach;
mod remedies;
mod roaming;
mod routes;
pub mod session;
mod sessions;
pub mod tables;
mod trace;
mod uncovered;
mod underlay;
mod unlinked;
pub mod walk;
mod zones;

pub use keys::against_vault;
mod wanted;
mod why;

pub use difference::{Assumed, Difference, Moved, State, Unread, difference};
pub use entry::entry;
pub use failure::Failure;
pub use failures::{Failing, Failures, LostFlows, Role as LostRole, Without, failures, lost_with};
pub use fix::Fix;
pub use hybrid::{Changing, Clash, Clashing, Contact, Hybrids, Role, hybrids};
pub use pairs::{Pair, Point, pairs, proves};
pub use reach::{Cell, Fault, MapLink, MapNode, Place, Reachability, reachability};
pub use why::{FlowOutcome, Why, why};

use rayon::prelude::*;

use self::tables::Tables;
use crate::finding::{self, Finding};
use crate::inventory::Inventory;
use crate::topology::Topology;

/// One rule: what it is called, and what it finds.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// A name for logs and benchmarks.
    pub name: &'static str,
    /// Finds everything that the rule is about.
    pub check: fn(&Inventory, &Topology) -> Vec<Finding>,
}

/// Every rule but the proofs, which share their tables.
pub const RULES: &[Rule] = &[
    Rule { name: "addresses-of-members", check: addresses::members },
    Rule { name: "duplicate-addresses", check: addresses::duplicates },
    Rule { name: "overlapping-networks", check: addresses::networks },
    Rule { name: "equal-lans", check: lans::equal },
    Rule { name: "lans-over-networks", check: lans::over_networks },
    Rule { name: "unusable-prefixes", check: lans::unusable },
    Rule { name: "sites-without-gateway", check: lans::unrouted },
    Rule { name: "roaming-lans", check: roaming::lans },
    Rule { name: "duplicate-allowed-ips", check: allowed::duplicates },
    Rule { name: "overrides-without-link", check: overrides::unlinked },
    Rule { name: "switches-without-effect", check: overridden::switches },
    Rule { name: "missing-tunnel-addresses", check: allowed::missing },
    Rule { name: "endpoints-in-tunnels", check: nested::endpoints },
    Rule { name: "routes-twice", check: routes::twice },
    Rule { name: "lans-taken", check: routes::lans },
    Rule { name: "families-of-full-tunnels", check: exits::families },
    Rule { name: "full-tunnels-without-exit", check: exits::dead_ends },
    Rule { name: "exits-without-masquerade", check: exits::unmasked },
    Rule { name: "split-gateways", check: lans::split },
    Rule { name: "dns-servers", check: dns::servers },
    Rule { name: "no-initiator", check: sessions::initiators },
    Rule { name: "hosts-without-link", check: unlinked::hosts },
    Rule { name: "port-clashes", check: ports::ports },
    Rule { name: "equal-endpoints", check: ports::endpoints },
    Rule { name: "interface-clashes", check: ports::interfaces },
    Rule { name: "names-of-network-cards", check: ports::cards },
    Rule { name: "private-endpoints", check: endpoints::private_across },
    Rule { name: "hairpins", check: endpoints::hairpins },
    Rule { name: "keepalives", check: keepalives::sleepers },
    Rule { name: "listen-ports", check: listening::ports },
    Rule { name: "duplicate-keys", check: keys::duplicates },
    Rule { name: "links-without-preshared-key", check: keys::unshared },
    Rule { name: "points-of-failure", check: points::single },
    Rule { name: "zones", check: zones::transit },
    Rule { name: "mtus", check: mtus::sizes },
    Rule { name: "left-out", check: |inventory, _| presence::absent(inventory) },
    Rule { name: "fixed-masquerades", check: |inventory, _| hooks::masquerades(inventory) },
    Rule { name: "hooks-left-behind", check: |inventory, _| hooks::left_behind(inventory) },
];

/// Runs every rule; findings in the order of the file.
#[must_use]
pub fn check(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        RULES.par_iter().flat_map_iter(|rule| (rule.check)(inventory, topology)).collect();
    let tables = Tables::new(inventory, topology);
    let (rules, flows) = rayon::join(
        || expect::rules(inventory, &tables),
        || broken::flows(inventory, &tables, &findings),
    );
    findings.extend(rules.into_iter().chain(flows));
    let circles = circles::unwanted(inventory, &tables, &findings);
    findings.extend(circles);
    finding::settle(&mut findings);
    findings
}

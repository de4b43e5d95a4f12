//! What a topology would do wrong, found without a packet.
//!
//! Each rule is a pure function over the inventory and its topology, in time about linear in
//! their size; [`RULES`] lists them. A rule reports a cause once, however many interfaces suffer
//! from it ([`Finding::count`]).

mod addresses;
mod allowed;
mod dns;
mod endpoints;
mod exits;
mod expect;
mod flows;
mod keepalives;
mod keys;
mod lans;
mod listening;
mod mtus;
mod nested;
mod points;
mod ports;
mod roaming;
mod routes;
pub mod session;
mod sessions;
pub mod tables;
mod trace;
pub mod walk;
mod written;
mod zones;

pub use keys::against_vault;

use rayon::prelude::*;

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

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule { name: "addresses-of-members", check: addresses::members },
    Rule { name: "duplicate-addresses", check: addresses::duplicates },
    Rule { name: "overlapping-networks", check: addresses::networks },
    Rule { name: "equal-lans", check: lans::equal },
    Rule { name: "lans-over-networks", check: lans::over_networks },
    Rule { name: "roaming-lans", check: roaming::lans },
    Rule { name: "duplicate-allowed-ips", check: allowed::duplicates },
    Rule { name: "missing-tunnel-addresses", check: allowed::missing },
    Rule { name: "endpoints-in-tunnels", check: nested::endpoints },
    Rule { name: "routes-twice", check: routes::twice },
    Rule { name: "lans-taken", check: routes::lans },
    Rule { name: "families-of-full-tunnels", check: exits::families },
    Rule { name: "full-tunnels-without-exit", check: exits::dead_ends },
    Rule { name: "split-gateways", check: lans::split },
    Rule { name: "dns-servers", check: dns::servers },
    Rule { name: "no-initiator", check: sessions::initiators },
    Rule { name: "port-clashes", check: ports::ports },
    Rule { name: "equal-endpoints", check: ports::endpoints },
    Rule { name: "interface-clashes", check: ports::interfaces },
    Rule { name: "private-endpoints", check: endpoints::private_across },
    Rule { name: "hairpins", check: endpoints::hairpins },
    Rule { name: "keepalives", check: keepalives::sleepers },
    Rule { name: "listen-ports", check: listening::ports },
    Rule { name: "duplicate-keys", check: keys::duplicates },
    Rule { name: "expectations", check: expect::rules },
    Rule { name: "points-of-failure", check: points::single },
    Rule { name: "zones", check: zones::transit },
    Rule { name: "mtus", check: mtus::sizes },
];

/// Runs every rule; findings in the order of the file.
#[must_use]
pub fn check(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        RULES.par_iter().flat_map_iter(|rule| (rule.check)(inventory, topology)).collect();
    finding::sort(&mut findings);
    findings
}

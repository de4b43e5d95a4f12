//! What `why` proposes makes the flow work and breaks nothing: no finding, no rule, no flow that worked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use wgfleet::check::{self, FlowOutcome, Pair, Point, pairs, why};
use wgfleet::finding::{Code, Finding, Severity};
use wgfleet::inventory::{self, Inventory, Selector};
use wgfleet::model::{HostName, NetworkName, host_net};
use wgfleet::topology::{self, Topology};

use super::{NETS, Spec};

/// How many random fleets a run tries; `PROPTEST_CASES` overrides it.
const CASES: u32 = 200;

/// Flows of each fleet that are asked about.
const ASKED: usize = 2;

/// The text of a fleet with overrides and rules, which patches may not break.
fn text(spec: &Spec) -> String {
    let mut text = super::yaml(spec);
    let hosts = spec.hosts.len();
    for (index, mutation) in spec.mutations.iter().enumerate().take(2) {
        let (own, peer) = (index % hosts, (index + 1) % hosts);
        let line = format!("  h{own}: {{ ssh: h{own}");
        let net = NETS[usize::from(mutation.value) % NETS.len()];
        let list = format!("[\"{net}\", 10.1.0.{}/32]", peer + 1);
        let with = format!("{line}, peers: {{ h{peer}: {{ allowed_ips: {list} }} }} ");
        text = text.replacen(&line, &with, 1);
    }
    text.push_str("expect:\n");
    for (index, mutation) in spec.mutations.iter().enumerate() {
        let what = if mutation.kind & 1 == 0 { "allow" } else { "deny" };
        let (from, to) =
            (usize::from(mutation.peer) % hosts, usize::from(mutation.interface) % hosts);
        if from != to {
            let _ = writeln!(text, "  - {what}: {{ from: h{from}, to: h{to} }} # {index}");
        }
    }
    if text.ends_with("expect:\n") {
        text.truncate(text.len() - "expect:\n".len());
    }
    text
}

fn read(text: &str) -> Option<(Inventory, Topology)> {
    let inventory = inventory::parse(PathBuf::from("fleet.yaml"), text.to_owned()).inventory?;
    let topology = topology::build(&inventory, &nobody);
    Some((inventory, topology))
}

fn nobody(_: &NetworkName, _: &HostName) -> Vec<IpAddr> {
    Vec::new()
}

/// The text with a unified diff of it made.
fn patched(text: &str, patch: &str) -> String {
    let mut old = text.split_inclusive('\n');
    let mut out = String::new();
    let mut at = 1;
    for line in patch.split_inclusive('\n').skip(2) {
        if let Some(hunk) = line.strip_prefix("@@ -") {
            let start = hunk.split([',', ' ']).next().expect("a line");
            let start: usize = start.parse().expect("a number");
            while at < start {
                out.push_str(old.next().expect("the line is there"));
                at += 1;
            }
            continue;
        }
        let (sign, rest) = line.split_at(1);
        if sign != "+" {
            assert_eq!(old.next(), Some(rest), "{patch}");
            at += 1;
        }
        if sign != "-" {
            out.push_str(rest);
        }
    }
    out.extend(old);
    out
}

fn selector(topology: &Topology, point: &Point) -> Selector {
    match point.network {
        Some(_) => Selector::Host(topology.node(point.node).name.clone()),
        None => Selector::Net(host_net(point.addr)),
    }
}

/// How many flows each code of a warning or an error is about, and the rules that are broken.
fn told(found: &[Finding]) -> (BTreeMap<Code, u32>, BTreeSet<&str>) {
    let mut codes = BTreeMap::new();
    let bad = found.iter().filter(|finding| finding.severity > Severity::Info);
    bad.for_each(|finding| *codes.entry(finding.code).or_default() += finding.count);
    let rules = found.iter().filter(|finding| finding.code == Code::ExpectFails);
    (codes, rules.map(|finding| finding.title.as_str()).collect())
}

fn reached(inventory: &Inventory, topology: &Topology) -> BTreeSet<(IpAddr, IpAddr)> {
    let pairs = pairs(inventory, topology).into_iter();
    pairs.filter(|pair| pair.cause.is_none()).map(|pair| (pair.from.addr, pair.to.addr)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(super::cases(CASES)) })]

    #[test]
    fn a_proved_patch_breaks_nothing(spec in super::spec(), first: usize) {
        let text = text(&spec);
        let Some((inventory, topology)) = read(&text) else { return Ok(()) };
        let broken: Vec<_> =
            pairs(&inventory, &topology).into_iter().filter(|pair| pair.cause.is_some()).collect();
        let before = check::check(&inventory, &topology);
        let (codes, rules) = told(&before);
        let worked: Vec<Pair> =
            pairs(&inventory, &topology).into_iter().filter(|pair| pair.cause.is_none()).collect();
        for turn in 0..ASKED.min(broken.len()) {
            let pair = &broken[first.wrapping_add(turn * 7) % broken.len()];
            let (from, to) = (selector(&topology, &pair.from), selector(&topology, &pair.to));
            let answer = why(&inventory, &topology, &nobody, &from, &to);
            let Some(fix) = answer.fix else { continue };
            let changed = patched(&text, &fix.patch);
            let (after, built) = read(&changed).expect("a patch leaves an inventory");
            let again = why(&after, &built, &nobody, &from, &to);
            prop_assert_eq!(again.outcome, FlowOutcome::Reachable, "{}", &fix.patch);
            let found = check::check(&after, &built);
            let (new_codes, new_rules) = told(&found);
            for (code, count) in new_codes {
                let known = codes.get(&code).copied().unwrap_or_default();
                prop_assert!(count <= known, "{code}: {known} → {count}\n{}", &fix.patch);
            }
            prop_assert!(new_rules.is_subset(&rules), "{}", &fix.patch);
            let works = reached(&after, &built);
            // Where an override is gone, another address stands for those of a LAN.
            let still = |pair: &&Pair| {
                let (from, to) = (selector(&topology, &pair.from), selector(&topology, &pair.to));
                why(&after, &built, &nobody, &from, &to).outcome == FlowOutcome::Reachable
            };
            let lost = worked.iter().filter(|pair| !works.contains(&(pair.from.addr, pair.to.addr)));
            let lost: Vec<&Pair> = lost.filter(|pair| !still(pair)).collect();
            prop_assert!(lost.is_empty(), "{lost:?} cease\n{}\n{text}", &fix.patch);
        }
    }
}

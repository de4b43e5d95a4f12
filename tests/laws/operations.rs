//! The law of plans on operations: done one after the other they lead to what is wanted, and what
//! was begun of them can be taken back wherever they stop.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use wgfleet::desired::{DesiredInterface, DesiredState, Secrets as _};
use wgfleet::model::{HostName, PublicKey, RouteTable, Tool};
use wgfleet::observed::Facts;
use wgfleet::plan::{Change, HostPlan, HostState, Op, Payload, diff_host, resolve};

use crate::drift::{Drift, drift};
use crate::fleet::{Spec, spec};
use crate::machine::{Files, Machine, Snapshot};
use crate::payload::sections;
use crate::plan::config;
use crate::vault::{Vault, render};
use crate::world::{facts, helpers, psk};

/// A plan, and what is sent for it; no payload where it cannot be carried out.
fn compile(
    state: &DesiredState,
    index: usize,
    vault: &Vault,
    machine: &Machine,
    names: &BTreeMap<PublicKey, HostName>,
) -> (HostPlan, Option<(Payload, Files)>) {
    let host = &state.hosts[index];
    let rendered = render(state, host, vault);
    let observed = machine.observe();
    let target = resolve(host, &rendered, &observed);
    let plan = diff_host(&target, &observed, &helpers(), names);
    if plan.state != HostState::Ready {
        return (plan, None);
    }
    let payload = Payload::compile(&plan, &target, &rendered, &observed, vault);
    let payload = payload.expect("nothing is missing");
    let files = sections(&payload.encode());
    (plan, Some((payload, files)))
}

/// Does a plan as a host does: what is pushed, the operations, and with the confirmation the rest.
fn carry_out(
    machine: &mut Machine,
    plan: &HostPlan,
    (payload, files): &(Payload, Files),
) -> Result<(), String> {
    push(machine, plan);
    payload.ops().iter().try_for_each(|op| machine.perform(op, files))?;
    payload.keep().iter().try_for_each(|op| machine.perform(op, files))
}

fn push(machine: &mut Machine, plan: &HostPlan) {
    for change in &plan.changes {
        if let Change::PushHelper { digest, .. } = change {
            machine.facts.helper = Some(*digest);
        }
    }
}

/// A machine that has what a fleet's file says, and then met the world; `None` where it cannot.
fn have(
    spec: &Spec,
    state: &DesiredState,
    index: usize,
    facts: &Facts,
    drifts: &[Drift],
) -> Result<Option<Machine>, String> {
    let key = spec.vault.fingerprint_key(&state.hosts[index].name).expect("a key");
    let mut machine = Machine::new(facts.clone(), &key);
    let (plan, sent) = compile(state, index, &spec.vault, &machine, &state.names);
    let Some(sent) = sent else { return Ok(None) };
    carry_out(&mut machine, &plan, &sent)?;
    machine.live();
    for drift in drifts {
        machine.drift(drift);
    }
    Ok(Some(machine))
}

/// Whether two interfaces of a host ask for one route, which `check` refuses before a plan is made.
fn routed_twice(state: &DesiredState, index: usize) -> bool {
    let mut all = BTreeSet::new();
    let routes = state.hosts[index].interfaces.iter().flat_map(DesiredInterface::routes);
    !routes.into_iter().all(|route| all.insert(route))
}

/// Whether an interface with `table: off` holds a route that another one is to have: what is there of
/// it, wgfleet leaves to the operator's hooks.
fn left_to_hooks(state: &DesiredState, index: usize, have: &Machine) -> bool {
    let own = &state.hosts[index].interfaces;
    let off = own.iter().filter(|own| own.table == RouteTable::Off);
    let held = off.filter_map(|own| have.links.get(&own.name)).flat_map(|link| &link.routes);
    let held: BTreeSet<_> = held.copied().collect();
    own.iter().any(|own| !own.routes().is_disjoint(&held))
}

/// Two states of a fleet, one of its hosts, and what it met in between.
fn cases() -> impl Strategy<Value = (Spec, Spec, Index, Facts, Vec<Drift>)> {
    let drifts = proptest::collection::vec(drift(), 0..4);
    (spec(), spec(), any::<Index>(), facts(), drifts, any::<bool>()).prop_map(
        |(old, mut new, index, facts, drifts, kept)| {
            // Half of the time the file changes in little.
            if kept {
                new.hosts.clone_from(&old.hosts);
            }
            (old, new, index, facts, drifts)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 10_000, ..config() })]

    #[test]
    fn operations_lead_to_what_is_wanted_and_back((old, new, index, facts, drifts) in cases()) {
        let (before, after) = (old.desired(), new.desired());
        let index = index.index(before.hosts.len().min(after.hosts.len()));
        prop_assume!(!routed_twice(&before, index) && !routed_twice(&after, index));
        let mut names = (*before.names).clone();
        names.extend((*after.names).clone());
        let told = || format!("host {index} after {drifts:?}\n{}\n{}", old.yaml(), new.yaml());
        let mut have = match have(&old, &before, index, &facts, &drifts) {
            Ok(Some(have)) => have,
            Ok(None) => return Err(TestCaseError::reject("it cannot be carried out")),
            Err(why) => return Err(TestCaseError::fail(format!("{why}\n{}", told()))),
        };
        have.key = *new.vault.fingerprint_key(&after.hosts[index].name).expect("a key").expose();
        prop_assume!(!left_to_hooks(&after, index, &have));
        let (plan, sent) = compile(&after, index, &new.vault, &have, &names);
        prop_assume!(sent.is_some());
        let Some(sent) = sent else { return Ok(()) };
        let mut there = have.clone();
        if let Err(why) = carry_out(&mut there, &plan, &sent) {
            return Err(TestCaseError::fail(format!("{why}\n{:#?}\n{:?}\n{}", plan.changes, sent.0.ops(), told())));
        }
        // Peers whose key is new are where their old one was heard, and shake hands there.
        there.shake();
        // There: nothing is left to do, and nothing that no change names is another.
        let (left, _) = compile(&after, index, &new.vault, &there, &names);
        prop_assert!(left.changes.is_empty(), "{:#?}\nafter {:#?}\n{:?}\n{}", left.changes, plan.changes, sent.0.ops(), told());
        prop_assert!(there.beside.is_empty(), "{:?} is left", there.beside.keys());
        for (name, link) in &have.links {
            if plan.changes.iter().all(|change| change.interface() != Some(name)) {
                let mut link = link.clone();
                link.shake();
                prop_assert_eq!(there.links.get(name), Some(&link), "{} is touched\n{:?}", name, sent.0.ops());
            }
        }
        for interface in &after.hosts[index].interfaces {
            let link = &there.links[&interface.name];
            for (key, peer) in &interface.peers {
                let wanted = peer.psk_epoch.map(|epoch| psk(&new.vault, interface, key, epoch));
                prop_assert_eq!(&link.peers[key].psk, &wanted);
            }
        }
        // And back, from wherever it stops: before or after what it did last.
        let mut before = have.clone();
        push(&mut before, &plan);
        before.reload();
        let (payload, files) = &sent;
        let ops = payload.ops();
        let saved = Snapshot::of(&before, ops);
        let mut half = before.clone();
        for begun in 0..=ops.len() {
            for done in [begun.saturating_sub(1), begun] {
                let mut back = half.clone();
                if done == begun && begun > 0 {
                    back.perform(&ops[begun - 1], files).expect("it was done above");
                    half = back.clone();
                }
                let reverted = back.revert(&saved, (ops, &ops[..begun], payload.undo()), files);
                let at = ops[..begun].last().map(Op::to_string);
                prop_assert_eq!(reverted, Ok(()), "after {:?} of {:?}\n{}", at, ops, told());
                prop_assert_eq!(&back.plain(), &before.clone().plain(), "after {:?} of {:?}\n{}", at, ops, told());
            }
        }
    }
}

/// wg-quick(8) takes the kernel's `WireGuard` where there is one: what it started would be another
/// backend than the one that the file asks for, and each further plan would start it anew.
#[test]
fn a_userspace_tunnel_that_only_wg_quick_can_start_is_refused_beside_the_kernels() {
    let mut spec = Spec::two_hosts();
    spec.hosts[0].backend = 2;
    let key = spec.vault.fingerprint_key(&"h0".parse().expect("a name")).expect("a key");
    let plan = |spec: &Spec, kernel: bool| {
        let tools = [Tool::Wg, Tool::WgQuick, Tool::Ip].into();
        let facts = Facts {
            machine: "x86_64".to_owned(),
            tun: true,
            kernel_wireguard: kernel,
            tools,
            ..Facts::default()
        };
        let state = spec.desired();
        let (plan, _) = compile(&state, 0, &spec.vault, &Machine::new(facts, &key), &state.names);
        plan.state
    };
    assert_eq!(plan(&spec, true), HostState::Ready);
    spec.hosts[0].hook = true;
    assert_eq!(plan(&spec, false), HostState::Ready);
    let HostState::Blocked(why) = plan(&spec, true) else { panic!("it is not refused") };
    let why = why.to_string();
    assert!(why.starts_with("backend: embedded, but wg0 has hooks, "), "{why}");
}

/// What stands in for wg-quick(8) starts wgfleet's own tunnel unless it is told: an interface of
/// wireguard-go came back as another after a restart of its unit, or a boot.
#[test]
fn a_unit_without_wg_quick_says_that_it_starts_wireguard_go() {
    let mut spec = Spec::two_hosts();
    spec.hosts[0].backend = 3;
    let key = spec.vault.fingerprint_key(&"h0".parse().expect("a name")).expect("a key");
    for (quick, said) in [(false, 1), (true, 0)] {
        let tools = [Tool::Wg, Tool::Ip, Tool::WireguardGo];
        let tools = tools.into_iter().chain(quick.then_some(Tool::WgQuick));
        let facts = Facts {
            machine: "x86_64".to_owned(),
            systemd: true,
            tun: true,
            tools: tools.collect(),
            ..Facts::default()
        };
        let state = spec.desired();
        let (_, sent) = compile(&state, 0, &spec.vault, &Machine::new(facts, &key), &state.names);
        let (_, files) = sent.expect("it can be carried out");
        let line = "\nEnvironment=WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go\n";
        assert_eq!(files.values().filter(|text| text.contains(line)).count(), said);
    }
}

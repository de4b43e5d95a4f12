//! What is sent to a host: plain words, secrets in staged files alone, and the real awk takes it
//! apart as it was put together.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::Index;
use wgfleet::desired::{DEFAULT_TEMPLATE, DesiredState};
use wgfleet::model::{Become, HostPath, Mtu, Port, Tool};
use wgfleet::plan::{HostPlan, HostState, Op, Payload, Plan, Saved, diff_host, moved, resolve};

use crate::drift::{drift, live};
use crate::fleet::{Spec, host_spec, spec};
use crate::plan::config;
use crate::vault::{Vault, leaks, render, render_by, secrets};
use crate::world::{World, facts, helpers, plan};

/// The files of a payload by name, as this side reads them.
pub(crate) fn sections(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        match (line.strip_prefix("=== "), line.strip_prefix(' '), &name) {
            (Some("end"), ..) => return all,
            (Some(next), ..) => {
                all.insert(next.to_owned(), String::new());
                name = Some(next.to_owned());
            }
            (None, Some(line), Some(name)) => {
                let file: &mut String = all.get_mut(name).expect("it was begun");
                file.push_str(line);
                file.push('\n');
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("no end: {text}");
}

/// The payloads of all hosts that lead from one fleet to another.
fn payloads(
    old: &Spec,
    new: &Spec,
    facts: &wgfleet::observed::Facts,
    drifts: &[crate::drift::Drift],
) -> Vec<Payload> {
    let (before, after) = (old.desired(), new.desired());
    let mut names = (*before.names).clone();
    names.extend((*after.names).clone());
    let mut all = Vec::new();
    for index in 0..after.hosts.len() {
        let mut world = World::new(facts.clone());
        if index < before.hosts.len() {
            world = plan(&before, index, &old.vault, &world, &before.names).1;
            live(&mut world);
            for drift in drifts {
                world.drift(drift);
            }
        }
        let host = &after.hosts[index];
        let rendered = render(&after, host, &new.vault);
        let observed = world.observe();
        let target = resolve(host, &rendered, &observed);
        let plan = diff_host(&target, &observed, &helpers(), &names);
        if plan.state == HostState::Ready {
            let payload = Payload::compile(&plan, &target, &rendered, &observed, &new.vault);
            all.push(payload.expect("nothing is missing"));
        }
    }
    all
}

/// A host's plan as the file has it that somebody reviews.
fn saved(state: &DesiredState, plan: HostPlan) -> String {
    let bytes = Plan::new(state.fleet.clone(), vec![plan]).to_saved(None).expect("a plan is JSON");
    String::from_utf8(bytes).expect("JSON is text")
}

/// The plan of each host that leads from what runs to a fleet, as bytes, and where what is sent.
fn bound(worlds: &[World], to: &Spec) -> Vec<(String, Option<String>)> {
    bound_to(worlds, &to.desired(), DEFAULT_TEMPLATE, &to.vault)
}

fn bound_to(
    worlds: &[World],
    state: &DesiredState,
    template: &str,
    vault: &Vault,
) -> Vec<(String, Option<String>)> {
    let each = state.hosts.iter().zip(worlds).map(|(host, world)| {
        let rendered = render_by(template, state, host, vault);
        let observed = world.observe();
        let target = resolve(host, &rendered, &observed);
        let mut plan = diff_host(&target, &observed, &helpers(), &state.names);
        plan.bind(&target, &rendered, &observed, vault).expect("nothing is missing");
        let sent = plan.can_apply().then(|| {
            let payload = Payload::compile(&plan, &target, &rendered, &observed, vault);
            let payload = payload.expect("nothing is missing").encode();
            format!("{} {:?} {}", host.ssh, host.r#become, payload.as_str())
        });
        (saved(state, plan), sent)
    });
    each.collect()
}

/// A change of one thing that a host is to have, by its number.
fn tweak(state: &mut DesiredState, at: Index, what: u8, number: u16, word: &str) -> String {
    let host = at.get_mut(&mut state.hosts);
    let mut template = DEFAULT_TEMPLATE.to_owned();
    let own = &mut host.interfaces[0];
    let peer = own.peers.values_mut().next();
    match (what, peer) {
        (0, _) => host.ssh = format!("root@192.0.2.9:{number}").parse().expect("a target"),
        (1, _) => host.r#become = Become::Doas,
        (2, _) => own.listen_port = Port::new(number),
        (3, _) => own.mtu = Mtu::new(1280 + u32::from(number % 200)).expect("an MTU"),
        (4, _) => own.hooks.post_up.push(word.to_owned()),
        (5, _) => own.hooks.pre_down.push(word.to_owned()),
        (6, Some(peer)) => {
            let net = format!("10.77.{}.0/24", number % 256).parse().expect("a prefix");
            peer.allowed_ips = peer.allowed_ips.iter().copied().chain([net]).collect();
        }
        (7, Some(peer)) => {
            peer.endpoint = format!("192.0.2.8:{number}").parse().ok();
        }
        (8, Some(peer)) => peer.keepalive = wgfleet::model::Keepalive::new(number),
        (9, _) => own.dns.push("192.0.2.53".to_owned()),
        (10, _) => host.forwarding.v6 = !host.forwarding.v6,
        (11, _) => template = template.replace("MTU = ", &format!("PostUp = {word}\nMTU = ")),
        (12, _) => template.extend(["# ", word, "\n"]),
        (13, _) => own.addresses.push("10.9.9.9/32".parse().expect("an address")),
        _ => {}
    }
    template
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..config() })]

    #[test]
    fn another_payload_is_another_plan(
        old in spec(), new in spec(), host in host_spec(), at in any::<Index>(), fresh in any::<bool>(), facts in facts(),
        (what, number, word) in (0_u8..28, 1_u16..u16::MAX, "[a-z]{1,9}"),
    ) {
        let before = old.desired();
        let worlds: Vec<World> = (0..new.hosts.len())
            .map(|index| {
                let world = World::new(facts.clone());
                if fresh || index >= before.hosts.len() {
                    return world;
                }
                let mut world = plan(&before, index, &old.vault, &world, &before.names).1;
                live(&mut world);
                world
            })
            .collect();
        let mut edited = new.clone();
        if what >= 14 {
            *at.get_mut(&mut edited.hosts) = host;
        }
        let mut state = edited.desired();
        let template = tweak(&mut state, at, what, number, &word);
        let other = bound_to(&worlds, &state, &template, &edited.vault);
        for (one, other) in bound(&worlds, &new).into_iter().zip(other) {
            let both = one.1.is_some() && other.1.is_some();
            prop_assert!(!both || one.1 == other.1 || one.0 != other.0, "{what} {}\n{}", one.0, new.yaml());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// By its types and its bytes: what is saved is what is compared.
    #[test]
    fn a_plan_that_is_carried_out_has_nothing_more_to_do(
        old in spec(), new in spec(), fresh in any::<bool>(), facts in facts(),
    ) {
        let (before, after) = (old.desired(), new.desired());
        let mut hosts = (Vec::new(), Vec::new());
        for (index, host) in after.hosts.iter().enumerate() {
            let mut world = World::new(facts.clone());
            if !fresh && index < before.hosts.len() {
                world = plan(&before, index, &old.vault, &world, &before.names).1;
            }
            let rendered = render(&after, host, &new.vault);
            let of = |world: &World| {
                let observed = world.observe();
                let target = resolve(host, &rendered, &observed);
                let mut plan = diff_host(&target, &observed, &helpers(), &after.names);
                plan.bind(&target, &rendered, &observed, &new.vault).expect("nothing is missing");
                let mut later = world.clone();
                if plan.state == HostState::Ready {
                    later.apply(&plan, &target, &new.vault);
                }
                (plan, later)
            };
            let (first, later) = of(&world);
            hosts.0.push(first);
            hosts.1.push(of(&later).0);
        }
        let saved = Plan::new(after.fleet.clone(), hosts.0);
        let now = Plan::new(after.fleet.clone(), hosts.1);
        let bytes = saved.to_saved(None).expect("a plan is JSON");
        let read = Plan::from_json(&bytes).expect("it is a plan");
        prop_assert_eq!(read.to_saved(None).expect("a plan is JSON"), bytes);
        prop_assert_eq!(moved(&read, &saved), Vec::<String>::new());
        prop_assert_eq!(moved(&read, &now), Vec::<String>::new());
    }
}

type Edit = fn(&mut Spec);

/// An outside audit changed these between the review and `apply FILE`: the plan of a host that had
/// nothing yet was the same, and the hook ran as root.
#[test]
fn what_is_changed_after_the_review_is_another_plan() {
    let text = Spec::two_hosts();
    let world = || {
        World::new(wgfleet::observed::Facts {
            kernel_wireguard: true,
            tools: [Tool::Wg, Tool::WgQuick, Tool::Ip].into(),
            ..wgfleet::observed::Facts::default()
        })
    };
    let reviewed = bound(&[world(), world()], &text);
    let edits: [Edit; 6] = [
        |spec| spec.hosts[0].hook = true,
        |spec| spec.hosts[0].mtu = Some(1300),
        |spec| spec.hosts[1].endpoint = 2,
        |spec| spec.hosts[0].keepalive = Some(7),
        |spec| spec.hosts[1].subnet = true,
        |spec| spec.hosts[0].fwmark = true,
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let mut edited = text.clone();
        edit(&mut edited);
        assert_ne!(bound(&[world(), world()], &edited)[0].0, reviewed[0].0, "edit {index}");
    }
    // Where it is sent, and who becomes root there.
    let state = text.desired();
    let rendered = render(&state, &state.hosts[0], &text.vault);
    let observed = world().observe();
    let plan = |host: &wgfleet::desired::DesiredHost| {
        let target = resolve(host, &rendered, &observed);
        let plan = diff_host(&target, &observed, &helpers(), &state.names);
        saved(&state, plan)
    };
    let mut moved = state.hosts[0].clone();
    moved.ssh = "root@203.0.113.9".parse().expect("a target");
    assert_ne!(plan(&moved), plan(&state.hosts[0]));
    let mut other = state.hosts[0].clone();
    other.r#become = wgfleet::model::Become::Doas;
    assert_ne!(plan(&other), plan(&state.hosts[0]));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_word_of_an_operation_is_plain(
        old in spec(), new in spec(), facts in facts(), drifts in proptest::collection::vec(drift(), 0..3),
    ) {
        let mut all = secrets(&old.desired(), &old.vault);
        all.extend(secrets(&new.desired(), &new.vault));
        for payload in payloads(&old, &new, &facts, &drifts) {
            let sections = sections(&payload.encode());
            for (name, ops) in [("ops", payload.ops()), ("keep", payload.keep()), ("undo", payload.undo())] {
                let lines: Vec<String> = ops.iter().map(ToString::to_string).collect();
                prop_assert_eq!(sections[name].lines().collect::<Vec<_>>(), lines);
            }
            for (name, text) in &sections {
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'), "{}", name);
                if !["ops", "keep", "undo"].contains(&name.as_str()) {
                    continue;
                }
                prop_assert!(!leaks(text, &all), "{}", text);
                for line in text.lines() {
                    let words: Vec<&str> = line.split(' ').collect();
                    for word in &words {
                        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/:.,=+@_-".contains(&b)
                            // The host's side turns patterns off; an IPv6 endpoint needs its brackets.
                            || (words[0] == "endpoint" && b"[]".contains(&b));
                        prop_assert!(!word.is_empty() && word.bytes().all(plain), "{}", line);
                    }
                    let staged = match words[0] {
                        "setconf" | "addconf" | "private" => words.get(2),
                        "psk" => words.get(3),
                        "batch" | "drop" | "file" | "prepare" | "keep" | "nft" | "try" => words.get(1),
                        _ => None,
                    };
                    prop_assert!(staged.is_none_or(|name| sections.contains_key(*name)), "{}", line);
                }
            }
            let ops = payload.ops();
            let written = |op: &Op| match op {
                Op::File { path, .. } | Op::Prepare { path, .. } => Some(path.clone()),
                _ => None,
            };
            let mut paths: Vec<HostPath> = ops.iter().filter_map(written).collect();
            let all_paths = paths.len();
            paths.sort_unstable();
            paths.dedup();
            prop_assert_eq!(paths.len(), all_paths, "written twice: {:?}", ops);
            // What can fail is tried before anything stops, and put in place by a rename.
            let stops = |op: &Op| matches!(op, Op::Stop { .. } | Op::QuickDown { .. } | Op::Delete { .. });
            let stop = ops.iter().position(stops);
            let tried = ops.iter().rposition(|op| matches!(op, Op::Try { .. }));
            prop_assert!(tried < stop.or(Some(usize::MAX)), "{:?}", ops);
            for (at, op) in ops.iter().enumerate() {
                match op {
                    Op::Keep { content, mode, path } => {
                        let prepared = Op::Prepare { content: *content, mode: *mode, path: path.clone() };
                        let first = ops.iter().position(|op| *op == prepared);
                        prop_assert!(first.is_some_and(|first| first < stop.unwrap_or(at)), "{:?}", ops);
                    }
                    Op::File { path, .. } => prop_assert!(
                        !path.starts_with("/etc/wireguard/") || path.starts_with("/etc/wireguard/wgfleet"), "{op}"
                    ),
                    _ => {}
                }
            }
            // What a rollback gives an interface again is saved.
            let touched = ops.iter().filter(|op| matches!(op, Op::Touch { .. })).count();
            prop_assert!(touched > 0 || ops.iter().all(|op| op.saved() != Saved::ByTouch), "{:?}", ops);
            prop_assert!(payload.keep().iter().all(|op| op.saved() != Saved::ByTouch), "{:?}", payload.keep());
            let shown = format!("{payload:?}");
            prop_assert!(!leaks(&shown, &all));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_awk_takes_it_apart(old in spec(), new in spec(), facts in facts()) {
        let script = wgfleet::remote::HOST_SCRIPT;
        let (_, program) = script.split_once("awk -v folder=\"$stage\" '").expect("the program is there");
        let program = program.split_once('\'').expect("it ends").0;
        for payload in payloads(&old, &new, &facts, &[]) {
            let text = payload.encode();
            let wanted = sections(&text);
            for awk in [&["mawk"][..], &["busybox", "awk"]] {
                let folder = tempfile::tempdir().expect("a folder");
                let mut child = Command::new(awk[0])
                    .args(&awk[1..])
                    .arg("-v")
                    .arg(format!("folder={}", folder.path().display()))
                    .arg(program)
                    .stdin(Stdio::piped())
                    .spawn()
                    .unwrap_or_else(|error| panic!("this test needs {awk:?}: {error}"));
                let mut stdin = child.stdin.take().expect("a pipe");
                stdin.write_all(text.as_bytes()).expect("it reads");
                drop(stdin);
                prop_assert!(child.wait().expect("it ends").success());
                let files: BTreeMap<String, String> = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| {
                    let entry = entry.expect("a file");
                    let text = std::fs::read_to_string(entry.path()).expect("text");
                    (entry.file_name().into_string().expect("a name"), text)
                }).collect();
                prop_assert_eq!(&files, &wanted, "{:?}", awk);
            }
        }
    }
}

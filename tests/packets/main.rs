//! The proof against packets: random fleets, raised with real tunnels, every pair pinged.
//!
//! `WGFLEET_SEEDS=1..500` chooses other fleets than the fixed ones (`make test-packets`). Needs
//! root, /dev/net/tun and what `wgfleet lab` needs; runs alone.

#![expect(clippy::print_stderr, reason = "a long run says what it compared")]

mod fleet;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleet::Fleet;
use wgfleet::check::walk::Cause;
use wgfleet::check::{self, pairs};
use wgfleet::inventory::Selector;
use wgfleet::lab::{Lab, Spec};
use wgfleet::model::{FleetName, PrivateKey, host_net};
use wgfleet::topology::{Interface, InterfaceId, NodeId, NodeKind};
use zeroize::Zeroizing;

/// Fleets of a run that chooses none.
const SEEDS: std::ops::Range<u64> = 0..40;
/// How long packets that are to arrive may take, sessions included.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pings at a time.
const PARALLEL: usize = 24;

/// Labs at a time: most of the time goes by in waiting.
const LABS: usize = 3;

/// The binary under test, or that of `WGFLEET`.
fn wgfleet() -> String {
    std::env::var("WGFLEET").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wgfleet").to_owned())
}

/// Where each host of a lab has it: what lies under /tmp here is not there.
const PROGRAM: &str = "/run/wgfleet-under-test";

/// A lab that goes when the test does.
struct Raised {
    lab: Lab,
    name: FleetName,
}

impl Drop for Raised {
    fn drop(&mut self) {
        let gone = Lab::down(&self.name);
        assert!(gone.is_ok() || std::thread::panicking(), "lab down: {gone:?}");
    }
}

/// A packet to send, and what was predicted.
#[derive(Debug, Clone)]
struct Probe {
    at: String,
    source: Option<IpAddr>,
    target: IpAddr,
    predicted: Result<(), Cause>,
}

fn key(interface: usize) -> PrivateKey {
    let mut bytes = Zeroizing::new([7_u8; 32]);
    bytes[3] = u8::try_from(interface).expect("a small fleet");
    PrivateKey::from_random(bytes)
}

fn conf(id: InterfaceId, interface: &Interface) -> String {
    let private = key(id.0 as usize).expose_base64();
    let mut text = format!("[Interface]\nPrivateKey = {}\nMTU = 1380\n", &*private);
    for addr in &interface.addresses {
        let _ = writeln!(text, "Address = {}", addr.value);
    }
    if let Some(port) = interface.listen_port.value {
        let _ = writeln!(text, "ListenPort = {port}");
    }
    for peer in &interface.peers {
        let public = key(peer.remote.0 as usize).public();
        let nets: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "[Peer]\nPublicKey = {public}\nAllowedIPs = {}", nets.join(", "));
        if let Some(endpoint) = &peer.endpoint {
            let _ = writeln!(text, "Endpoint = {endpoint}");
        }
        if let Some(keepalive) = peer.keepalive() {
            let _ = writeln!(text, "PersistentKeepalive = {}", keepalive.get());
        }
    }
    text
}

/// What a host runs to become what the topology says.
fn script(fleet: &Fleet, node: NodeId) -> String {
    let topology = &fleet.topology;
    let here = topology.node(node);
    let mut text = String::from(
        "set -e\nfor f in all default; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done\n",
    );
    let _ = writeln!(
        text,
        "echo {} >/proc/sys/net/ipv4/ip_forward\necho {} >/proc/sys/net/ipv6/conf/all/forwarding",
        u8::from(here.forwards.v4.value),
        u8::from(here.forwards.v6.value),
    );
    let masked_always = match here.kind {
        NodeKind::Host(host) => fleet.inventory.hosts[host].settings.masquerade.get(),
        NodeKind::Unmanaged(_) => false,
    };
    let mut rules = String::new();
    for source in here.masquerade.iter() {
        let family = if matches!(source, ipnet::IpNet::V4(_)) { "ip" } else { "ip6" };
        let same = |net: &ipnet::IpNet| matches!(net, ipnet::IpNet::V4(_)) == (family == "ip");
        let kept = here.subnets.iter().map(|subnet| subnet.value).filter(same);
        let kept: Vec<String> = kept.map(|net| net.to_string()).collect();
        let except = if masked_always || kept.is_empty() {
            String::new()
        } else {
            format!("{family} daddr != {{ {} }} ", kept.join(", "))
        };
        let _ = writeln!(
            rules,
            "add rule inet t p {family} saddr {source} {except}oifname != {{ \"a\", \"b\", \"wg0\" }} masquerade"
        );
    }
    if !rules.is_empty() {
        let _ = write!(
            text,
            "nft -f - <<'END'\nadd table inet t\nadd chain inet t p {{ type nat hook postrouting priority srcnat; }}\n{rules}END\n"
        );
    }
    text.push_str("mkdir -p /etc/wireguard\numask 077\n");
    for id in &here.interfaces {
        let interface = topology.interface(*id);
        let name = interface.name.as_str();
        let _ = write!(
            text,
            "cat >/etc/wireguard/{name}.conf <<'END'\n{}END\n{PROGRAM} quick up {name} >/dev/null 2>/run/{name}.log || {{ cat /run/{name}.log >&2; exit 1; }}\n",
            conf(*id, interface)
        );
    }
    text
}

fn raise(fleet: &Fleet, seed: u64) -> Raised {
    let name: FleetName = format!("p{}-{seed}", std::process::id()).parse().expect("a name");
    let spec = Spec::from_inventory(&fleet.inventory).expect("the fleet has a twin");
    let lab =
        Lab::up(spec.named(name.clone()), Path::new(&wgfleet())).expect("a lab can be raised");
    let raised = Raised { lab, name };
    std::thread::scope(|scope| {
        for (node, there) in (0..).map(NodeId).zip(&fleet.topology.nodes) {
            let (lab, script) = (&raised.lab, script(fleet, node));
            scope.spawn(move || {
                let at = lab.node(there.name.as_str()).expect("the host is there");
                let copy = format!("cat >{PROGRAM} && chmod 755 {PROGRAM}");
                let mut command = lab.command(at, &["sh", "-c", &copy]).expect("the host is on");
                let binary = std::fs::File::open(wgfleet()).expect("the binary under test");
                let copied = command.stdin(binary).status().expect("sh starts");
                assert!(copied.success(), "{}: no room for the binary", there.name);
                let mut command = lab.command(at, &["sh"]).expect("the host is on");
                let mut child = command
                    .stdin(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("sh starts");
                let mut stdin = child.stdin.take().expect("a pipe");
                stdin.write_all(script.as_bytes()).expect("sh reads");
                drop(stdin);
                let output = child.wait_with_output().expect("sh ends");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{}: {said}\n{script}", there.name);
            });
        }
    });
    raised
}

/// Every ordered pair of tunnel addresses and LAN clients, predicted.
fn probes(fleet: &Fleet, lab: &Lab) -> Vec<Probe> {
    let (inventory, topology) = (&fleet.inventory, &fleet.topology);
    // Where packets come from: the node to run ping in, who it is to the proof, its address.
    let mut ends: Vec<(String, Selector, IpAddr, Option<usize>)> = Vec::new();
    for interface in &topology.interfaces {
        let name = &topology.node(interface.node).name;
        for addr in interface.addresses.iter().map(|addr| addr.value.addr()) {
            let who = Selector::Net(host_net(addr));
            ends.push((name.to_string(), who, addr, Some(interface.network)));
        }
    }
    for lan in &lab.spec().lans {
        let addr = lan.client.addr();
        ends.push((lan.name.clone(), Selector::Net(host_net(addr)), addr, None));
    }
    let mut probes = Vec::new();
    for (at, who, source, network) in &ends {
        for (_, to, target, other) in &ends {
            if source.is_ipv4() != target.is_ipv4() {
                continue;
            }
            // To a LAN, the host's kernel chooses the source.
            let chosen = network.is_some() && other.is_none();
            let from = match (chosen, at.parse()) {
                (true, Ok(name)) => Selector::Host(name),
                _ => who.clone(),
            };
            let Some(predicted) = check::proves(inventory, topology, &from, to) else { continue };
            let source = (network.is_some() && !chosen).then_some(*source);
            probes.push(Probe { at: at.clone(), source, target: *target, predicted });
        }
        if let (Some(_), Ok(name)) = (network, at.parse()) {
            for target in lab.spec().internet.iter().filter(|to| to.is_ipv4() == source.is_ipv4()) {
                let of_host = inventory.hosts.iter().any(|host| {
                    host.name.value == name
                        && host.interfaces.iter().any(|own| own.full_tunnel_via.is_some())
                });
                let of_peer = inventory
                    .peers
                    .iter()
                    .any(|peer| peer.name.value == name && peer.settings.full_tunnel.get());
                let full = of_host || of_peer;
                let from = Selector::Host(name.clone());
                let to = Selector::Net(host_net(*target));
                // Without a tunnel that leads there it leaves by the host's own uplink, which is no
                // flow of the fleet.
                let predicted = check::proves(inventory, topology, &from, &to);
                let predicted = predicted.filter(|end| full && *end != Err(Cause::NoRoute));
                if let Some(predicted) = predicted {
                    probes.push(Probe { at: at.clone(), source: None, target: *target, predicted });
                }
            }
        }
    }
    probes
}

/// LANs with several gateways, with the addresses of those: the proof lets a machine there use any.
fn shared_lans(lab: &Lab) -> Vec<(String, Vec<IpAddr>)> {
    let spec = lab.spec();
    let lans = spec.lans.iter().enumerate().map(|(index, lan)| {
        let lans = spec.hosts.iter().flat_map(|host| &host.lans);
        let own = lans.filter(|(other, _)| *other == index).map(|(_, addr)| addr.addr());
        (lan.name.clone(), own.collect::<Vec<_>>())
    });
    lans.filter(|(_, gateways)| gateways.len() > 1).collect()
}

/// In how many ways machines can choose among the gateways of their LANs.
fn choices(shared: &[(String, Vec<IpAddr>)]) -> usize {
    shared.iter().map(|(_, gateways)| gateways.len()).product()
}

/// Gives every machine of a shared LAN a gateway: each choice another one.
fn choose(lab: &Lab, shared: &[(String, Vec<IpAddr>)], mut choice: usize) {
    for (name, gateways) in shared {
        let gateway = gateways[choice % gateways.len()].to_string();
        choice /= gateways.len();
        let node = lab.node(name).expect("the LAN is there");
        let argv = ["ip", "route", "replace", "default", "via", &gateway];
        let done = lab.command(node, &argv).expect("the LAN is on").status().expect("ip starts");
        assert!(done.success(), "{name} takes {gateway} for its gateway");
    }
}

/// Sends one packet for each probe and says which were answered.
fn send(lab: &Lab, probes: &[&Probe]) -> Vec<bool> {
    let ping = |probe: &Probe| -> Command {
        let mut argv = vec!["ping".to_owned(), "-n".into(), "-c1".into(), "-W1".into()];
        if let Some(source) = probe.source {
            argv.extend(["-I".to_owned(), source.to_string()]);
        }
        argv.push(probe.target.to_string());
        let node = lab.node(&probe.at).expect("the node is there");
        lab.command(node, &argv).expect("the node is on")
    };
    let mut answered = Vec::new();
    for chunk in probes.chunks(PARALLEL) {
        let running: Vec<_> = chunk
            .iter()
            .map(|probe| {
                let mut command = ping(probe);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().expect("ping starts")
            })
            .collect();
        for mut child in running {
            answered.push(child.wait().expect("ping ends").success());
        }
    }
    answered
}

/// Raises the fleet of a seed and compares each prediction with a packet; the disagreements.
fn compare(seed: u64) -> (usize, usize, Vec<String>) {
    let fleet = fleet::of(seed);
    let raised = raise(&fleet, seed);
    let probes = probes(&fleet, &raised.lab);
    let mut wrong = Vec::new();
    let begin = Instant::now();
    // Sessions take their time; whoever only waits for another tries again.
    let mut open: Vec<&Probe> = probes.iter().filter(|probe| probe.predicted.is_ok()).collect();
    let reachable = open.len();
    let shared = shared_lans(&raised.lab);
    let choices = choices(&shared);
    for choice in 0.. {
        if open.is_empty() || begin.elapsed() >= PATIENCE {
            break;
        }
        choose(&raised.lab, &shared, choice % choices);
        let answered = send(&raised.lab, &open);
        let mut answers = answered.into_iter();
        open.retain(|_| !answers.next().unwrap_or_default());
    }
    wrong.extend(open.into_iter().map(|probe| format!("not answered: {probe:?}")));
    // What depends on who spoke last, or on the gateway that a LAN chooses, is not compared.
    let lost: Vec<&Probe> = probes
        .iter()
        .filter(|probe| {
            matches!(probe.predicted, Err(cause)
                if !matches!(cause, Cause::Asleep(_) | Cause::OtherGateway))
        })
        .collect();
    for choice in 0..choices {
        choose(&raised.lab, &shared, choice);
        let answered = send(&raised.lab, &lost);
        for (probe, answered) in lost.iter().zip(answered) {
            if answered {
                wrong.push(format!("answered: {probe:?}"));
            }
        }
    }
    if !wrong.is_empty() {
        wrong.insert(0, format!("seed {seed}: {:#?}\n{}", fleet.mutations, fleet.text));
    }
    (reachable, lost.len(), wrong)
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WGFLEET_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").expect("WGFLEET_SEEDS is FROM..TO");
    let number = |text: &str| text.trim().parse::<u64>().expect("WGFLEET_SEEDS is FROM..TO");
    number(from)..number(to)
}

#[test]
fn every_packet_does_what_the_proof_says() {
    let (mut reachable, mut lost, mut wrong) = (0, 0, Vec::new());
    let begin = Instant::now();
    let seeds = seeds();
    let fleets = seeds.end - seeds.start;
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new((&mut reachable, &mut lost, &mut wrong));
    std::thread::scope(|scope| {
        for _ in 0..LABS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let (some, others, more) = compare(seed);
                    let mut done = done.lock().expect("no other fleet has failed");
                    *done.0 += some;
                    *done.1 += others;
                    done.2.extend(more);
                }
            });
        }
    });
    let took = begin.elapsed().as_secs();
    eprintln!("{fleets} fleets: {reachable} packets answered, {lost} lost as predicted, {took} s");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is predicted is worth predicting: most causes, and both verdicts in number.
#[test]
fn the_fixed_fleets_meet_every_cause() {
    let mut met = std::collections::BTreeMap::new();
    for seed in SEEDS {
        let fleet = fleet::of(seed);
        for pair in pairs(&fleet.inventory, &fleet.topology) {
            let cause = pair.cause.map_or("reachable".to_owned(), |cause| format!("{cause:?}"));
            let cause = cause.split('(').next().unwrap_or_default().to_owned();
            *met.entry(cause).or_insert(0) += 1;
        }
    }
    for wanted in [
        "reachable",
        "NoRoute",
        "NoPeer",
        "NoSession",
        "PrivateEndpoint",
        "Hairpin",
        "SourceRefused",
        "NoForwarding",
    ] {
        assert!(met.get(wanted).is_some_and(|count| *count >= 5), "{wanted}: {met:?}");
    }
}

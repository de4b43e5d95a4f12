//! Plans of a mesh: the first one, in which every host is empty; one with nothing to do; and one of
//! another epoch of preshared keys, which changes every peer of every host. How long they take, flows
//! included, and how large they are, as JSON and as text. Neither hosts nor ssh are in it. `HOSTS` says
//! how many (1,000).
//!
//! It ends with 1 where the first plan of a mesh of 1,000 takes more than 30 s, or any of the three more
//! than 100 MB.

#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use sha2::{Digest as _, Sha256};
use wgfleet::check::{State, difference};
use wgfleet::desired::{
    self, DEFAULT_TEMPLATE, DesiredHost, DesiredState, PublicKeys, Renderer, Secrets,
};
use wgfleet::inventory::Inventory;
use wgfleet::model::{FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey, Tool};
use wgfleet::observed::{
    Facts, ObservedFile, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk,
};
use wgfleet::plan::{
    HelperSource, HostState, Plan, RenderedHost, SecretState, Target, TargetInterface, diff_host,
    resolve, running,
};
use wgfleet::report::plan::{Detail, human};
use wgfleet::topology::Topology;
use wgfleet::{inventory, topology};
use zeroize::Zeroizing;

/// Keys that are made up from names.
struct MadeUp {
    epoch: u32,
}

fn bytes(parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(parts.concat()).into())
}

impl PublicKeys for MadeUp {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        Some(PrivateKey::from_random(bytes(&[b"key", name.as_str().as_bytes()])).public())
    }
    fn psk_epoch(&self) -> Option<u32> {
        Some(self.epoch)
    }
}

impl Secrets for MadeUp {
    type Error = Infallible;
    fn private_key(&self, name: &HostName, _: &PublicKey) -> Result<PrivateKey, Infallible> {
        Ok(PrivateKey::from_random(bytes(&[b"key", name.as_str().as_bytes()])))
    }
    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, Infallible> {
        let epoch = epoch.to_be_bytes();
        Ok(PresharedKey::from_bytes(bytes(&[a.min(b).as_bytes(), a.max(b).as_bytes(), &epoch])))
    }
    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, Infallible> {
        Ok(FingerprintKey::from_bytes(bytes(&[b"fingerprint", name.as_str().as_bytes()])))
    }
}

fn mesh(hosts: usize) -> String {
    let mut text = String::from(
        "fleet: bench\nnetworks:\n  backbone: { prefixes: 10.64.0.0/16, links: mesh, psk: pairwise }\nsites:\n",
    );
    for host in 0..hosts {
        let (high, low) = (16 + host / 256, host % 256);
        let (third, fourth) = (host / 250, 1 + host % 250);
        let _ = writeln!(
            text,
            "  site-{host}:\n    subnets: 172.{high}.{low}.0/24\n    hosts:\n      gw-{host}: {{ \
             address: 10.64.{third}.{fourth}, endpoint: \"gw-{host}.example.com:51820\", gateway: \
             true, ssh: gw-{host} }}"
        );
    }
    text
}

/// The fleet as it is to be.
struct Wanted {
    inventory: Inventory,
    topology: Topology,
    state: DesiredState,
}

fn wanted(hosts: usize, epoch: u32) -> Wanted {
    let parsed = inventory::parse("fleet.yaml".into(), mesh(hosts));
    let inventory = parsed.inventory.expect("the inventory is right");
    let topology = topology::build(&inventory, &|_: &_, _: &_| Vec::new());
    let (state, missing) = desired::build(&inventory, &topology, &MadeUp { epoch });
    assert!(missing.is_empty());
    Wanted { inventory, topology, state }
}

fn empty_host() -> ObservedHost {
    let tools = [Tool::Ip, Tool::Nft, Tool::Wg, Tool::WgQuick].into();
    let facts = Facts {
        machine: "x86_64".to_owned(),
        kernel: "6.12".to_owned(),
        systemd: true,
        kernel_wireguard: true,
        tun: true,
        tools,
        helper: None,
    };
    ObservedHost { facts, ..ObservedHost::default() }
}

/// A host that has what it is to have, with sessions to all of its peers.
fn applied(target: &Target<'_>) -> ObservedHost {
    let live = |own: &TargetInterface<'_>| {
        let desired = own.desired;
        let peers = desired.peers.iter().map(|(key, peer)| {
            let live = ObservedPeer {
                psk: ObservedPsk::AsFile,
                endpoint: Some(([192, 0, 2, 1], 51820).into()),
                allowed_ips: peer.allowed_ips.iter().copied().collect(),
                latest_handshake: 1_700_000_000,
                received: 1,
                sent: 1,
                keepalive: peer.keepalive,
            };
            (*key, live)
        });
        ObservedInterface {
            backend: own.backend,
            up: true,
            mtu: desired.mtu.get().into(),
            public_key: Some(desired.public_key),
            listen_port: desired.listen_port.map_or(0, wgfleet::model::Port::get),
            fwmark: 0,
            addresses: desired.addresses.iter().copied().collect(),
            routes: desired.routes(),
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: peers.collect(),
        }
    };
    let files = target.files.iter().map(|(path, file)| {
        let seen = ObservedFile {
            mode: file.mode,
            root: true,
            fingerprint: file.fingerprint,
            public_text: file.public_text.clone(),
        };
        (path.clone(), seen)
    });
    let interfaces = target.interfaces.iter().map(|own| (own.desired.name.clone(), live(own)));
    ObservedHost {
        interfaces: interfaces.collect(),
        files: files.collect(),
        units: target.units.clone(),
        forward_v4: target.desired.forwarding.v4,
        forward_v6: target.desired.forwarding.v6,
        ..empty_host()
    }
}

/// What a host is to have, and what it has.
type Pair = (RenderedHost, ObservedHost);

/// Renders every host; `seen` says what it has.
fn pairs(
    wanted: &Wanted,
    epoch: u32,
    seen: impl Fn(&DesiredHost, &RenderedHost) -> ObservedHost + Sync,
) -> BTreeMap<HostName, Pair> {
    let state = &wanted.state;
    let template =
        Renderer::new(state.fleet.clone(), DEFAULT_TEMPLATE.to_owned()).expect("a template");
    let secrets = MadeUp { epoch };
    let pair = |host: &DesiredHost| {
        let files = host.interfaces.iter().map(|interface| {
            let file = template.render(host, interface, &secrets).expect("it renders");
            (interface.name.clone(), file)
        });
        let files = files.collect();
        let Ok(key) = secrets.fingerprint_key(&host.name);
        let rendered =
            RenderedHost { fleet: state.fleet.clone(), files, key, secrets: SecretState::Compared };
        let seen = seen(host, &rendered);
        (host.name.clone(), (rendered, seen))
    };
    state.hosts.par_iter().map(pair).collect()
}

/// The plan, with the flows that it changes.
fn planned(wanted: &Wanted, epoch: u32, pairs: &BTreeMap<HostName, Pair>) -> Plan {
    let state = &wanted.state;
    let host = |host: &DesiredHost| {
        let (rendered, seen) = &pairs[&host.name];
        let target = resolve(host, rendered, seen);
        let mut plan = diff_host(&target, seen, &HelperSource::default(), &state.names);
        let Ok(()) = plan.bind(&target, rendered, seen, &MadeUp { epoch });
        assert_eq!(plan.state, HostState::Ready);
        plan
    };
    let mut plan = Plan::new(state.fleet.clone(), state.hosts.par_iter().map(host).collect());
    let base = (&wanted.inventory, &wanted.topology);
    let (inventory, runs) =
        running(base, &state.names, |name: &_| pairs.get(name).map(|(_, seen)| seen));
    let moved = difference(State::new(&inventory, &runs), State::new(base.0, base.1));
    plan.reach(moved, &runs);
    plan
}

/// The most memory that the process has had, in MiB; 0 where the kernel does not tell.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// Seconds of processors that the process has taken; 0 where the kernel does not tell.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().into_iter().flat_map(str::split_whitespace);
    // In user and kernel mode, in hundredths: see proc_pid_stat(5).
    let ticks: f64 = ticks.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Makes, saves, reads and shows a plan. The seconds until it is saved, and its bytes.
fn measured(
    what: &str,
    wanted: &Wanted,
    epoch: u32,
    pairs: &BTreeMap<HostName, Pair>,
) -> (f64, usize) {
    let (begin, before) = (Instant::now(), processor());
    let lap = |what: &str, size: usize| {
        let (took, memory) = (begin.elapsed().as_secs_f64(), most_memory());
        let cpu = processor() - before;
        println!("  {what:<18} {took:>7.2} s, CPU {cpu:>6.2} s {size:>9} {memory:>6} MiB at most");
    };
    println!("{what}");
    let plan = planned(wanted, epoch, pairs);
    lap("planned, changes", plan.hosts.iter().map(|host| host.changes.len()).sum());
    let json = plan.to_saved(None).expect("a plan has a form");
    // On a machine that does other things as well, the wall clock tells of those.
    let took = (processor() - before).min(begin.elapsed().as_secs_f64());
    lap("as JSON, bytes", json.len());
    let read = Plan::from_json(&json).expect("it is read back");
    lap("read back, hosts", read.hosts.len());
    assert!(read == plan, "it is what was saved");
    drop(read);
    let text = human(&plan, Detail::Grouped);
    lap("as text, lines", text.lines().count());
    (took, json.len())
}

fn main() -> ExitCode {
    let hosts = std::env::var("HOSTS").ok().and_then(|hosts| hosts.parse().ok()).unwrap_or(1_000);
    let begin = Instant::now();
    let first = wanted(hosts, 1);
    let empty = pairs(&first, 1, |_, _| empty_host());
    println!("{hosts} hosts, read and rendered in {:.2} s", begin.elapsed().as_secs_f64());
    let (took, mut bytes) = measured("the first plan", &first, 1, &empty);
    drop(empty);
    let applied =
        pairs(&first, 1, |host, rendered| applied(&resolve(host, rendered, &empty_host())));
    bytes = bytes.max(measured("with nothing to do", &first, 1, &applied).1);
    let second = wanted(hosts, 2);
    let mut changed = pairs(&second, 2, |_, _| ObservedHost::default());
    for (name, (_, seen)) in applied {
        changed.entry(name).and_modify(|pair| pair.1 = seen);
    }
    bytes = bytes.max(measured("another epoch of preshared keys", &second, 2, &changed).1);
    if hosts <= 1_000 && (took > 30.0 || bytes > 100_000_000) {
        println!("the first plan of 1,000 has 30 s, and every plan 100,000,000 bytes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

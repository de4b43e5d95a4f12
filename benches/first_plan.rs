//! The first plan of a mesh in which every host is empty: how long it takes and how large it is, as
//! JSON and as text. Neither hosts nor ssh are in it. `HOSTS` says how many (1,000).
//!
//! It ends with 1 where a mesh of 1,000 takes more than 30 s or 100 MB.

#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use wgfleet::desired::{self, DEFAULT_TEMPLATE, PublicKeys, Renderer, Secrets};
use wgfleet::model::{FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey};
use wgfleet::observed::{Facts, ObservedHost};
use wgfleet::plan::{AgentSource, Plan, RenderedHost, SecretState, diff_host, resolve};
use wgfleet::report::plan::{Detail, human};
use wgfleet::{inventory, topology};
use zeroize::Zeroizing;

/// Keys that are made up from names.
struct MadeUp;

fn bytes(parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(parts.concat()).into())
}

impl PublicKeys for MadeUp {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        Some(PrivateKey::from_random(bytes(&[b"key", name.as_str().as_bytes()])).public())
    }
    fn psk_epoch(&self) -> Option<u32> {
        Some(1)
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
        _: u32,
    ) -> Result<PresharedKey, Infallible> {
        Ok(PresharedKey::from_bytes(bytes(&[a.min(b).as_bytes(), a.max(b).as_bytes()])))
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

fn main() -> ExitCode {
    let hosts = std::env::var("HOSTS").ok().and_then(|hosts| hosts.parse().ok()).unwrap_or(1_000);
    let begin = Instant::now();
    let lap = |what: &str, bytes: usize| {
        println!("{what:<32} {:>8.2} s {:>12} bytes", begin.elapsed().as_secs_f64(), bytes);
    };
    let text = mesh(hosts);
    let parsed = inventory::parse("fleet.yaml".into(), text.clone());
    let fleet = parsed.inventory.expect("the inventory is right");
    let wanted = topology::build(&fleet, &|_: &_, _: &_| Vec::new());
    let (state, missing) = desired::build(&fleet, &wanted, &MadeUp);
    assert!(missing.is_empty());
    lap("read, and derived", text.len());
    let template =
        Renderer::new(state.fleet.clone(), DEFAULT_TEMPLATE.to_owned()).expect("a template");
    let tools = ["ip", "nft", "wg", "wg-quick"].map(str::to_owned).into();
    let facts = Facts {
        machine: "x86_64".to_owned(),
        kernel: "6.12".to_owned(),
        systemd: true,
        kernel_wireguard: true,
        tun: true,
        tools,
        agent: None,
    };
    let observed = ObservedHost { facts, ..ObservedHost::default() };
    let (mut plans, mut written) = (Vec::new(), 0);
    for host in &state.hosts {
        let files = host.interfaces.iter().map(|interface| {
            let file = template.render(host, interface, &MadeUp).expect("it renders");
            written += file.public_text.len();
            (interface.name.clone(), file)
        });
        let files = files.collect();
        let Ok(key) = MadeUp.fingerprint_key(&host.name);
        let rendered =
            RenderedHost { fleet: state.fleet.clone(), files, key, secrets: SecretState::Compared };
        let target = resolve(host, &rendered, &observed);
        let mut plan = diff_host(&target, &observed, &AgentSource::default(), &state.names);
        let Ok(()) = plan.bind(&target, &rendered, &observed, &MadeUp);
        assert!(plan.can_apply(), "{:?}", plan.state);
        plans.push(plan);
    }
    let plan = Plan::new(state.fleet.clone(), plans);
    lap("planned; files that are bound", written);
    let json = plan.to_saved().expect("a plan has a form");
    let took = begin.elapsed().as_secs_f64();
    lap("as JSON", json.len());
    let read = Plan::from_json(&json).expect("it is read back");
    lap("read back", json.len());
    let text = human(&read, Detail::Grouped);
    lap("as text", text.len());
    println!("{hosts} hosts: {} lines of text", text.lines().count());
    let within = took <= 30.0 && json.len() <= 100_000_000;
    if hosts <= 1_000 && !within {
        println!("a mesh of 1,000 has 30 s and 100,000,000 bytes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

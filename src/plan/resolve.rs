//! Decides what one host is to have: backend, files, units, rules.

use std::collections::{BTreeMap, BTreeSet};

use super::firewall::Firewall;
use super::manager::Wanted;
use super::names::Names;
use super::obstacle::Obstacle;
use super::rename::Renames;
use super::renames;
use super::target::{RenderedHost, SecretState, Target, TargetFile, TargetInterface};
use super::{alike, forwarding, manager, paths};
use crate::desired::{DesiredHost, file_digest};
use crate::model::{Backend, HostPath, Tool, Untrusted};
use crate::observed::{Facts, LiveBackend, ObservedHost, PathKind, UnitState};

/// Decides what a host is to have.
#[must_use]
pub fn resolve<'a>(
    desired: &'a DesiredHost,
    rendered: &RenderedHost,
    observed: &ObservedHost,
) -> Target<'a> {
    let facts = &observed.facts;
    let mut target = Target {
        desired,
        interfaces: Vec::new(),
        manager: manager::of(facts),
        helper: false,
        files: BTreeMap::new(),
        alike: BTreeSet::new(),
        units: BTreeMap::new(),
        firewall: None,
        names: Names::of(&rendered.fleet),
        renames: Renames::default(),
        blocked: None,
        notes: Vec::new(),
    };
    for interface in &desired.interfaces {
        let live = observed.interfaces.get(&interface.name).map(|live| live.backend);
        let backend = backend(desired.backend, facts, live);
        if let Err(reason) = &backend {
            target.blocked.get_or_insert_with(|| reason.clone());
        }
        let backend = backend.unwrap_or(LiveBackend::Embedded);
        if let Some(reason) = target.manager.refuses(&interface.name) {
            target.blocked.get_or_insert(reason);
        }
        let hooks = &interface.hooks;
        let hooked = [&hooks.pre_up, &hooks.post_up].iter().any(|lines| !lines.is_empty());
        let quick = hooked || interface.full_tunnel() || !interface.dns.is_empty();
        if !interface.dns.is_empty() && !facts.has(Tool::Resolvconf) {
            let interface = interface.name.clone();
            target.blocked.get_or_insert(Obstacle::NoResolvconf { interface });
        }
        let needed = target.manager.needs(quick);
        target.helper |=
            backend == LiveBackend::Embedded || !needed.iter().all(|tool| facts.has(*tool));
        target.interfaces.push(TargetInterface { desired: interface, backend, quick });
    }
    files(&mut target, rendered, observed);
    if let Some(firewall) = Firewall::of(desired, &target.names) {
        if !facts.has(Tool::Nft) {
            target.blocked.get_or_insert(Obstacle::NoNft);
        }
        let path = target.names.firewall_file.clone();
        target.add_public(rendered, path, 0o600, firewall.text.clone());
        target.firewall = Some(firewall);
    }
    units(&mut target, rendered);
    odd(&mut target, observed);
    target.renames = renames::of(&target, observed, &rendered.key);
    target.notes.extend(target.names.left_alone(observed));
    if !facts.has(Tool::Ip) {
        target.blocked.get_or_insert(Obstacle::NoIp);
    }
    target
}

/// Picks what carries an interface's packets. What runs already is kept under `auto`: changing it
/// would cost every session.
fn backend(
    wanted: Backend,
    facts: &Facts,
    live: Option<LiveBackend>,
) -> Result<LiveBackend, Obstacle> {
    let picked = match (wanted, live) {
        (Backend::Auto, Some(live)) => return Ok(live),
        (Backend::Auto, None) if facts.kernel_wireguard => LiveBackend::Kernel,
        (Backend::Auto | Backend::Embedded, _) => LiveBackend::Embedded,
        (Backend::Kernel, _) => LiveBackend::Kernel,
        (Backend::WireguardGo, _) => LiveBackend::Userspace,
    };
    match picked {
        LiveBackend::Kernel if !facts.kernel_wireguard && live != Some(LiveBackend::Kernel) => {
            Err(Obstacle::NoKernelWireguard)
        }
        LiveBackend::Userspace if !facts.has(Tool::WireguardGo) => Err(Obstacle::NoWireguardGo),
        LiveBackend::Embedded | LiveBackend::Userspace if !facts.tun => Err(Obstacle::NoTun),
        picked => Ok(picked),
    }
}

impl Target<'_> {
    fn add_public(&mut self, rendered: &RenderedHost, path: HostPath, mode: u32, text: String) {
        let fingerprint = file_digest(&rendered.key, text.as_bytes());
        let secrets = SecretState::Compared;
        let file = TargetFile { mode, fingerprint, public_text: text, conf: None, secrets };
        self.files.insert(path, file);
    }
}

fn files(target: &mut Target<'_>, rendered: &RenderedHost, observed: &ObservedHost) {
    for (name, file) in &rendered.files {
        let path = paths::conf(name);
        if rendered.secrets == SecretState::Compared
            && let Some(seen) = observed.files.get(&path)
            && seen.fingerprint != file.fingerprint
            && alike::has_secrets_of(&rendered.key, &file.content, seen)
        {
            target.alike.insert(path);
        }
        target.files.insert(
            paths::conf(name),
            TargetFile {
                mode: 0o600,
                fingerprint: file.fingerprint,
                public_text: file.public_text.clone(),
                conf: Some(name.clone()),
                secrets: rendered.secrets,
            },
        );
    }
    let wanted = target.desired.forwarding;
    if wanted.v4 || wanted.v6 {
        let text = forwarding::file(&target.names, wanted, observed);
        target.add_public(rendered, target.names.sysctl_file.clone(), 0o644, text);
        if target.manager.units().is_none() {
            target.notes.push("forwarding is on until the next reboot only".to_owned());
        }
    }
}

/// What stands where a file belongs: a link is replaced, all else is somebody's to look at.
fn odd(target: &mut Target<'_>, observed: &ObservedHost) {
    for (path, kind) in &observed.odd {
        if !target.files.contains_key(path) {
            continue;
        }
        if *kind == PathKind::Link {
            target.notes.push(format!("{path} is a symbolic link there: the file takes its place"));
        } else {
            let path = Untrusted::new(path.as_str());
            target.blocked.get_or_insert(Obstacle::NoFile { path, is: *kind });
        }
    }
}

fn units(target: &mut Target<'_>, rendered: &RenderedHost) {
    if !target.interfaces.is_empty() {
        target.notes.extend(target.manager.note().map(str::to_owned));
    }
    let mut files = Vec::new();
    let rules = target.firewall.as_ref().map(|_| &target.names.firewall_file);
    for TargetInterface { desired, backend, .. } in &target.interfaces {
        let interface = &desired.name;
        let conf = rendered.files.get(interface).map_or("", |file| file.public_text.as_str());
        if let Some(path) = target.manager.path(interface) {
            let wanted = Wanted { interface, backend: *backend, conf, rules };
            files.push((path, target.manager.text(&wanted)));
        }
        if let Some(unit) = target.manager.unit(interface) {
            target.units.insert(unit, UnitState { enabled: true, active: true, masked: false });
        }
    }
    for (path, text) in files {
        target.add_public(rendered, path, 0o644, text);
    }
}

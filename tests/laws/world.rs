//! A machine that plans are carried out on, and which preshared key is really where: an observation
//! tells that only in words.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use proptest::prelude::*;
use wgfleet::desired::{DesiredInterface, DesiredPeer, DesiredState, Secrets as _, file_digest};
use wgfleet::model::{
    Family, Fingerprint, FingerprintKey, HostName, HostPath, InterfaceName, PublicKey, Tool,
};
use wgfleet::observed::{
    Facts, LiveBackend, ObservedFile, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk,
};
use wgfleet::plan::{
    Change, DeviceField, FieldChange, FileAction, HelperSource, HostPlan, NewInterface, PeerField,
    Rename, Target, TargetFile, diff_host, resolve,
};

use crate::vault::{Vault, bytes, render};

pub(crate) type Pair = (InterfaceName, PublicKey);

/// A machine, and which preshared keys it really has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) host: ObservedHost,
    pub(crate) live: BTreeMap<Pair, String>,
    pub(crate) file: BTreeMap<Pair, String>,
}

impl World {
    pub(crate) fn new(facts: Facts) -> Self {
        let host = ObservedHost { facts, now: 1_700_000_000, ..ObservedHost::default() };
        Self { host, live: BTreeMap::new(), file: BTreeMap::new() }
    }

    /// What a look at it tells.
    pub(crate) fn observe(&self) -> ObservedHost {
        let mut host = self.host.clone();
        for (name, interface) in &mut host.interfaces {
            for (key, peer) in &mut interface.peers {
                let pair = (name.clone(), *key);
                peer.psk = match (self.live.get(&pair), self.file.get(&pair)) {
                    (None, _) => ObservedPsk::None,
                    (Some(live), Some(file)) if live == file => ObservedPsk::AsFile,
                    (Some(_), _) => ObservedPsk::Other,
                };
            }
        }
        host
    }

    pub(crate) fn set_allowed(&mut self, name: &InterfaceName, key: &PublicKey, nets: &[IpNet]) {
        let interface = self.host.interfaces.get_mut(name).expect("it is there");
        for (other, peer) in &mut interface.peers {
            if other != key {
                peer.allowed_ips.retain(|net| !nets.contains(net));
            }
        }
        interface.peers.get_mut(key).expect("a peer").allowed_ips = nets.iter().copied().collect();
    }

    pub(crate) fn set_psk(
        &mut self,
        vault: &Vault,
        interface: &DesiredInterface,
        key: &PublicKey,
        peer: &DesiredPeer,
    ) {
        let pair = (interface.name.clone(), *key);
        match peer.psk_epoch {
            Some(epoch) => self.live.insert(pair, psk(vault, interface, key, epoch)),
            None => self.live.remove(&pair),
        };
    }

    pub(crate) fn add_peer(
        &mut self,
        vault: &Vault,
        interface: &DesiredInterface,
        key: &PublicKey,
        peer: &DesiredPeer,
    ) {
        let live = self.host.interfaces.get_mut(&interface.name).expect("it is there");
        let seen = ObservedPeer {
            psk: ObservedPsk::None,
            endpoint: peer
                .endpoint
                .as_ref()
                .map(|e| e.socket_addr().unwrap_or_else(|| resolved(&e.to_string()))),
            allowed_ips: BTreeSet::new(),
            latest_handshake: 0,
            received: 0,
            sent: 0,
            keepalive: peer.keepalive,
        };
        live.peers.insert(*key, seen);
        self.set_allowed(&interface.name, key, &peer.allowed_ips);
        self.set_psk(vault, interface, key, peer);
    }

    pub(crate) fn start(
        &mut self,
        vault: &Vault,
        interface: &DesiredInterface,
        backend: LiveBackend,
    ) {
        let mut routes = interface.routes();
        let mut mark = interface.fwmark.map_or(0, |mark| mark.0);
        if interface.full_tunnel() {
            mark = if mark == 0 { 51820 } else { mark };
            let whole = interface
                .peers
                .values()
                .flat_map(|p| p.allowed_ips.iter())
                .filter(|n| n.prefix_len() == 0);
            routes.extend(whole.map(|net| (mark, *net)));
        }
        let live = ObservedInterface {
            backend,
            up: true,
            mtu: interface.mtu.get().into(),
            public_key: Some(interface.public_key),
            listen_port: interface.listen_port.map_or(41234, wgfleet::model::Port::get),
            fwmark: mark,
            addresses: interface.addresses.iter().copied().collect(),
            routes,
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: BTreeMap::new(),
        };
        self.host.interfaces.insert(interface.name.clone(), live);
        self.live.retain(|(name, _), _| *name != interface.name);
        for (key, peer) in &interface.peers {
            self.add_peer(vault, interface, key, peer);
        }
    }

    /// The preshared keys that a new boot-time file has.
    fn write_keys(&mut self, vault: &Vault, interface: &DesiredInterface) {
        self.file.retain(|(own, _), _| *own != interface.name);
        for (key, peer) in &interface.peers {
            if let Some(epoch) = peer.psk_epoch {
                let pair = (interface.name.clone(), *key);
                self.file.insert(pair, psk(vault, interface, key, epoch));
            }
        }
    }

    fn rename(&mut self, rename: &Rename, target: &Target<'_>) {
        let path = match rename {
            Rename::Table { from, to } => {
                let digest = self.host.firewalls.remove(from).expect("it is there");
                self.host.firewalls.insert(to.clone(), digest);
                return;
            }
            Rename::File { from, to, .. } => {
                self.host.files.remove(from).expect("it is there");
                to
            }
            Rename::Reference { path, .. } => path,
        };
        self.write_file(path, FileAction::Update, &target.files[path]);
    }

    /// Gives the names and texts that version 0.1.0 gave.
    pub(crate) fn with_old_names(&mut self, fleet: &str, key: &FingerprintKey) {
        let old = |text: &str| {
            let text = text.replace(&format!("wgfleet-{fleet}.nft"), "wgfleet.nft");
            text.replace(&format!("table inet wgfleet-{fleet}"), "table inet wgfleet")
        };
        if let Some(digest) = self.host.firewalls.remove(&format!("wgfleet-{fleet}")) {
            self.host.firewalls.insert("wgfleet".to_owned(), digest);
        }
        let files = std::mem::take(&mut self.host.files).into_iter();
        self.host.files = files
            .map(|(path, mut file)| {
                let text = old(&file.public_text);
                if text != file.public_text {
                    file.fingerprint = file_digest(key, text.as_bytes());
                    // As a host tells it.
                    file.public_text = text.replace('\t', "?");
                }
                let path = path.replace(&format!("wgfleet-{fleet}."), "wgfleet.");
                (path.parse().expect("a path"), file)
            })
            .collect();
    }

    fn write_file(&mut self, path: &HostPath, action: FileAction, file: &TargetFile) {
        let old = self.host.files.get(path).cloned();
        let mut new = ObservedFile {
            mode: file.mode,
            root: true,
            fingerprint: file.fingerprint,
            public_text: file.public_text.clone(),
        };
        if action == FileAction::Protect {
            let old = old.expect("it is there");
            new.fingerprint = old.fingerprint;
            new.public_text = old.public_text;
        }
        self.host.files.insert(path.clone(), new);
    }

    fn change_device(&mut self, wanted: &DesiredInterface, fields: &[FieldChange<DeviceField>]) {
        let live = self.host.interfaces.get_mut(&wanted.name).expect("it is there");
        for field in fields {
            match field.field {
                DeviceField::PublicKey => live.public_key = Some(wanted.public_key),
                DeviceField::ListenPort => {
                    live.listen_port = wanted.listen_port.expect("a port").get();
                }
                DeviceField::FwMark => live.fwmark = wanted.fwmark.map_or(0, |mark| mark.0),
                DeviceField::Mtu => live.mtu = wanted.mtu.get().into(),
                DeviceField::Link => live.up = true,
            }
        }
    }

    fn change_peer(
        &mut self,
        vault: &Vault,
        wanted: &DesiredInterface,
        key: &PublicKey,
        fields: &[FieldChange<PeerField>],
    ) {
        let want = &wanted.peers[key];
        for field in fields {
            let live = self.host.interfaces.get_mut(&wanted.name).expect("it is there");
            let live = live.peers.get_mut(key).expect("it is there");
            match field.field {
                PeerField::AllowedIps => self.set_allowed(&wanted.name, key, &want.allowed_ips),
                PeerField::Endpoint => {
                    let endpoint = want.endpoint.as_ref().expect("an endpoint");
                    let known = endpoint.socket_addr();
                    live.endpoint = Some(known.unwrap_or_else(|| resolved(&endpoint.to_string())));
                }
                PeerField::Keepalive => live.keepalive = want.keepalive,
                PeerField::PresharedKey => self.set_psk(vault, wanted, key, want),
            }
        }
    }

    /// Does what a plan says, field by field and nothing else.
    pub(crate) fn apply(&mut self, plan: &HostPlan, target: &Target<'_>, vault: &Vault) {
        let desired = |name: &InterfaceName| {
            target
                .interfaces
                .iter()
                .find(|i| i.desired.name == *name)
                .expect("it is wanted")
                .desired
        };
        for change in &plan.changes {
            match change {
                Change::PushHelper { digest, .. } => self.host.facts.helper = Some(*digest),
                Change::File { path, action: FileAction::Remove, .. } => {
                    self.host.files.remove(path);
                }
                Change::File { path, action, .. } => {
                    let file = &target.files[path];
                    if let Some(name) =
                        file.conf.as_ref().filter(|_| *action != FileAction::Protect)
                    {
                        self.write_keys(vault, desired(name));
                    }
                    self.write_file(path, *action, file);
                }
                // Hooks come with their file; what a host keeps is no part of what is compared here.
                Change::Hook { .. } | Change::Record { .. } => {}
                Change::Forward { family: Family::V4, on, .. } => self.host.forward_v4 = *on,
                Change::Forward { family: Family::V6, on, .. } => self.host.forward_v6 = *on,
                Change::Firewall { table, digest: None } => {
                    self.host.firewalls.remove(table);
                }
                Change::Firewall { table, digest } => {
                    self.host.firewalls.insert(table.clone(), digest.clone());
                }
                Change::Rename(rename) => self.rename(rename, target),
                Change::Create(NewInterface { interface, backend, .. })
                | Change::Restart { interface, backend, .. } => {
                    self.start(vault, desired(interface), *backend);
                }
                Change::Delete { interface } => {
                    self.host.interfaces.remove(interface);
                }
                Change::Device { interface, fields } => {
                    self.change_device(desired(interface), fields);
                }
                Change::AddPeer { interface, peer, .. } => {
                    let wanted = desired(interface);
                    self.add_peer(vault, wanted, &peer.key, &wanted.peers[&peer.key]);
                }
                Change::ChangePeer { interface, peer, fields } => {
                    self.change_peer(vault, desired(interface), &peer.key, fields);
                }
                Change::RemovePeer { interface, peer } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .peers
                        .remove(&peer.key);
                    self.live.remove(&(interface.clone(), peer.key));
                }
                Change::AddAddress { interface, address } => {
                    let live = self.host.interfaces.get_mut(interface).expect("it is there");
                    live.addresses.insert(*address);
                    live.unrouted.remove(&address.trunc());
                }
                Change::RemoveAddress { interface, address } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .addresses
                        .remove(address);
                }
                Change::AddRoute { interface, table, prefix } => {
                    let live = self.host.interfaces.get_mut(interface).expect("it is there");
                    // The kernel's own for an address.
                    if *table != 254 || !live.unrouted.remove(prefix) {
                        live.routes.insert((*table, *prefix));
                    }
                }
                Change::RemoveRoute { interface, table, prefix } => {
                    self.host
                        .interfaces
                        .get_mut(interface)
                        .expect("it is there")
                        .routes
                        .remove(&(*table, *prefix));
                }
                Change::Unit { unit, to, .. } => {
                    self.host.units.insert(unit.clone(), *to);
                }
            }
        }
    }
}

pub(crate) fn psk(
    vault: &Vault,
    interface: &DesiredInterface,
    key: &PublicKey,
    epoch: u32,
) -> String {
    vault
        .preshared_key(&interface.public_key, key, epoch)
        .expect("made up")
        .expose_base64()
        .to_string()
}

pub(crate) fn resolved(name: &str) -> std::net::SocketAddr {
    std::net::SocketAddr::from(([203, 0, 113, bytes(&[name])[0]], 51820))
}

pub(crate) fn helpers() -> HelperSource {
    let builds = BTreeMap::from([("x86_64".to_owned(), Fingerprint::from_bytes([7; 32]))]);
    HelperSource { builds, hint: "no build".to_owned() }
}

pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    (any::<(bool, bool)>(), any::<[bool; 2]>()).prop_map(
        |((systemd, kernel_wireguard), [wg, quick])| {
            let mut tools: BTreeSet<Tool> =
                [Tool::Ip, Tool::Nft, Tool::WireguardGo, Tool::Resolvconf].into();
            tools.extend(wg.then_some(Tool::Wg));
            tools.extend((wg && quick).then_some(Tool::WgQuick));
            Facts {
                machine: "x86_64".into(),
                kernel: "6.1".into(),
                systemd,
                kernel_wireguard,
                tun: true,
                tools,
                helper: None,
            }
        },
    )
}

pub(crate) fn plan(
    state: &DesiredState,
    index: usize,
    vault: &Vault,
    world: &World,
    names: &BTreeMap<PublicKey, HostName>,
) -> (HostPlan, World) {
    let host = &state.hosts[index];
    let rendered = render(state, host, vault);
    let observed = world.observe();
    let target = resolve(host, &rendered, &observed);
    let plan = diff_host(&target, &observed, &helpers(), names);
    let mut after = world.clone();
    after.apply(&plan, &target, vault);
    (plan, after)
}

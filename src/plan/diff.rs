//! The difference between a host's target and what was observed there.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::derived::Owned;
use super::files::{self, MANAGED};
use super::forwarding;
use super::hooks;
use super::manager;
use super::obstacle::Obstacle;
use super::paths;
use super::quick::QuickDuties;
use super::tables;
use super::{
    Change, DeviceField, Felt, FieldChange, HelperSource, HostPlan, HostState, NewInterface,
    NewPeer, PeerField, PeerRef, Target, TargetInterface,
};
use crate::desired::{DesiredPeer, PskEpochs};
use crate::model::{
    Endpoint, EndpointHost, Family, HostName, HostPath, InterfaceName, PublicKey, RouteTable,
    Untrusted,
};
use crate::observed::{
    LiveBackend, ObservedHost, ObservedInterface, ObservedPeer, ObservedPsk, UnitState,
};
use crate::wgconf::{Document, Setting, redact};

/// What is to be done to one host. `names` gives the names that keys have or had.
#[must_use]
pub fn diff_host(
    target: &Target<'_>,
    observed: &ObservedHost,
    helpers: &HelperSource,
    names: &BTreeMap<PublicKey, HostName>,
) -> HostPlan {
    let mut changes = Vec::new();
    let mut blocked = target.blocked.clone();
    if target.helper {
        match push_helper(observed, helpers) {
            Ok(push) => changes.extend(push),
            Err(reason) => blocked = blocked.or(Some(reason)),
        }
    }
    changes.extend(target.renames.list.iter().cloned().map(Change::Rename));
    let there = target.renames.view(observed);
    let observed = &*there;
    forwarding(target, observed, &mut changes);
    tables::compare(target, observed, &mut changes);
    for interface in &target.interfaces {
        match observed.interfaces.get(&interface.desired.name) {
            None => {
                changes
                    .push(Change::Create(NewInterface::of(interface.desired, interface.backend)));
            }
            Some(live) => {
                InterfaceDiff { target, interface, live, observed, names }.push(&mut changes);
            }
        }
    }
    leftovers(target, observed, &mut changes);
    hooks::compare(target, observed, &mut changes);
    files::compare(target, observed, &mut changes);
    for (unit, to) in &target.units {
        let from = observed.units.get(unit).copied().unwrap_or_default();
        if from != *to {
            changes.push(Change::Unit { unit: unit.clone(), from, to: *to });
        }
    }
    let feels = Felt::of(&changes, observed);
    let mut notes = if changes.is_empty() { Vec::new() } else { target.notes.clone() };
    blocked = blocked.or_else(|| taken_by_kernel(target, observed, &changes));
    if changes.is_empty() {
        blocked = None;
    }
    // It will not stay as it is, even where that is what the file says.
    if let Some(id) = &observed.armed {
        let change = Untrusted::new(id.as_str());
        blocked = blocked.or(Some(Obstacle::Armed { change }));
    }
    if observed.facts.helper.is_some()
        && changes.iter().any(|c| matches!(c, Change::PushHelper { .. }))
    {
        notes.push("running tunnels keep the old wgfleet until their next start".to_owned());
    }
    notes.dedup();
    HostPlan {
        host: target.desired.name.clone(),
        ssh: target.desired.ssh.clone(),
        r#become: target.desired.r#become,
        payload: None,
        target: None,
        state: blocked.map_or(HostState::Ready, HostState::Blocked),
        disruption: feels.worst(),
        feels,
        changes,
        drift: None,
        notes,
    }
}

/// Why wg-quick(8) would start something else than what is to carry an interface's packets: it takes
/// the kernel's `WireGuard` where there is one, and the next plan would have to begin anew.
fn taken_by_kernel(
    target: &Target<'_>,
    observed: &ObservedHost,
    changes: &[Change],
) -> Option<Obstacle> {
    let starts = |own: &&TargetInterface<'_>| {
        own.quick
            && own.backend != LiveBackend::Kernel
            && changes.iter().any(|change| {
                matches!(change, Change::Create(_) | Change::Restart { .. })
                    && change.interface() == Some(&own.desired.name)
            })
    };
    let kernel = observed.facts.kernel_wireguard;
    let own = target.interfaces.iter().filter(|_| kernel).find(starts)?;
    let (interface, backend) = (own.desired.name.clone(), target.desired.backend);
    Some(Obstacle::TakenByKernel { interface, backend })
}

fn push_helper(
    observed: &ObservedHost,
    helpers: &HelperSource,
) -> Result<Option<Change>, Obstacle> {
    let machine = &observed.facts.machine;
    let Some(digest) = helpers.builds.get(machine) else {
        let machine = Untrusted::new(machine.as_str());
        return Err(Obstacle::NoBinary { machine, hint: helpers.hint.clone() });
    };
    let push = Change::PushHelper { machine: machine.clone(), digest: *digest };
    Ok((observed.facts.helper.as_ref() != Some(digest)).then_some(push))
}

fn forwarding(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    let wanted = target.desired.forwarding;
    for (family, wanted, live) in
        [(Family::V4, wanted.v4, observed.forward_v4), (Family::V6, wanted.v6, observed.forward_v6)]
    {
        if wanted && !live {
            let hears = family == Family::V6;
            let accept_ra = observed.advertised.iter().filter(|_| hears).cloned().collect();
            changes.push(Change::Forward { family, on: true, accept_ra });
        } else if !wanted && live && forwarding::begun_by(&target.names, observed, family) {
            changes.push(Change::Forward { family, on: false, accept_ra: Vec::new() });
        }
    }
}

fn peer_ref(key: &PublicKey, names: &BTreeMap<PublicKey, HostName>) -> PeerRef {
    PeerRef { name: names.get(key).cloned(), key: *key }
}

/// Interfaces, files and units of wgfleet that the file does not have any more.
fn leftovers(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    for (path, file) in &observed.files {
        if target.files.contains_key(path) || !files::ours(path, file, target, observed) {
            continue;
        }
        if let Some(name) = paths::interface_of(path) {
            for unit in manager::units_of(&name) {
                if let Some(from) = observed.units.get(&unit).filter(|u| u.enabled || u.active) {
                    let to = UnitState { enabled: false, active: false, masked: false };
                    changes.push(Change::Unit { unit, from: *from, to });
                }
            }
            if observed.interfaces.contains_key(&name) {
                changes.push(Change::Delete { interface: name });
            }
        }
    }
    // The other way of starting an interface; stopping it would take the interface down.
    for own in &target.interfaces {
        let name = &own.desired.name;
        for unit in manager::units_of(name) {
            let enabled = observed.units.get(&unit).filter(|unit| unit.enabled);
            let Some(from) = enabled.filter(|_| !target.units.contains_key(&unit)) else {
                continue;
            };
            let to = UnitState { enabled: false, active: from.active, masked: false };
            changes.push(Change::Unit { unit, from: *from, to });
        }
    }
}

/// The difference of one interface that is there.
struct InterfaceDiff<'a> {
    target: &'a Target<'a>,
    interface: &'a TargetInterface<'a>,
    live: &'a ObservedInterface,
    observed: &'a ObservedHost,
    names: &'a BTreeMap<PublicKey, HostName>,
}

impl InterfaceDiff<'_> {
    fn name(&self) -> InterfaceName {
        self.interface.desired.name.clone()
    }

    fn path(&self) -> HostPath {
        paths::conf(&self.interface.desired.name)
    }

    fn push(&self, changes: &mut Vec<Change>) {
        if self.live.backend != self.interface.backend {
            changes.push(Change::Restart {
                interface: self.name(),
                backend: self.interface.backend,
                reason: "another backend is to carry its packets".to_owned(),
            });
            return;
        }
        if let Some(reason) = self.quick_anew() {
            changes.push(Change::Restart {
                interface: self.name(),
                backend: self.interface.backend,
                reason: reason.to_owned(),
            });
            return;
        }
        self.device(changes);
        self.peers(changes);
        self.addresses(changes);
        self.connected(changes);
        if !self.interface.desired.full_tunnel() {
            self.routes(changes);
        }
    }

    /// Routes that the kernel makes for addresses, which somebody took away. With the address, or with
    /// the link, the kernel brings them itself.
    fn connected(&self, changes: &mut Vec<Change>) {
        let wanted = self.interface.desired.addresses.iter();
        let kept = wanted.filter(|addr| self.live.addresses.contains(addr)).map(IpNet::trunc);
        let kept: BTreeSet<IpNet> = kept.filter(|net| self.live.unrouted.contains(net)).collect();
        changes.extend(kept.into_iter().map(|prefix| Change::AddRoute {
            interface: self.name(),
            table: 254,
            prefix,
        }));
    }

    /// Families that wg-quick(8) is to route whole.
    fn wanted_policy(&self) -> BTreeSet<Family> {
        let want = self.interface.desired;
        let nets = want.peers.values().flat_map(|peer| peer.allowed_ips.iter());
        let whole = nets.filter(|net| want.table == RouteTable::Auto && net.prefix_len() == 0);
        whole.map(Family::of).collect()
    }

    /// Families that it does route whole: its table has the number of its mark.
    fn live_policy(&self) -> BTreeSet<Family> {
        let mark = self.live.fwmark;
        let routes = self.live.routes.iter();
        let whole = routes.filter(|(table, net)| *table == mark && net.prefix_len() == 0);
        let families = whole.map(|(_, net)| Family::of(net)).filter(|_| mark != 0);
        // Without its rules no packet gets there.
        families.filter(|family| !self.live.unruled.contains(family)).collect()
    }

    /// Why wg-quick has to stop and start it: what it did is not what it would do by the new file.
    fn quick_anew(&self) -> Option<&'static str> {
        let policy = self.wanted_policy();
        let mark = self.interface.desired.fwmark.map(|mark| mark.0);
        let marked = policy.is_empty() || mark.is_none_or(|mark| mark == self.live.fwmark);
        if policy != self.live_policy() || !marked {
            return Some(
                "only wg-quick begins, changes and ends the policy routing of a full tunnel",
            );
        }
        let path = self.path();
        let (want, seen) = (self.target.files.get(&path)?, self.observed.files.get(&path)?);
        if want.is_content_of(seen) {
            return None;
        }
        if !seen.public_text.contains(MANAGED) {
            // Taken over as it runs, where nothing is owed: whoever wrote it started it.
            let owed = hooks::owed(&want.public_text, &seen.public_text);
            return owed
                .then_some("hooks of its old file have to end, or those of the new one to begin");
        }
        let differ =
            |want: &str, seen: &str| QuickDuties::of(want).difference(&QuickDuties::of(seen));
        // Where nothing differs, nothing does with keys hidden, which takes longer.
        differ(&want.public_text, &seen.public_text)?;
        differ(&redact(&want.public_text), &redact(&seen.public_text))
    }

    fn device(&self, changes: &mut Vec<Change>) {
        let want = self.interface.desired;
        let mut fields = Vec::new();
        if self.live.public_key != Some(want.public_key) {
            fields.push(FieldChange {
                field: DeviceField::PublicKey,
                from: self.live.public_key.map(|key| key.to_string()),
                to: Some(want.public_key.to_string()),
            });
        }
        if let Some(port) = want.listen_port
            && port.get() != self.live.listen_port
        {
            fields.push(FieldChange {
                field: DeviceField::ListenPort,
                from: Some(self.live.listen_port).filter(|p| *p > 0).map(|p| p.to_string()),
                to: Some(port.to_string()),
            });
        }
        // A full tunnel's mark is wg-quick's to choose.
        let mark = want.fwmark.map_or(0, |mark| mark.0);
        if mark != self.live.fwmark && !(want.full_tunnel() && mark == 0) {
            let text = |mark: u32| (mark != 0).then(|| format!("{mark:#x}"));
            let (from, to) = (text(self.live.fwmark), text(mark));
            fields.push(FieldChange { field: DeviceField::FwMark, from, to });
        }
        if u32::from(want.mtu.get()) != self.live.mtu {
            fields.push(FieldChange {
                field: DeviceField::Mtu,
                from: Some(self.live.mtu.to_string()),
                to: Some(want.mtu.to_string()),
            });
        }
        if !self.live.up {
            let (from, to) = (Some("down".to_owned()), Some("up".to_owned()));
            fields.push(FieldChange { field: DeviceField::Link, from, to });
        }
        if !fields.is_empty() {
            changes.push(Change::Device { interface: self.name(), fields });
        }
    }

    fn peers(&self, changes: &mut Vec<Change>) {
        let want = &self.interface.desired.peers;
        let gone: BTreeMap<&HostName, PublicKey> = self
            .live
            .peers
            .keys()
            .filter(|key| !want.contains_key(key))
            .filter_map(|key| Some((self.names.get(key)?, *key)))
            .collect();
        let file = self.file_peers();
        let secrets = self.file_secrets();
        for (key, peer) in want {
            match self.live.peers.get(key) {
                None => changes.push(Change::AddPeer {
                    interface: self.name(),
                    peer: NewPeer::of(*key, peer),
                    replaces: gone.get(&peer.name).copied(),
                }),
                Some(live) => {
                    let differ = secrets.differ(peer);
                    let fields = changed_fields(peer, live, file.get(key), differ);
                    if !fields.is_empty() {
                        let interface = self.name();
                        let peer = PeerRef { name: Some(peer.name.clone()), key: *key };
                        changes.push(Change::ChangePeer { interface, peer, fields });
                    }
                }
            }
        }
        for key in self.live.peers.keys().filter(|key| !want.contains_key(key)) {
            let peer = peer_ref(key, self.names);
            changes.push(Change::RemovePeer { interface: self.name(), peer });
        }
    }

    /// The peers of the boot-time file that is there.
    fn file_peers(&self) -> BTreeMap<PublicKey, FilePeer> {
        let file = self.observed.files.get(&self.path());
        file.map(|file| file_peers(&file.public_text)).unwrap_or_default()
    }

    /// Which preshared keys of the boot-time file are others than the wanted ones, as far as that can be
    /// known from what is not secret.
    fn file_secrets(&self) -> FileSecrets<'_> {
        let path = self.path();
        let (Some(want), Some(seen)) =
            (self.target.files.get(&path), self.observed.files.get(&path))
        else {
            return FileSecrets::Same;
        };
        if want.is_content_of(seen) || self.target.alike.contains(&path) {
            return FileSecrets::Same;
        }
        // Nothing that can be seen differs, so a secret does.
        if want.public_text == seen.public_text
            || self.live.public_key != Some(self.interface.desired.public_key)
        {
            return FileSecrets::Differ;
        }
        FileSecrets::Of(PskEpochs::of(&seen.public_text))
    }

    /// What of its addresses and routes a file made.
    fn owned(&self) -> Owned {
        let path = self.path();
        let wanted = self.target.files.get(&path).map(|file| &*file.public_text);
        let seen = self.observed.files.get(&path).map(|file| &*file.public_text);
        Owned::of(wanted, seen, self.live)
    }

    fn addresses(&self, changes: &mut Vec<Change>) {
        let want: BTreeSet<IpNet> = self.interface.desired.addresses.iter().copied().collect();
        for address in want.difference(&self.live.addresses) {
            changes.push(Change::AddAddress { interface: self.name(), address: *address });
        }
        let owned = self.owned();
        let gone = self.live.addresses.difference(&want).filter(|address| owned.address(address));
        for address in gone {
            changes.push(Change::RemoveAddress { interface: self.name(), address: *address });
        }
    }

    fn routes(&self, changes: &mut Vec<Change>) {
        let want = self.interface.desired.routes();
        for (table, prefix) in want.difference(&self.live.routes) {
            let (table, prefix) = (*table, *prefix);
            changes.push(Change::AddRoute { interface: self.name(), table, prefix });
        }
        if self.interface.desired.table == crate::model::RouteTable::Off {
            return; // the operator's hooks own the routes of this device
        }
        let owned = self.owned();
        let gone = self.live.routes.difference(&want);
        for (table, prefix) in gone.filter(|(table, prefix)| owned.route(*table, prefix)) {
            let (table, prefix) = (*table, *prefix);
            changes.push(Change::RemoveRoute { interface: self.name(), table, prefix });
        }
    }
}

/// The fields of a peer that are to change.
fn changed_fields(
    want: &DesiredPeer,
    live: &ObservedPeer,
    file: Option<&FilePeer>,
    secrets_differ: bool,
) -> Vec<FieldChange<PeerField>> {
    let mut fields = Vec::new();
    let wanted: BTreeSet<IpNet> = want.allowed_ips.iter().copied().collect();
    if wanted != live.allowed_ips {
        fields.push(FieldChange {
            field: PeerField::AllowedIps,
            from: list(&live.allowed_ips),
            to: list(&wanted),
        });
    }
    if let Some(endpoint) = &want.endpoint
        && endpoint_differs(endpoint, live, file)
    {
        fields.push(FieldChange {
            field: PeerField::Endpoint,
            from: live.endpoint.map(|endpoint| endpoint.to_string()),
            to: Some(endpoint.to_string()),
        });
    }
    if want.keepalive != live.keepalive {
        let text = |k: Option<crate::model::Keepalive>| k.map(|k| k.to_string());
        let (from, to) = (text(live.keepalive), text(want.keepalive));
        fields.push(FieldChange { field: PeerField::Keepalive, from, to });
    }
    let psk = match (want.psk_epoch, live.psk) {
        (None, ObservedPsk::None) => None,
        (Some(_), ObservedPsk::AsFile) if !secrets_differ => None,
        (None, _) => Some((Some("set"), None)),
        (Some(_), ObservedPsk::None) => Some((None, Some("set"))),
        (Some(_), ObservedPsk::AsFile | ObservedPsk::Other) => {
            Some((Some("another"), Some("the vault's")))
        }
    };
    if let Some((from, to)) = psk {
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        fields.push(FieldChange { field: PeerField::PresharedKey, from, to });
    }
    fields
}

/// Whether the preshared keys of a boot-time file are the wanted ones.
enum FileSecrets<'a> {
    /// They are.
    Same,
    /// They may all be others.
    Differ,
    /// Those of these epochs are.
    Of(PskEpochs<'a>),
}

impl FileSecrets<'_> {
    fn differ(&self, peer: &DesiredPeer) -> bool {
        match self {
            Self::Same => false,
            Self::Differ => true,
            Self::Of(epochs) => epochs.with(&peer.name) != peer.psk_epoch,
        }
    }
}

/// A peer of the boot-time file.
#[derive(Debug, Default)]
struct FilePeer {
    endpoint: Option<String>,
}

fn file_peers(text: &str) -> BTreeMap<PublicKey, FilePeer> {
    let sections = Document::of(text.as_bytes()).sections;
    let peers = sections.iter().filter_map(|section| {
        let key = section.last(Setting::PublicKey)?.parse().ok()?;
        let endpoint = section.last(Setting::Endpoint).map(str::to_owned);
        Some((key, FilePeer { endpoint }))
    });
    peers.collect()
}

/// Whether the endpoint must be set: it is unknown there, or the file changed its mind. A peer that
/// merely roamed is left alone, and so is a name that still stands in the boot-time file.
fn endpoint_differs(want: &Endpoint, live: &ObservedPeer, file: Option<&FilePeer>) -> bool {
    let Some(current) = live.endpoint else { return true };
    if want.socket_addr() == Some(current) {
        return false;
    }
    let in_file = file.and_then(|file| file.endpoint.as_deref());
    match &want.host {
        EndpointHost::Addr(_) => {
            in_file != Some(want.to_string().as_str()) || live.latest_handshake == 0
        }
        EndpointHost::Name(_) => in_file != Some(want.to_string().as_str()),
    }
}

fn list(nets: &BTreeSet<IpNet>) -> Option<String> {
    let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
    (!nets.is_empty()).then(|| nets.join(", "))
}

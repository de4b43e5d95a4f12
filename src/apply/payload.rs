//! A host's plan as files and operations for its side of wgfleet.
//!
//! Every word of an operation comes from a type that cannot hold a blank or a quote; everything
//! else travels as a file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::conf::{self, PeerParts};
use crate::desired::{DesiredInterface, DesiredPeer, Secrets};
use crate::model::{Family, InterfaceName, PublicKey};
use crate::observed::{LiveBackend, ObservedHost};
use crate::plan::{Change, FieldChange, HostPlan, PeerRef, RenderedHost, Target, TargetInterface};

/// Most peers whose values are set one by one: each costs the host a process.
const ALONE_AT_MOST: usize = 50;

/// Most peers that one `wg set … remove` names.
const FORGET_AT_ONCE: usize = 500;

/// What is sent to a host: staged files, operations, and the way back.
pub struct Payload {
    files: Vec<(String, Zeroizing<String>)>,
    ops: Vec<String>,
    /// What concerns the next boot only: done with the confirmation, so that a power cut before it
    /// brings up what ran before.
    keep: Vec<String>,
    undo: Vec<String>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("ops", &self.ops).finish_non_exhaustive()
    }
}

impl Payload {
    /// Compiles the changes of one host, but for the pushing of the binary.
    ///
    /// # Errors
    /// Where the vault does not have a secret.
    pub fn compile<S: Secrets>(
        plan: &HostPlan,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        secrets: &S,
    ) -> Result<Self, S::Error> {
        let payload =
            Self { files: Vec::new(), ops: Vec::new(), keep: Vec::new(), undo: Vec::new() };
        let installed = BTreeSet::new();
        let mut compiler =
            Compiler { payload, installed, plan, target, rendered, observed, secrets };
        compiler.run()?;
        Ok(compiler.payload)
    }

    /// The operations, in order.
    #[must_use]
    pub fn ops(&self) -> &[String] {
        &self.ops
    }

    /// The operations that wait for the confirmation, in order.
    #[must_use]
    pub fn keep(&self) -> &[String] {
        &self.keep
    }

    /// The bytes for the host's stdin: each line of a file behind a blank, so that no content can
    /// look like a head line.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let lists = [("ops", &self.ops), ("keep", &self.keep), ("undo", &self.undo)];
        let size: usize = self.files.iter().map(|(name, text)| name.len() + text.len() * 2).sum();
        let listed: usize = lists.iter().flat_map(|(_, l)| l.iter()).map(|l| l.len() + 2).sum();
        let mut out = Zeroizing::new(String::with_capacity(size + listed + 256));
        for (name, text) in &self.files {
            let _ = writeln!(out, "=== {name}");
            for line in text.lines() {
                let _ = writeln!(out, " {line}");
            }
        }
        for (name, lines) in lists {
            let _ = writeln!(out, "=== {name}");
            for line in lines {
                let _ = writeln!(out, " {line}");
            }
        }
        out.push_str("=== end\n");
        out
    }

    /// Stages a file under a number and a word, never under a name out of the inventory.
    pub(super) fn file(&mut self, word: &str, text: Zeroizing<String>) -> String {
        let name = format!("f{}.{word}", self.files.len());
        self.files.push((name.clone(), text));
        name
    }
}

pub(super) struct Compiler<'a, S> {
    pub(super) payload: Payload,
    /// The paths of files that are written in the course of the change.
    pub(super) installed: BTreeSet<&'a str>,
    pub(super) plan: &'a HostPlan,
    pub(super) target: &'a Target<'a>,
    pub(super) rendered: &'a RenderedHost,
    observed: &'a ObservedHost,
    secrets: &'a S,
}

impl<'a, S: Secrets> Compiler<'a, S> {
    pub(super) fn op(&mut self, op: String) {
        self.payload.ops.push(op);
    }

    pub(super) fn keep(&mut self, op: String) {
        self.payload.keep.push(op);
    }

    fn undo(&mut self, op: String) {
        self.payload.undo.push(op);
    }

    fn run(&mut self) -> Result<(), S::Error> {
        let touched: BTreeSet<InterfaceName> =
            self.plan.changes.iter().filter_map(Change::interface).cloned().collect();
        for name in &touched {
            self.op(format!("touch {name}"));
        }
        self.host_settings();
        self.units(false);
        // What goes frees its port and its addresses for what comes.
        for change in &self.plan.changes {
            if let Change::Delete { interface } = change {
                self.stop(interface);
            }
        }
        for name in &touched {
            self.interface(name)?;
        }
        // Routes that move from one interface to another go before they come.
        for name in &touched {
            self.drop_addresses_and_routes(name);
        }
        for name in &touched {
            self.add_addresses_and_routes(name);
        }
        self.install_now();
        self.units(true);
        self.units_anew();
        self.install_for_boot();
        Ok(())
    }

    pub(super) fn wanted(&self, name: &InterfaceName) -> Option<&'a TargetInterface<'a>> {
        self.target.interfaces.iter().find(|interface| interface.desired.name == *name)
    }

    fn host_settings(&mut self) {
        for change in &self.plan.changes {
            match change {
                Change::Forward { family: Family::V4, on } => {
                    self.op(format!("sysctl net/ipv4/ip_forward {}", u8::from(*on)));
                }
                Change::Forward { family: Family::V6, on } => {
                    self.op(format!("sysctl net/ipv6/conf/all/forwarding {}", u8::from(*on)));
                }
                Change::Firewall { digest: Some(_) } => {
                    if let Some((_, text)) = &self.target.firewall {
                        let text = Zeroizing::new(text.clone());
                        let file = self.payload.file("nft", text);
                        self.op(format!("nft {file}"));
                    }
                }
                Change::Firewall { digest: None } => self.op("nft-delete".to_owned()),
                _ => {}
            }
        }
    }

    /// Units that go down before everything else, or come up after everything else.
    fn units(&mut self, up: bool) {
        for change in &self.plan.changes {
            let Change::Unit { unit, from, to } = change else { continue };
            if (to.enabled || to.active) != up {
                continue;
            }
            let active = to.active;
            if from.active != active {
                self.op(format!("{} {unit}", if active { "start" } else { "stop" }));
            }
        }
    }

    /// Units that run already, and whose interface was made anew under them.
    fn units_anew(&mut self) {
        for change in &self.plan.changes {
            let (name, verb) = match change {
                // It was stopped before.
                Change::Restart { interface, .. } => (interface, "start"),
                // Its interface went away without it, so it thinks that it runs.
                Change::Create { interface, .. } => (interface, "restart"),
                _ => continue,
            };
            let quick = self.wanted(name).is_some_and(|wanted| wanted.quick);
            if let Some(unit) = self.running_unit(name)
                && (quick || verb == "start")
                && self.target.units.contains_key(&unit)
            {
                self.op(format!("{verb} {unit}"));
            }
        }
    }

    /// The unit of an interface, where it is active.
    fn running_unit(&self, name: &InterfaceName) -> Option<String> {
        let units = [format!("wg-quick@{name}.service"), format!("wgfleet-{name}.service")];
        units.into_iter().find(|unit| self.observed.units.get(unit).is_some_and(|u| u.active))
    }

    /// Stops an interface the way that it was started: its unit or wg-quick take back what they
    /// did beside it.
    fn stop(&mut self, name: &InterfaceName) {
        if let Some(unit) = self.running_unit(name) {
            self.op(format!("stop {unit}"));
        } else if self.observed.files.contains_key(&format!("/etc/wireguard/{name}.conf")) {
            self.op(format!("quick-down {name}"));
        }
        self.op(format!("delete {name}"));
    }

    fn interface(&mut self, name: &InterfaceName) -> Result<(), S::Error> {
        let plan = self.plan;
        let mine: Vec<&Change> =
            plan.changes.iter().filter(|c| c.interface() == Some(name)).collect();
        for change in &mine {
            match change {
                Change::Create { backend, .. } => self.start(name, *backend)?,
                Change::Restart { backend, .. } => {
                    self.undo(format!("quick-down {name}"));
                    self.stop(name);
                    self.start(name, *backend)?;
                }
                Change::Device { fields, .. } => self.device(name, fields)?,
                _ => {}
            }
        }
        self.peers(name, &mine)
    }

    fn start(&mut self, name: &InterfaceName, backend: LiveBackend) -> Result<(), S::Error> {
        let Some(wanted) = self.wanted(name) else { return Ok(()) };
        let (desired, quick) = (wanted.desired, wanted.quick);
        if quick {
            // wg-quick reads its own file, so that goes first; under systemd its unit starts it.
            let file = format!("/etc/wireguard/{name}.conf");
            self.install(|path| path == file);
            if self.observed.facts.systemd {
                return Ok(());
            }
            self.op(format!("quick-up {name} {}", backend_word(backend)));
            return Ok(());
        }
        let mut text = conf::interface(self.target.desired, desired, self.secrets)?;
        let mut peers = Vec::with_capacity(desired.peers.len());
        for (key, peer) in &desired.peers {
            peers.push(conf::peer(desired, key, peer, &PeerParts::all(peer), self.secrets)?);
        }
        let size = peers.iter().map(|peer| peer.len()).sum::<usize>();
        let mut whole = Zeroizing::new(String::with_capacity(text.len() + size));
        whole.push_str(&text);
        for peer in &peers {
            whole.push_str(peer);
        }
        std::mem::swap(&mut text, &mut whole);
        let file = self.payload.file("set", text);
        let mut batch = String::new();
        for address in &desired.addresses {
            let _ = writeln!(batch, "address add {address} dev {name}");
        }
        let _ = writeln!(batch, "link set dev {name} mtu {} up", desired.mtu);
        let batch = self.payload.file("up", Zeroizing::new(batch));
        self.op(format!("create {name} {}", backend_word(backend)));
        self.op(format!("setconf {name} {file}"));
        self.op(format!("batch {batch}"));
        Ok(())
    }

    fn device(&mut self, name: &InterfaceName, fields: &[FieldChange]) -> Result<(), S::Error> {
        let Some(desired) = self.wanted(name).map(|wanted| wanted.desired) else { return Ok(()) };
        let mut batch = String::new();
        for field in fields {
            match field.field {
                "public key" => {
                    let key = self
                        .secrets
                        .private_key(&self.target.desired.name, &desired.public_key)?
                        .expose_base64();
                    let mut text = Zeroizing::new(String::with_capacity(48));
                    let _ = writeln!(text, "{}", key.as_str());
                    let file = self.payload.file("key", text);
                    self.op(format!("private {name} {file}"));
                }
                "listen port" => {
                    if let Some(port) = desired.listen_port {
                        self.op(format!("port {name} {port}"));
                    }
                }
                "fwmark" => {
                    let mark = desired.fwmark.map_or(0, |mark| mark.0);
                    self.op(format!("fwmark {name} {mark}"));
                }
                "mtu" => {
                    let _ = writeln!(batch, "link set dev {name} mtu {}", desired.mtu);
                }
                "link" => {
                    let _ = writeln!(batch, "link set dev {name} up");
                }
                _ => {}
            }
        }
        self.batch("batch", "link", batch);
        Ok(())
    }

    /// Adds a batch of ip(8) commands, where there is any.
    fn batch(&mut self, verb: &str, word: &str, batch: String) {
        if !batch.is_empty() {
            let file = self.payload.file(word, Zeroizing::new(batch));
            self.op(format!("{verb} {file}"));
        }
    }

    fn peers(&mut self, name: &InterfaceName, mine: &[&Change]) -> Result<(), S::Error> {
        let Some(desired) = self.wanted(name).map(|wanted| wanted.desired) else { return Ok(()) };
        let live = self.observed.interfaces.get(name);
        let mut sections = Vec::new();
        let mut after = Vec::new();
        let mut forgotten: BTreeSet<PublicKey> = BTreeSet::new();
        let full = |reference: &PeerRef| desired.peers.get(&reference.key);
        // wg(8) replaces the AllowedIPs of every peer that a file names, and for a moment there are
        // none. So a peer that keeps them is set alone, unless there are very many.
        let alone = mine.iter().filter(|change| keeps_allowed_ips(change)).count() <= ALONE_AT_MOST;
        for change in mine {
            match change {
                Change::AddPeer { peer, replaces, .. } => {
                    let Some(wanted) = full(peer) else { continue };
                    let mut parts = PeerParts::all(wanted);
                    if let Some(old) = replaces {
                        // The neighbour is where it was, only its key is new; packets wait for the
                        // handshake that the keepalive begins at once.
                        let seen = live.and_then(|l| l.peers.get(old)).and_then(|p| p.endpoint);
                        parts.endpoint = seen.map(Into::into).or(parts.endpoint);
                        if parts.keepalive.is_none() && parts.endpoint.is_some() {
                            parts.keepalive = Some(5);
                            after.push(format!("keepalive {name} {} off", peer.key));
                        }
                    }
                    sections.push(conf::peer(desired, &peer.key, wanted, &parts, self.secrets)?);
                }
                Change::ChangePeer { peer, fields, .. } => {
                    let Some(wanted) = full(peer) else { continue };
                    if alone && keeps_allowed_ips(change) {
                        self.set_peer(desired, &peer.key, wanted, fields)?;
                        continue;
                    }
                    let has = |name| fields.iter().find(|f| f.field == name);
                    let keepalive = has("persistent keepalive");
                    let psk = has("preshared key");
                    let parts = PeerParts {
                        endpoint: wanted.endpoint.clone().filter(|_| has("endpoint").is_some()),
                        keepalive: keepalive
                            .map(|_| wanted.keepalive.map_or(0, crate::model::Keepalive::get)),
                        psk: psk.is_some_and(|f| f.to.is_some()),
                    };
                    sections.push(conf::peer(desired, &peer.key, wanted, &parts, self.secrets)?);
                    if psk.is_some_and(|f| f.to.is_none()) {
                        after.push(format!("no-psk {name} {}", peer.key));
                    }
                }
                Change::RemovePeer { peer, .. } => {
                    forgotten.insert(peer.key);
                }
                _ => {}
            }
        }
        if !sections.is_empty() {
            let size = sections.iter().map(|section| section.len()).sum();
            let mut text = Zeroizing::new(String::with_capacity(size));
            for section in &sections {
                text.push_str(section);
            }
            let file = self.payload.file("add", text);
            self.op(format!("addconf {name} {file}"));
        }
        // Adding moves AllowedIPs from the old peer at once, so removing comes after.
        let forgotten: Vec<PublicKey> = forgotten.into_iter().collect();
        for keys in forgotten.chunks(FORGET_AT_ONCE) {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            self.op(format!("forget {name} {}", keys.join(" ")));
        }
        self.payload.ops.extend(after);
        Ok(())
    }

    /// Sets single values of a peer in place.
    fn set_peer(
        &mut self,
        interface: &DesiredInterface,
        key: &PublicKey,
        wanted: &DesiredPeer,
        fields: &[FieldChange],
    ) -> Result<(), S::Error> {
        let name = &interface.name;
        for field in fields {
            match (field.field, &wanted.endpoint, wanted.psk_epoch) {
                ("endpoint", Some(endpoint), _) => {
                    self.op(format!("endpoint {name} {key} {endpoint}"));
                }
                ("persistent keepalive", ..) => {
                    let seconds = wanted.keepalive.map_or(0, crate::model::Keepalive::get);
                    self.op(format!("keepalive {name} {key} {seconds}"));
                }
                ("preshared key", _, Some(epoch)) => {
                    let psk = self.secrets.preshared_key(&interface.public_key, key, epoch)?;
                    let psk = psk.expose_base64();
                    let mut text = Zeroizing::new(String::with_capacity(48));
                    let _ = writeln!(text, "{}", psk.as_str());
                    let file = self.payload.file("psk", text);
                    self.op(format!("psk {name} {key} {file}"));
                }
                ("preshared key", _, None) => self.op(format!("no-psk {name} {key}")),
                _ => {}
            }
        }
        Ok(())
    }

    fn of_interface(&self, name: &InterfaceName) -> impl Iterator<Item = &'a Change> + use<'a, S> {
        let name = name.clone();
        self.plan.changes.iter().filter(move |change| change.interface() == Some(&name))
    }

    fn drop_addresses_and_routes(&mut self, name: &InterfaceName) {
        let mut batch = String::new();
        for change in self.of_interface(name) {
            if let Change::RemoveRoute { table, prefix, .. } = change {
                let _ = writeln!(batch, "route del {prefix} dev {name} table {table}");
            }
        }
        for change in self.of_interface(name) {
            if let Change::RemoveAddress { address, .. } = change {
                let _ = writeln!(batch, "address del {address} dev {name}");
            }
        }
        // An address takes younger ones of its prefix along, and the last one all routes. What
        // went along cannot be removed once more, so failures are no matter here.
        self.batch("drop", "drop", batch);
    }

    fn add_addresses_and_routes(&mut self, name: &InterfaceName) {
        let Some((desired, quick)) = self.wanted(name).map(|wanted| (wanted.desired, wanted.quick))
        else {
            return;
        };
        let mut batch = String::new();
        let mut removed = false;
        let mut made = false;
        let mut added = BTreeSet::new();
        for change in self.of_interface(name) {
            match change {
                Change::RemoveAddress { .. } => removed = true,
                Change::Create { .. } | Change::Restart { .. } => made = !quick,
                Change::AddRoute { table, prefix, .. } => {
                    added.insert((*table, *prefix));
                }
                Change::AddAddress { address, .. } => {
                    let _ = writeln!(batch, "address replace {address} dev {name}");
                }
                _ => {}
            }
        }
        let mut again = String::new();
        if removed {
            for address in &desired.addresses {
                let _ = writeln!(again, "address replace {address} dev {name}");
            }
        }
        for (table, prefix) in desired.routes() {
            // Never `replace`: that would take the route of another device, such as the LAN's.
            let line = format!("route add {prefix} dev {name} table {table}");
            if made || added.contains(&(table, prefix)) {
                let _ = writeln!(batch, "{line}");
            } else if removed {
                let _ = writeln!(again, "{line}");
            }
        }
        self.batch("drop", "again", again);
        self.batch("batch", "net", batch);
    }
}

/// Whether a change leaves a peer's `AllowedIPs` as they are.
fn keeps_allowed_ips(change: &Change) -> bool {
    let Change::ChangePeer { fields, .. } = change else { return false };
    fields.iter().all(|field| field.field != "allowed ips")
}

const fn backend_word(backend: LiveBackend) -> &'static str {
    match backend {
        LiveBackend::Kernel => "kernel",
        LiveBackend::Embedded => "embedded",
        LiveBackend::Userspace => "userspace",
    }
}

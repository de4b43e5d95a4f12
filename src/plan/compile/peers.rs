//! The peers of an interface: added, changed and removed while the others go on.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::conf::{self, PeerParts};
use super::op::Op;
use super::payload::Compiler;
use super::word::Seconds;
use crate::desired::{DesiredInterface, DesiredPeer, Secrets};
use crate::model::{Endpoint, InterfaceName, PublicKey};
use crate::plan::{Change, FieldChange, PeerField};

/// Most peers whose values are set one by one: each costs the host a process.
const ALONE_AT_MOST: usize = 50;

/// Most peers that one `wg set … remove` names.
const FORGET_AT_ONCE: usize = 500;

impl<S: Secrets> Compiler<'_, S> {
    pub(super) fn peers(&mut self, name: &InterfaceName, mine: &[&Change]) -> Result<(), S::Error> {
        let Some(desired) = self.wanted(name).map(|wanted| wanted.desired) else { return Ok(()) };
        let live = self.observed.interfaces.get(name);
        let mut sections = Vec::new();
        let mut after = Vec::new();
        let mut forgotten: BTreeSet<PublicKey> = BTreeSet::new();
        let full = |key: &PublicKey| desired.peers.get(key);
        // wg(8) replaces the AllowedIPs of every peer that a file names, and for a moment there are
        // none. So a peer that keeps them is set alone, unless there are very many.
        let alone = mine.iter().filter(|change| keeps_allowed_ips(change)).count() <= ALONE_AT_MOST;
        for change in mine {
            match change {
                Change::AddPeer { peer, replaces, .. } => {
                    let Some(wanted) = full(&peer.key) else { continue };
                    let mut parts = PeerParts::all(wanted);
                    if let Some(old) = replaces {
                        // The neighbour is where it was, only its key is new; packets wait for the
                        // handshake that the keepalive begins at once.
                        let seen = live.filter(|_| self.heard).and_then(|l| l.peers.get(old));
                        let seen = seen.and_then(|peer| peer.endpoint);
                        parts.endpoint = seen.and_then(Endpoint::of_socket).or(parts.endpoint);
                        if parts.keepalive.is_none() && parts.endpoint.is_some() {
                            parts.keepalive = Some(5);
                            after.push(Op::Keepalive {
                                interface: name.clone(),
                                peer: peer.key,
                                every: Seconds::Off,
                            });
                        }
                    }
                    sections.push(conf::peer(desired, &peer.key, wanted, &parts, self.secrets)?);
                }
                Change::ChangePeer { peer, fields, .. } => {
                    let Some(wanted) = full(&peer.key) else { continue };
                    if alone && keeps_allowed_ips(change) {
                        self.set_peer(desired, &peer.key, wanted, fields)?;
                        continue;
                    }
                    let has = |field| fields.iter().find(|change| change.field == field);
                    let keepalive = has(PeerField::Keepalive);
                    let psk = has(PeerField::PresharedKey);
                    let parts = PeerParts {
                        endpoint: wanted
                            .endpoint
                            .clone()
                            .filter(|_| has(PeerField::Endpoint).is_some()),
                        keepalive: keepalive
                            .map(|_| wanted.keepalive.map_or(0, crate::model::Keepalive::get)),
                        psk: psk.is_some_and(|f| f.to.is_some()),
                    };
                    sections.push(conf::peer(desired, &peer.key, wanted, &parts, self.secrets)?);
                    if psk.is_some_and(|f| f.to.is_none()) {
                        after.push(Op::NoPsk { interface: name.clone(), peer: peer.key });
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
            let conf = self.payload.file("add", text);
            self.op(Op::AddConf { interface: name.clone(), conf });
        }
        // Adding moves AllowedIPs from the old peer at once, so removing comes after.
        let forgotten: Vec<PublicKey> = forgotten.into_iter().collect();
        for keys in forgotten.chunks(FORGET_AT_ONCE) {
            self.op(Op::Forget { interface: name.clone(), peers: keys.to_vec() });
        }
        for op in after {
            self.op(op);
        }
        Ok(())
    }

    /// Sets single values of a peer in place.
    fn set_peer(
        &mut self,
        interface: &DesiredInterface,
        key: &PublicKey,
        wanted: &DesiredPeer,
        fields: &[FieldChange<PeerField>],
    ) -> Result<(), S::Error> {
        let (name, peer) = (&interface.name, *key);
        for field in fields {
            match field.field {
                PeerField::Endpoint => {
                    // None is ever taken from a peer: wg(8) has no word for that.
                    if let Some(endpoint) = &wanted.endpoint {
                        let endpoint = endpoint.clone();
                        self.op(Op::Endpoint { interface: name.clone(), peer, endpoint });
                    }
                }
                PeerField::Keepalive => {
                    let seconds = wanted.keepalive.map_or(0, crate::model::Keepalive::get);
                    let every = Seconds::Every(seconds);
                    self.op(Op::Keepalive { interface: name.clone(), peer, every });
                }
                PeerField::PresharedKey => {
                    let Some(epoch) = wanted.psk_epoch else {
                        self.op(Op::NoPsk { interface: name.clone(), peer });
                        continue;
                    };
                    let psk = self.secrets.preshared_key(&interface.public_key, key, epoch)?;
                    let psk = psk.expose_base64();
                    let mut text = Zeroizing::new(String::with_capacity(48));
                    let _ = writeln!(text, "{}", psk.as_str());
                    let psk = self.payload.file("psk", text);
                    self.op(Op::Psk { interface: name.clone(), peer, psk });
                }
                // A peer whose AllowedIPs change gets a section of its own: see `keeps_allowed_ips`.
                PeerField::AllowedIps => {}
            }
        }
        Ok(())
    }
}

/// Whether a change leaves a peer's `AllowedIPs` as they are.
fn keeps_allowed_ips(change: &Change) -> bool {
    let Change::ChangePeer { fields, .. } = change else { return false };
    fields.iter().all(|field| field.field != PeerField::AllowedIps)
}

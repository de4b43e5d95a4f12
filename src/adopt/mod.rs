//! An inventory for a fleet that runs already: from files of WireGuard's own, or from what hosts tell, to
//! the text that a person would have written.
//!
//! [`read`] takes a file in whatever form, [`joined`] puts together what several told of one machine, and
//! [`adopt`] draws an inventory: who is linked (`fabric`), what addresses mean (`lans`), names and what is
//! written of each (`sketch`), the shape of the links (`shape`). Then the draft is read as any inventory,
//! and what follows from it is held against what is known (`settle`): only where the two differ, the draft
//! says so. What cannot be told or kept is a [`Remark`].

mod conf;
mod draft;
mod dump;
mod fabric;
mod input;
mod known;
mod lans;
mod meaning;
mod naming;
mod remark;
mod settle;
mod shape;
mod sketch;
mod text;
mod told;
mod yaml;

pub use input::{Read, read};
pub use known::{KnownHooks, KnownHost, KnownInterface, KnownPeer, There, joined};
pub use remark::{Remark, Topic};
pub use told::told;

use crate::finding::Finding;
use crate::model::{FleetName, HostName, PresharedKey, PrivateKey, PublicKey};
use draft::Draft;
use fabric::Fabric;
use lans::Lans;
use meaning::Meaning;

/// What came of an import.
#[derive(Debug)]
pub struct Adoption {
    draft: Draft,
    /// Whoever the inventory had before.
    there: There,
    /// Managed hosts, in the order in which they were found.
    pub hosts: Vec<HostName>,
    /// Unmanaged peers.
    pub peers: Vec<HostName>,
    /// How many networks there are.
    pub networks: usize,
    /// Private keys of hosts.
    pub keys: Vec<(HostName, PrivateKey)>,
    /// Preshared keys, each with its pair.
    pub preshared_keys: Vec<Shared>,
    /// What could not be told.
    pub remarks: Vec<Remark>,
}

/// The preshared key of a pair.
#[derive(Debug)]
pub struct Shared {
    /// The keys of the two, the lower one first.
    pub pair: (PublicKey, PublicKey),
    /// What they share.
    pub key: PresharedKey,
}

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Nothing that was read has an interface with a key.
    #[error("nothing that was read has a WireGuard interface with its private key")]
    Nothing,
    /// No inventory can have what was read.
    #[error("what was read makes no inventory: {}", .0.first().map_or("", |first| &first.title))]
    Unwritable(Vec<Finding>),
}

/// A name for what somebody calls a machine.
#[must_use]
pub fn host_name(text: &str) -> HostName {
    let label = naming::label(text).unwrap_or_else(|| "host".to_owned());
    label.parse().unwrap_or_else(|_| unreachable!("a label is a host name"))
}

/// Draws an inventory. `there`: whoever is in one already, and is not written again.
///
/// # Errors
/// [`AdoptError`].
pub fn adopt(
    fleet: &FleetName,
    mut hosts: Vec<KnownHost>,
    mut remarks: Vec<Remark>,
    there: &There,
) -> Result<Adoption, AdoptError> {
    let (names, networks, draft) = {
        let fabric = Fabric::new(&hosts, &mut remarks);
        if fabric.ends.iter().all(|end| end.of.is_none()) {
            return Err(AdoptError::Nothing);
        }
        let lans = Lans::of(&fabric);
        let sketch::Sketch { mut draft, names } =
            sketch::sketch(fleet, &hosts, &fabric, &lans, there, &mut remarks);
        shape::shape(&mut draft, &fabric, &lans, &names).map_err(AdoptError::Unwritable)?;
        let meaning = Meaning::of(&draft).map_err(AdoptError::Unwritable)?;
        settle::settle(&mut draft, &meaning, &fabric, &names);
        if there.is_empty() {
            draft.hoist();
        }
        let meaning = Meaning::of(&draft).map_err(AdoptError::Unwritable)?;
        settle::remaining(&draft, &meaning, &fabric, &names, &mut remarks);
        let names: Vec<(Option<(usize, usize)>, HostName)> =
            fabric.ends.iter().map(|end| end.of).zip(names).collect();
        (names, fabric.networks, draft)
    };
    let mut keys: Vec<(HostName, PrivateKey)> = Vec::new();
    let mut preshared_keys: Vec<Shared> = Vec::new();
    for (host, slot, name) in
        names.iter().filter_map(|(of, name)| of.map(|(host, slot)| (host, slot, name)))
    {
        let interface = &mut hosts[host].interfaces[slot];
        let Some(own) = interface.key() else { continue };
        for peer in &mut interface.peers {
            let pair = (own.min(peer.public_key), own.max(peer.public_key));
            let known = preshared_keys.iter().find(|shared| shared.pair == pair);
            match (known, peer.preshared_key.take()) {
                (None, Some(key)) => preshared_keys.push(Shared { pair, key }),
                (Some(known), Some(key)) if known.key.expose() != key.expose() => {
                    let text = format!(
                        "`{name}` has another preshared key for the peer {} than that has for it, so they cannot \
                         speak; the vault takes the first",
                        peer.public_key
                    );
                    remarks.push(Remark::new(Topic::PresharedKey, text).of(name));
                }
                (None, None) if peer.psk_is_hidden => {
                    let text = format!(
                        "{} hides the preshared key of `{name}` for the peer {}",
                        interface.source, peer.public_key
                    );
                    let hint = "import the file that has it, or the pair gets a new one";
                    remarks.push(Remark::new(Topic::PresharedKey, text).of(name).write(hint));
                }
                _ => {}
            }
        }
        match interface.private_key.take() {
            Some(key) => keys.push((name.clone(), key)),
            None if keys.iter().all(|(known, _)| known != name) => {
                let text = format!("nothing says the private key of `{name}`");
                let hint = format!("wgfleet vault import {name}    # reads it from stdin");
                remarks.push(Remark::new(Topic::Key, text).of(name).write(hint));
            }
            None => {}
        }
    }
    remarks.sort_by(|a, b| (a.topic, &a.host).cmp(&(b.topic, &b.host)));
    remarks.dedup();
    for host in draft.hosts.iter().filter(|host| there.peers.contains(&host.name)) {
        let name = &host.name;
        let text = format!("`{name}` was an unmanaged peer so far, and is a host now");
        let hint =
            format!("take `{name}` out of `peers:` of fleet.yaml before you include what is new");
        remarks.push(Remark::new(Topic::Name, text).of(name).write(hint));
    }
    remarks.retain(|remark| remark.host.as_ref().is_none_or(|name| !there.hosts.contains(name)));
    Ok(Adoption {
        there: there.clone(),
        hosts: draft.hosts.iter().map(|host| host.name.clone()).collect(),
        peers: draft.peers.iter().map(|peer| peer.name.clone()).collect(),
        networks,
        keys,
        preshared_keys,
        remarks,
        draft,
    })
}

impl Adoption {
    /// Whether there is anybody whom the inventory did not have.
    #[must_use]
    pub fn has_new(&self) -> bool {
        self.hosts.iter().any(|name| !self.there.hosts.contains(name))
            || self.peers.iter().any(|name| !self.there.has(name))
    }

    /// The text of fleet.yaml; where there was one, of a file with what is new, for it to include.
    #[must_use]
    pub fn text(&self) -> String {
        if self.there.is_empty() {
            text::text(&self.draft)
        } else {
            text::addition(&self.draft, &self.there)
        }
    }
}

//! What the threads of a device share.
//!
//! Locks are taken in the order turnstile, configuration, tables, peer; those of the sockets, the
//! identity and the indices are held for a look only, and nothing is locked under them. The tables
//! are only held to look something up, so a change of one peer never stops the packets of another.
//! Who holds any other lock never waits at a turnstile, and who has left its entrance does not come
//! back to it before what was read is passed on: so the one whose turn it is always gets on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use indexmap::IndexMap;
use parking_lot::{Condvar, Mutex, RwLock};

use super::binding::Closing;
use super::clock::Calendar;
use super::handshakes::Handshakes;
use super::index_table::IndexTable;
use super::peer::Peer;
use super::refusal::Refusals;
use super::{AllowedIps, Workers};
use crate::model::{PrivateKey, PublicKey};
use crate::tunnel::drops::DropCounters;
use crate::tunnel::noise::{Checker, Identity};
use crate::tunnel::transport::{Bind, Bound, Local, Tun};

/// What the threads share.
pub(super) struct Core {
    pub(super) tun: Arc<dyn Tun>,
    pub(super) binder: Box<dyn Bind>,
    pub(super) workers: Workers,
    /// Held while the configuration changes.
    pub(super) settings: Mutex<DeviceSettings>,
    pub(super) identity: RwLock<Option<Arc<Owner>>>,
    pub(super) tables: RwLock<Tables>,
    pub(super) indices: IndexTable,
    pub(super) handshakes: Handshakes,
    pub(super) sockets: RwLock<Option<Bound>>,
    pub(super) drops: DropCounters,
    /// The time that initiations carry.
    pub(super) calendar: Calendar,
    /// How often hosts are told that a packet has no way.
    pub(super) refusals: Mutex<Refusals>,
    pub(super) mtu: AtomicU32,
    /// The mark of the sockets, for whoever may not wait for the settings.
    pub(super) mark: AtomicU32,
    pub(super) up: AtomicBool,
    /// The interface is up, and its port or a family of it could not be bound.
    pub(super) is_deaf: AtomicBool,
    pub(super) stopped: Mutex<bool>,
    pub(super) stopping: Condvar,
}

/// Who the interface is.
pub(super) struct Owner {
    pub(super) identity: Identity,
    pub(super) checker: Mutex<Checker>,
}

impl Owner {
    pub(super) fn new(private: PrivateKey) -> Self {
        let identity = Identity::new(private);
        let checker = Mutex::new(Checker::new(&identity.public()));
        Self { identity, checker }
    }
}

/// What was asked for, where the answer may differ.
#[derive(Default)]
pub(super) struct DeviceSettings {
    /// 0 for any.
    pub(super) listen_port: u16,
    pub(super) fwmark: u32,
    /// Sockets that were closed a moment ago.
    pub(super) closing: Closing,
}

/// The peers, by key and by prefix.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) peers: IndexMap<PublicKey, Arc<Peer>>,
    pub(super) routes: AllowedIps<Arc<Peer>>,
}

impl Core {
    /// Whether a source that was learned is one that packets to there still leave from.
    pub(super) fn is_on_the_way(&self, to: &SocketAddr, from: &Local) -> bool {
        self.binder.is_on_the_way(to, from, self.mark.load(Ordering::Relaxed))
    }

    /// Gives up sources that are not on the way any more.
    pub(super) fn look_at_routes(&self) {
        let peers: Vec<Arc<Peer>> = self.tables.read().peers.values().cloned().collect();
        for peer in peers {
            peer.state.lock().look_at_route(|to, from| self.is_on_the_way(to, from));
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Who we are, where we have a key.
    pub(super) fn owner(&self) -> Option<Arc<Owner>> {
        self.identity.read().clone()
    }
}

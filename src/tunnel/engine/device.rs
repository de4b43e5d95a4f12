//! The device: its peers, its sockets, and the threads that carry packets.
//!
//! One thread reads each lane of the TUN side, one each UDP socket, one answers handshakes, and one keeps the
//! timers. Locks are taken in the order configuration, tables, peer; those of the sockets, the
//! identity and the indices are held for a look only, and nothing is locked under them. The tables
//! are only held to look something up, so a change of one peer never stops the packets of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use indexmap::IndexMap;
use parking_lot::{Condvar, Mutex, RwLock};

use super::handshakes::Handshakes;
use super::index_table::IndexTable;
use super::peer::Peer;
use super::{AllowedIps, Engine, EngineError, LinkState};
use crate::model::{PrivateKey, PublicKey};
use crate::tunnel::drops::DropCounters;
use crate::tunnel::noise::{Checker, Identity};
use crate::tunnel::transport::{Bind, Bound, Tun};
use crate::tunnel::{DeviceChange, DeviceSnapshot};

/// A userspace `WireGuard` device.
pub struct Userspace {
    pub(super) core: Arc<Core>,
}

/// What the threads share.
pub(super) struct Core {
    pub(super) tun: Arc<dyn Tun>,
    pub(super) binder: Box<dyn Bind>,
    /// Held while the configuration changes.
    pub(super) settings: Mutex<Settings>,
    pub(super) identity: RwLock<Option<Arc<Owner>>>,
    pub(super) tables: RwLock<Tables>,
    pub(super) indices: IndexTable,
    pub(super) handshakes: Handshakes,
    pub(super) sockets: RwLock<Option<Bound>>,
    pub(super) drops: DropCounters,
    pub(super) mtu: AtomicU32,
    pub(super) up: AtomicBool,
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
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// 0 for any.
    pub(super) listen_port: u16,
    pub(super) fwmark: u32,
}

/// The peers, by key and by prefix.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) peers: IndexMap<PublicKey, Arc<Peer>>,
    pub(super) routes: AllowedIps<Arc<Peer>>,
}

impl Userspace {
    /// Starts a device that is down and has no key.
    ///
    /// # Errors
    /// [`EngineError::Thread`].
    pub fn start(tun: Arc<dyn Tun>, binder: Box<dyn Bind>, mtu: u32) -> Result<Self, EngineError> {
        let core = Arc::new(Core {
            tun,
            binder,
            settings: Mutex::default(),
            identity: RwLock::default(),
            tables: RwLock::default(),
            indices: IndexTable::default(),
            handshakes: Handshakes::default(),
            sockets: RwLock::default(),
            drops: DropCounters::default(),
            mtu: AtomicU32::new(mtu),
            up: AtomicBool::new(false),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        // From here on, a thread that cannot be started ends those that were.
        let device = Self { core };
        let core = &device.core;
        for lane in core.tun.lanes() {
            spawn("tun", core, move |core| {
                core.read_lane(&*lane);
                // Who waits for the interface to go waits for the device to be unused.
                drop(lane);
            })?;
        }
        spawn("handshakes", core, |core| core.answer_handshakes())?;
        spawn("timers", core, |core| core.keep_timers())?;
        Ok(device)
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Engine for Userspace {
    fn apply(&self, change: DeviceChange) -> Result<(), EngineError> {
        self.core.apply(change)
    }

    fn snapshot(&self) -> DeviceSnapshot {
        self.core.snapshot()
    }

    fn link(&self, state: LinkState) -> Result<(), EngineError> {
        self.core.mtu.store(state.mtu, Ordering::Relaxed);
        self.core.set_up(state.up)
    }

    fn stop(&self) {
        let mut stopped = self.core.stopped.lock();
        *stopped = true;
        self.core.stopping.notify_all();
        drop(stopped);
        self.core.tun.close();
        self.core.handshakes.close();
        self.core.close_sockets();
        self.core.forget_keys();
    }
}

fn spawn(
    name: &str,
    core: &Arc<Core>,
    work: impl FnOnce(Arc<Core>) + Send + 'static,
) -> Result<(), EngineError> {
    let core = Arc::clone(core);
    let named = thread::Builder::new().name(name.to_owned());
    named.spawn(move || work(core)).map(drop).map_err(EngineError::Thread)
}

impl Core {
    /// Uses these sockets from now on; the ones before are closed once nobody reads them.
    pub(super) fn use_sockets(self: &Arc<Self>, bound: Bound) -> Result<(), EngineError> {
        for socket in bound.each() {
            let socket = Arc::clone(socket);
            spawn("udp", self, move |core| core.read_udp(&*socket))?;
        }
        let old = self.sockets.write().replace(bound);
        if let Some(old) = old {
            old.each().for_each(|socket| socket.close());
        }
        Ok(())
    }

    pub(super) fn close_sockets(&self) {
        let old = self.sockets.write().take();
        if let Some(old) = old {
            old.each().for_each(|socket| socket.close());
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

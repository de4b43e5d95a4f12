//! The device: its peers, its sockets, and the threads that carry packets.
//!
//! One thread reads each lane of the TUN side, one each UDP socket, one answers handshakes, and one
//! keeps the timers. Where there are processors enough ([`Workers`]), several threads share a lane of
//! streams or a socket: they read one after the other, encrypt side by side, and send in the order in
//! which they read ([`Turnstile`]), so that one flow has all of them and keeps its order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::SystemTime;

use parking_lot::{Condvar, Mutex, RwLock};

use super::clock::{Calendar, now};
use super::handshakes::Handshakes;
use super::inbound::SharedSocket;
use super::index_table::IndexTable;
use super::state::Core;
use super::turnstile::Turnstile;
use super::{Engine, EngineError, LinkState, Workers};
use crate::tunnel::drops::DropCounters;
use crate::tunnel::transport::{Bind, Lane, Tun, Udp};
use crate::tunnel::{DeviceChange, DeviceSnapshot};

/// A userspace `WireGuard` device.
pub struct Userspace {
    pub(super) core: Arc<Core>,
}

impl Userspace {
    /// Starts a device that is down and has no key, with as many threads as suit the machine.
    ///
    /// # Errors
    /// [`EngineError::Thread`].
    pub fn start(tun: Arc<dyn Tun>, binder: Box<dyn Bind>, mtu: u32) -> Result<Self, EngineError> {
        Self::start_with(tun, binder, mtu, Workers::of_this_machine())
    }

    /// Like [`start`](Self::start), with so many threads for each socket and each lane that may be
    /// shared.
    ///
    /// # Errors
    /// [`EngineError::Thread`].
    pub fn start_with(
        tun: Arc<dyn Tun>,
        binder: Box<dyn Bind>,
        mtu: u32,
        workers: Workers,
    ) -> Result<Self, EngineError> {
        let core = Arc::new(Core {
            tun,
            binder,
            workers,
            settings: Mutex::default(),
            identity: RwLock::default(),
            tables: RwLock::default(),
            indices: IndexTable::default(),
            handshakes: Handshakes::default(),
            sockets: RwLock::default(),
            drops: DropCounters::default(),
            calendar: Calendar::default(),
            refusals: Mutex::default(),
            mtu: AtomicU32::new(mtu),
            mark: AtomicU32::new(0),
            up: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        // From here on, a thread that cannot be started ends those that were.
        let device = Self { core };
        let core = &device.core;
        for lane in core.tun.lanes() {
            start_reading_lane(core, &lane)?;
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

    fn routes_changed(&self) {
        self.core.look_at_routes();
    }

    fn last_initiation(&self) -> Option<SystemTime> {
        self.core.calendar.last()
    }

    fn go_on_after(&self, initiation: SystemTime) {
        self.core.calendar.go_on_after(initiation, now());
    }

    fn stop(&self) {
        let mut stopped = self.core.stopped.lock();
        *stopped = true;
        self.core.stopping.notify_all();
        drop(stopped);
        self.core.tun.close();
        self.core.handshakes.close();
        // Nobody binds them again: whoever wants to looks whether it has stopped, under this lock.
        self.core.close_sockets(&mut self.core.settings.lock());
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

/// Starts the threads of a lane. Each ends, and lets go of the lane, when the lane does: who waits
/// for the interface to go waits for the device to be unused.
fn start_reading_lane(core: &Arc<Core>, lane: &Arc<dyn Lane>) -> Result<(), EngineError> {
    let count = if lane.may_be_shared() { core.workers.count() } else { 1 };
    let turnstile = (count > 1).then(Arc::<Turnstile>::default);
    for _ in 0..count {
        let (lane, turnstile) = (Arc::clone(lane), turnstile.clone());
        spawn("tun", core, move |core| {
            match turnstile {
                None => core.read_lane(&*lane),
                Some(turnstile) => core.share_lane(&*lane, &turnstile),
            }
            drop(lane);
        })?;
    }
    Ok(())
}

impl Core {
    /// Starts the threads of a socket, which end with it.
    pub(super) fn start_reading(
        self: &Arc<Self>,
        socket: &Arc<dyn Udp>,
    ) -> Result<(), EngineError> {
        let count = self.workers.count();
        let shared = (count > 1).then(Arc::<SharedSocket>::default);
        for _ in 0..count {
            let (socket, shared) = (Arc::clone(socket), shared.clone());
            spawn("udp", self, move |core| match shared {
                None => core.read_udp(&*socket),
                Some(shared) => core.share_udp(&*socket, &shared),
            })?;
        }
        Ok(())
    }
}

//! Binding a port in both families, and letting go of it.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::Family;
use crate::tunnel::transport::{Bind, Bound, Udp};

/// How often another random port is tried where only one family of it is free.
const RANDOM_PORT_TRIES: u32 = 16;
/// How long readers may take to let go of a closed socket: each may be waiting for room to send.
const LETTING_GO: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_micros(500);

/// What of a port was bound, and why a family of it was not that the host has.
pub(super) struct Binding {
    pub(super) bound: Bound,
    pub(super) refused: Option<io::Error>,
}

/// Binds a port, or one of the system's choice for 0, in every family that is free.
///
/// # Errors
/// Where no family is.
pub(super) fn bind(binder: &dyn Bind, port: u16, mark: u32) -> io::Result<Binding> {
    for _ in 0..RANDOM_PORT_TRIES {
        let binding = bind_once(binder, port, mark)?;
        if port != 0 || binding.refused.is_none() {
            return Ok(binding);
        }
        binding.bound.each().for_each(|socket| socket.close());
    }
    bind_once(binder, port, mark)
}

fn bind_once(binder: &dyn Bind, port: u16, mark: u32) -> io::Result<Binding> {
    let mut bound = Bound { port, v4: None, v6: None };
    let mut refused = None;
    for family in [Family::V4, Family::V6] {
        match binder.bind(family, bound.port, mark) {
            Ok(Some((port, socket))) => {
                bound.port = port;
                *bound.of_mut(family) = Some(socket);
            }
            Ok(None) => {}
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    match (bound.each().count(), refused) {
        (0, refused) => Err(refused.unwrap_or(rustix::io::Errno::AFNOSUPPORT.into())),
        (_, refused) => Ok(Binding { bound, refused }),
    }
}

/// Sockets that were closed, and may still be held by their readers.
#[derive(Default)]
pub(super) struct Closing(Vec<Weak<dyn Udp>>);

impl Closing {
    /// Closes sockets.
    pub(super) fn close(&mut self, bound: &Bound) {
        self.0.retain(|socket| socket.strong_count() > 0);
        for socket in bound.each() {
            socket.close();
            self.0.push(Arc::downgrade(socket));
        }
    }

    /// Waits until nobody holds them any more, so that their port is free.
    pub(super) fn wait(&mut self) {
        let deadline = Instant::now() + LETTING_GO;
        loop {
            self.0.retain(|socket| socket.strong_count() > 0);
            if self.0.is_empty() || Instant::now() > deadline {
                return;
            }
            thread::sleep(GLANCE);
        }
    }
}

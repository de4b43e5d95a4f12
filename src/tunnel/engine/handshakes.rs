//! Handshake messages that wait in a short queue.
//!
//! Each may cost milliseconds of a stream that runs meanwhile, so they are kept away from the
//! threads that carry packets, and a queue that grows makes senders prove their address first.

use std::collections::VecDeque;
use std::net::SocketAddr;

use parking_lot::{Condvar, Mutex};

use super::guard::Guard;
use crate::tunnel::noise::{INITIATION_LENGTH, Moment};
use crate::tunnel::transport::{Local, Received};

/// Messages that may wait; an eighth of it is a load.
pub(super) const MOST_WAITING: usize = 1024;

/// A handshake message and where it came from.
pub(super) struct Letter {
    pub(super) bytes: [u8; INITIATION_LENGTH],
    pub(super) length: usize,
    pub(super) from: SocketAddr,
    pub(super) to: Option<Local>,
}

/// Handshake messages that wait for an answer.
#[derive(Default)]
pub(super) struct Handshakes {
    queue: Mutex<Queue>,
    arrived: Condvar,
    pub(super) guard: Mutex<Guard>,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Letter>,
    closed: bool,
}

impl Handshakes {
    /// Lets a message wait; `false` where too many do.
    pub(super) fn push(&self, message: &[u8], received: &Received) -> bool {
        let mut letter = Letter {
            bytes: [0; INITIATION_LENGTH],
            length: message.len().min(INITIATION_LENGTH),
            from: received.from,
            to: received.to,
        };
        letter.bytes[..letter.length].copy_from_slice(&message[..letter.length]);
        let mut queue = self.queue.lock();
        if queue.closed || queue.letters.len() >= MOST_WAITING {
            return false;
        }
        queue.letters.push_back(letter);
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// The next message and how many wait behind it, or `None` once closed.
    pub(super) fn pop(&self) -> Option<(Letter, usize)> {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(letter) = queue.letters.pop_front() {
                if queue.letters.is_empty() {
                    // The memory of a flood goes with it.
                    queue.letters.shrink_to(16);
                }
                return Some((letter, queue.letters.len()));
            }
            self.arrived.wait(&mut queue);
        }
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.letters = VecDeque::new();
        drop(queue);
        self.arrived.notify_all();
    }

    /// Forgets sources that have been quiet.
    pub(super) fn forget(&self, now: Moment) {
        self.guard.lock().forget(now);
    }
}

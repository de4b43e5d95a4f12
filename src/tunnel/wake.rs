//! Waiting for a descriptor until it is ready or the wait is called off.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A wait that any thread can call off, for good.
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

impl Wake {
    /// A wait that has not been called off.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Calls the wait off.
    pub(crate) fn call_off(&self) {
        // An eventfd that cannot be written is one that is readable already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits until `fd` takes something again; false once called off, or when the time is over.
    pub(crate) fn writable(&self, fd: &impl AsFd, limit: Duration) -> io::Result<bool> {
        let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
        loop {
            let mut fds = [PollFd::new(fd, PollFlags::OUT), PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&limit)) {
                Ok(ready) => return Ok(ready > 0 && fds[1].revents().is_empty()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until `fd` has something to read (or an error to report); false once called off.
    pub(crate) fn readable(&self, fd: &impl AsFd) -> io::Result<bool> {
        loop {
            let mut fds = [PollFd::new(fd, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[1].revents().is_empty() => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

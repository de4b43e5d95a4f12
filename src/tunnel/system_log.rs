//! The machine's log, for a tunnel that runs in the background: syslog(3), or the kernel's buffer.
//!
//! It is opened before the process gives up its files, and takes the place of stderr: each write to
//! it is one message, whoever writes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// Where the kernel takes messages for its own log.
const KERNEL: &str = "/dev/kmsg";

/// Opens the log of this machine; `None` where it has none.
pub(super) fn open() -> Option<OwnedFd> {
    open_at(Path::new(SYSLOG), Path::new(KERNEL))
}

fn open_at(syslog: &Path, kernel: &Path) -> Option<OwnedFd> {
    let socket = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(syslog)?;
        // A log that stands still must not stop packets.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    socket
        .map(OwnedFd::from)
        .or_else(|_| File::options().append(true).open(kernel).map(OwnedFd::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_write_is_a_message_of_whichever_log_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let (syslog, kernel) = (folder.path().join("log"), folder.path().join("kmsg"));
        assert!(open_at(&syslog, &kernel).is_none());
        std::fs::write(&kernel, "").unwrap();
        File::from(open_at(&syslog, &kernel).unwrap()).write_all(b"one\n").unwrap();
        assert_eq!(std::fs::read(&kernel).unwrap(), b"one\n");
        let listener = UnixDatagram::bind(&syslog).unwrap();
        File::from(open_at(&syslog, &kernel).unwrap()).write_all(b"two").unwrap();
        let mut heard = [0; 16];
        let length = listener.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"two");
    }
}

//! What a service manager is told: `sd_notify(3)` without its library.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A way to whoever started this process as a service.
#[derive(Debug)]
pub(super) struct ServiceManager(UnixDatagram);

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names; `None` where nobody waits for a notification.
    ///
    /// # Errors
    /// Where the socket cannot be reached: who waits would wait in vain.
    pub(super) fn of_this_process() -> io::Result<Option<Self>> {
        std::env::var_os("NOTIFY_SOCKET").map(|name| Self::at(&name)).transpose()
    }

    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(socket))
    }

    /// The interface and its socket are there.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub(super) fn ready(&self) -> io::Result<()> {
        self.0.send(b"READY=1").map(drop)
    }

    /// The tunnel is about to end.
    pub(super) fn stopping(&self) {
        // Who does not listen any more will see it end.
        let _ = self.0.send(b"STOPPING=1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_addresses_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let hidden = format!("wgfleet-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&hidden).unwrap();
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{hidden}").into()),
        ];
        for (listener, name) in listeners {
            let manager = ServiceManager::at(&name).unwrap();
            manager.ready().unwrap();
            manager.stopping();
            let mut heard = [0; 64];
            for said in ["READY=1", "STOPPING=1"] {
                let length = listener.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], said.as_bytes());
            }
        }
        assert!(ServiceManager::at(OsStr::new("/nonesuch/notify")).is_err());
    }
}

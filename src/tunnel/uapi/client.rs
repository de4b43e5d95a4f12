//! The client's side: how `wg` talks to a userspace tunnel.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use zeroize::Zeroizing;

use super::parse::LONGEST_LINE;
use super::{ParseError, SnapshotParser, render_change, socket_path};
use crate::model::InterfaceName;
use crate::tunnel::{DeviceChange, DeviceSnapshot};

/// A tunnel that says nothing for so long has died.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a tunnel did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its socket cannot be used.
    #[error("failed to talk to the tunnel's socket")]
    Socket(#[source] io::Error),
    /// Its answer is not of the protocol.
    #[error("the tunnel's answer is not understood")]
    Answer(#[source] ParseError),
    /// It refused.
    #[error("the tunnel refused")]
    Refused(#[source] io::Error),
}

impl ClientError {
    /// What `wg` would find in errno.
    #[must_use]
    pub fn io(self) -> io::Error {
        match self {
            Self::Socket(error) | Self::Refused(error) => error,
            Self::Answer(_) => rustix::io::Errno::PROTO.into(),
        }
    }
}

/// A connection to one tunnel; it carries any number of commands.
pub struct Connection {
    reader: BufReader<UnixStream>,
}

impl Connection {
    /// Connects to the tunnel of an interface.
    ///
    /// # Errors
    /// [`ClientError::Socket`]; `NotFound` and `ConnectionRefused` mean that no tunnel runs.
    pub fn open(interface: &InterfaceName) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket_path(interface)).map_err(ClientError::Socket)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(ClientError::Socket)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(ClientError::Socket)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// The interface as it is now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get(&mut self) -> Result<DeviceSnapshot, ClientError> {
        self.command("get=1\n\n")
    }

    /// Changes the interface.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn set(&mut self, change: &DeviceChange) -> Result<(), ClientError> {
        self.command(&render_change(change)).map(drop)
    }

    fn command(&mut self, request: &str) -> Result<DeviceSnapshot, ClientError> {
        self.reader.get_mut().write_all(request.as_bytes()).map_err(ClientError::Socket)?;
        let mut parser = SnapshotParser::default();
        let limit = LONGEST_LINE as u64 + 1;
        loop {
            let mut line = Zeroizing::new(String::with_capacity(LONGEST_LINE + 1));
            let mut limited = self.reader.by_ref().take(limit);
            limited.read_line(&mut line).map_err(ClientError::Socket)?;
            let Some(text) = line.strip_suffix('\n') else {
                return Err(ClientError::Socket(io::ErrorKind::UnexpectedEof.into()));
            };
            match parser.line(text).map_err(ClientError::Answer)? {
                None => {}
                Some((snapshot, 0)) => return Ok(snapshot),
                Some((_, errno)) => {
                    let error = io::Error::from_raw_os_error(errno.saturating_abs());
                    return Err(ClientError::Refused(error));
                }
            }
        }
    }
}

//! The tunnel's side: a Unix socket, any number of connections, any number of commands on each.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

use super::lines::{Lines, Overlong};
use super::{FOLDER, Request, RequestParser, render_snapshot, socket_path};
use crate::model::InterfaceName;
use crate::tunnel::Engine;

/// How long a tunnel that is ending may still hold the socket of its interface.
const PREDECESSOR: Duration = Duration::from_secs(3);
/// How long nobody is accepted after somebody could not be.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// `EINVAL`, the answer to everything that is not understood.
const INVALID: i32 = 22;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another tunnel answers there.
    #[error("another tunnel answers on {0}; it may be in another network namespace")]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("failed to listen on {path}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket of a running tunnel; the file is removed when this is dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// Which file is ours: a successor may have put its own in our place.
    identity: (u64, u64),
}

impl Server {
    /// Listens for an interface.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn listen(interface: &InterfaceName) -> Result<Self, ServerError> {
        let path = socket_path(interface);
        let failed = |source| ServerError::Listen { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(FOLDER).map_err(failed)?;
        wait_for_predecessor(&path).await?;
        remove_if_there(&mark(&path)).map_err(failed)?;
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let identity = identity(&path).map_err(failed)?;
        // From here on it is removed whatever fails.
        let server = Self { listener, path: path.clone(), identity };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        // Beside the socket, so that whoever looks at the host knows whose tunnel this is.
        fs::write(mark(&path), this_process()).map_err(failed)?;
        Ok(server)
    }

    /// The process has made [`FOLDER`] its root, so the socket has another path for it.
    pub fn folder_is_root(&mut self) {
        if let Some(name) = self.path.file_name() {
            self.path = Path::new("/").join(name);
        }
    }

    /// Answers for ever. A connection that cannot be accepted, because it is gone again or because
    /// the process has no descriptor left, ends nothing.
    pub async fn serve(&self, engine: Arc<dyn Engine>) -> Infallible {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("failed to accept a connection: {error}");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &*engine).await {
                    tracing::debug!("a connection to the socket ended: {error}");
                }
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Nothing is left to be done for a socket that cannot be removed.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(mark(&self.path));
        }
    }
}

/// `IF.wgfleet` beside `IF.sock`: holds the process id of the tunnel and its start time.
fn mark(socket: &Path) -> PathBuf {
    socket.with_extension("wgfleet")
}

/// `PID START`, as proc(5) has them in `stat`: another process can have the id later, but not with
/// this start. Without /proc, the id alone.
fn this_process() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    format!("{} {}", std::process::id(), start_time(&stat).unwrap_or_default())
        .trim_end()
        .to_owned()
        + "\n"
}

/// Field 22 of `stat`; the second, a name in brackets, may have blanks and brackets of its own.
fn start_time(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Removes the socket of a tunnel that has died, and waits for one that is ending: its interface
/// was deleted, or ours would not have been created.
async fn wait_for_predecessor(path: &Path) -> Result<(), ServerError> {
    let deadline = tokio::time::Instant::now() + PREDECESSOR;
    loop {
        match UnixStream::connect(path).await {
            Ok(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(_) => return Err(ServerError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // It lives, and does not answer just now.
            Err(source) if source.kind() != io::ErrorKind::ConnectionRefused => {
                return Err(ServerError::Listen { path: path.to_owned(), source });
            }
            Err(_) => {
                return remove_if_there(path)
                    .map_err(|source| ServerError::Listen { path: path.to_owned(), source });
            }
        }
    }
}

async fn answer(stream: UnixStream, engine: &dyn Engine) -> io::Result<()> {
    let mut lines = Lines::new(stream);
    let mut parser = RequestParser::default();
    while let Some(line) = lines.next().await? {
        let Ok(text) = line.and_then(|line| std::str::from_utf8(line).map_err(|_| Overlong)) else {
            parser.refuse();
            continue;
        };
        let Some(request) = parser.line(text) else { continue };
        let (body, errno) = match request {
            Ok(Request::Get) => (render_snapshot(&engine.snapshot()), 0),
            Ok(Request::Set(change)) => match engine.apply(change) {
                Ok(()) => (Zeroizing::default(), 0),
                Err(error) => {
                    tracing::warn!("a change was refused: {error}");
                    (Zeroizing::default(), error.errno())
                }
            },
            Err(error) => {
                tracing::warn!("a request was not understood: {error}");
                (Zeroizing::default(), INVALID)
            }
        };
        lines.stream().write_all(body.as_bytes()).await?;
        let last = format!("errno={}\n\n", -errno);
        lines.stream().write_all(last.as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let rest = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 12345 99";
        for name in ["wgfleet", "a b", "a) S 1 2", "(a)"] {
            assert_eq!(start_time(&format!("42 ({name}) {rest}")), Some("4711"), "{name}");
        }
        assert_eq!(start_time(""), None);
        let own = this_process();
        assert_eq!(own.split_whitespace().count(), 2, "{own}");
    }
}

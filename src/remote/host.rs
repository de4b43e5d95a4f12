//! What a host is to the rest of wgfleet: something that is opened, and that runs the host's script.
//!
//! ssh(1) is one way to it ([`Ssh`](super::Ssh)).

use std::process::ExitStatus;
use std::time::Duration;

use super::{Believe, ObserveRequest, RemoteError};
use crate::model::{Become, HostName, SshTarget};
use crate::observed::ObservedHost;
use crate::sys::FileError;

/// How long one observation may take.
const OBSERVE_LIMIT: Duration = Duration::from_mins(1);

/// The most bytes that the answer to a change may have: some words.
const SHORT_ANSWER: u64 = 1 << 20;

/// Opens hosts.
pub trait Connect: Send + Sync + 'static {
    /// An open host.
    type Host: Host;
    /// The right to change a host; dropped, it makes room for the next.
    type Room: Send;

    /// Opens a host. Each call is a new connection with a login of its own.
    ///
    /// # Errors
    /// [`RemoteError`]: why it cannot be opened.
    fn connect(
        &self,
        name: &HostName,
        target: &SshTarget,
        r#become: Become,
        believe: Believe,
    ) -> impl Future<Output = Result<Self::Host, RemoteError>> + Send;

    /// Waits until a change of a host may begin, so that its confirming connection meets no queue of
    /// others on the way.
    fn room(&self, target: &SshTarget) -> impl Future<Output = Self::Room> + Send;

    /// Keeps for later runs what these connections have told.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be kept.
    fn remember(&self) -> impl Future<Output = Result<(), FileError>> + Send {
        async { Ok(()) }
    }
}

/// An open host: it runs the host's script, one call at a time.
pub trait Host: Send + Sync + 'static {
    /// Runs a verb of the host's script with `stdin` until it ends; its answer may have `most` bytes.
    ///
    /// # Errors
    /// Where the connection breaks or the answer is longer. A failing verb is a [`Reply`].
    fn call(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        most: u64,
    ) -> impl Future<Output = Result<Reply, RemoteError>> + Send;

    /// Whether the connection is still there.
    fn is_awake(&self) -> impl Future<Output = bool> + Send;

    /// Ends the connection.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Runs a verb that answers with some words, for at most `limit`.
    ///
    /// # Errors
    /// As [`Self::call`], and where nothing comes back in time.
    fn run(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> impl Future<Output = Result<Reply, RemoteError>> + Send {
        within(limit, self.call(verb, words, stdin, SHORT_ANSWER))
    }

    /// Observes the host.
    ///
    /// # Errors
    /// [`RemoteError`]; an answer that is not whole counts as none.
    fn observe(
        &self,
        request: &ObserveRequest,
    ) -> impl Future<Output = Result<ObservedHost, RemoteError>> + Send {
        async move {
            let stdin = request.stdin();
            let call = self.call("observe", &[], stdin.as_bytes(), request.most());
            let reply = within(OBSERVE_LIMIT, call).await?;
            if !reply.status.success() {
                let status = reply.status.to_string();
                let said = if reply.stderr.is_empty() { status } else { reply.stderr };
                return Err(RemoteError::Host(said));
            }
            Ok(ObservedHost::read(&reply.stdout, &request.key)?)
        }
    }
}

/// What the host's side said.
#[derive(Debug)]
pub struct Reply {
    /// Its stdout.
    pub stdout: String,
    /// Its stderr, at most a few lines.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// The answer to a call that has so much time.
async fn within(
    limit: Duration,
    call: impl Future<Output = Result<Reply, RemoteError>>,
) -> Result<Reply, RemoteError> {
    let answer = tokio::time::timeout(limit, call).await;
    answer.map_err(|_| RemoteError::Timeout(limit.as_secs()))?
}

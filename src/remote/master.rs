//! One ssh(1) process that holds a connection, for many commands.

use std::io::SeekFrom;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use openssh::Session;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::process::Command;

use super::settings::{HostKeys, words};
use crate::model::SshTarget;
use crate::sys::RunFolder;

/// Seconds after which a master that nobody uses ends by itself: wgfleet may have died.
const IDLE_SECONDS: u64 = 30;

/// The most of what ssh(1) says that is read.
const LOG_LIMIT: u64 = 1 << 18;

/// What a master is started with.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) target: &'a SshTarget,
    /// Configuration file; `None`: the user's and the system's.
    pub(super) config: Option<&'a Path>,
    pub(super) keys: HostKeys,
    /// How long a connection may take to come up.
    pub(super) patience: Duration,
    /// Folder for the folder of the control socket.
    pub(super) control: &'a Path,
}

/// A running master; dropped, it ends.
#[derive(Debug)]
pub(super) struct Master {
    session: Session,
    folder: TempDir,
    is_closed: bool,
}

impl Launch<'_> {
    /// Logs in. The inner error is what ssh(1) said, with the ssh(1) processes of its jump hosts.
    pub(super) async fn start(&self) -> std::io::Result<Result<Master, String>> {
        let folder =
            tempfile::Builder::new().prefix(RunFolder::CONTENT).tempdir_in(self.control)?;
        let (socket, log) = (folder.path().join("master"), folder.path().join("log"));
        let said = tokio::fs::File::create(&log).await?.into_std().await;
        let seconds = self.patience.as_secs().max(1);
        let mut ssh = Command::new("ssh");
        // Beside a master that persists, the ssh(1) processes of jump hosts are silent but for `-v`.
        ssh.args(["-v", "-M", "-f", "-N", "-S"]).arg(&socket);
        ssh.arg("-o").arg(format!("ControlPersist={IDLE_SECONDS}s"));
        ssh.args(["-o", "BatchMode=yes", "-o", "ServerAliveInterval=5"]);
        ssh.arg("-o").arg(format!("ConnectTimeout={seconds}"));
        ssh.arg("-o").arg(format!("StrictHostKeyChecking={}", self.keys.value()));
        if let Some(config) = self.config {
            ssh.arg("-F").arg(config);
        }
        // In parts: what stands at the host's place is never taken for a user, a port or an option.
        ssh.args(words(self.target));
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).kill_on_drop(true);
        // It goes to the background once it has logged in.
        if ssh.status().await?.success() {
            let session = Session::resume_mux(socket.into(), None);
            return Ok(Ok(Master { session, folder, is_closed: false }));
        }
        Ok(Err(last_of(&log).await?))
    }
}

/// The last of a log, whose length is a host's to choose.
async fn last_of(log: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(log).await?;
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_LIMIT))).await?;
    let mut bytes = Vec::new();
    file.take(LOG_LIMIT).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Master {
    /// What runs commands.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Ends it.
    pub(super) async fn close(mut self) {
        self.is_closed = true;
        let socket = self.folder.path().join("master");
        // It ends by its idle limit where it cannot be told to.
        let _ = Session::resume_mux(socket.into(), None).close().await;
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if !self.is_closed {
            let _ = openssh_mux_client::shutdown_mux_master(self.folder.path().join("master"));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn only_the_last_of_a_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut file = tokio::fs::File::create(&log).await.unwrap();
            // As long as a host may make it; it takes no room.
            file.seek(SeekFrom::Start(1 << 40)).await.unwrap();
            file.write_all(b"end").await.unwrap();
            file.flush().await.unwrap();
            let text = last_of(&log).await.unwrap();
            assert!(text.ends_with("\0end") && text.len() == 1 << 18);
        });
    }
}

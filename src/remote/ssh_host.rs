//! A host behind one ssh(1) process that holds the connection, for many commands; the only file that
//! knows openssh.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use openssh::Session;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::log::Log;
use super::settings::{HostKeys, words};
use super::{Host, RemoteError, Reply, shell};
use crate::model::{Become, SshTarget, Untrusted, mask};
use crate::sys::RunFolder;

/// Seconds after which a master that nobody uses ends by itself: wgfleet may have died.
const IDLE_SECONDS: u64 = 30;

/// What a master is started with.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) target: &'a SshTarget,
    pub(super) r#become: Become,
    /// Configuration file; `None`: the user's and the system's.
    pub(super) config: Option<&'a Path>,
    pub(super) keys: HostKeys,
    /// How long a connection may take to come up.
    pub(super) patience: Duration,
    /// Folder for the folder of the control socket.
    pub(super) control: &'a Path,
}

/// A host that ssh(1) has logged in to; dropped, the connection ends.
#[derive(Debug)]
pub struct SshHost {
    session: Session,
    /// Folder of the control socket.
    folder: TempDir,
    r#become: Become,
    is_closed: bool,
}

impl Launch<'_> {
    /// Logs in. The inner error is what ssh(1) said, with the ssh(1) processes of its jump hosts.
    pub(super) async fn start(&self) -> std::io::Result<Result<SshHost, String>> {
        let folder =
            tempfile::Builder::new().prefix(RunFolder::CONTENT).tempdir_in(self.control)?;
        let socket = folder.path().join("master");
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
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut ssh = ssh.spawn()?;
        let log = Log::of(ssh.stderr.take());
        // It goes to the background once it has logged in.
        if ssh.wait().await?.success() {
            let session = Session::resume_mux(socket.into(), None);
            let r#become = self.r#become;
            return Ok(Ok(SshHost { session, folder, r#become, is_closed: false }));
        }
        Ok(Err(log.whole().await))
    }
}

impl Host for SshHost {
    async fn call(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        most: u64,
    ) -> Result<Reply, RemoteError> {
        let script = shell::script(verb);
        let size = script.len().to_string();
        let mut child = self
            .session
            .command("sh")
            .args(["-c", shell::LOADER, "wgfleet", self.r#become.as_str(), &size, verb])
            .args(words)
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped())
            .spawn()
            .await
            .map_err(broken)?;
        let missing = || std::io::Error::other("ssh gave no pipe");
        let mut input = child.stdin().take().ok_or_else(missing)?;
        let mut output = child.stdout().take().ok_or_else(missing)?.take(most + 1);
        let mut errors = child.stderr().take().ok_or_else(missing)?;
        let write = async {
            // A host's side that ends early says why on its own; the broken pipe adds nothing.
            if input.write_all(script.as_bytes()).await.is_ok() {
                let _ = input.write_all(stdin).await;
            }
            drop(input);
            Ok(())
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let read = async {
            output.read_to_end(&mut stdout).await?;
            if stdout.len() as u64 > most {
                // It may go on for ever, so nothing is waited for.
                return Err(RemoteError::TooLong(most));
            }
            Ok(())
        };
        let complain = async {
            (&mut errors).take(64 << 10).read_to_end(&mut stderr).await?;
            // What is not read would hold the host's side up.
            tokio::io::copy(&mut errors, &mut tokio::io::sink()).await?;
            Ok(())
        };
        tokio::try_join!(write, read, complain)?;
        let status = child.wait().await.map_err(broken)?;
        let stderr = clean(&String::from_utf8_lossy(&stderr));
        match shell::answer(stdout) {
            Ok(answer) => Ok(Reply { stdout: text(answer), stderr, status }),
            Err(stdout) => {
                let mut printed = vec![clean(&String::from_utf8_lossy(&stdout)), stderr];
                printed.retain(|text| !text.is_empty());
                Err(RemoteError::Startup(printed.join("; ")))
            }
        }
    }

    async fn is_awake(&self) -> bool {
        self.session.check().await.is_ok()
    }

    async fn close(mut self) {
        self.is_closed = true;
        let socket = self.folder.path().join("master");
        // It ends by its idle limit where it cannot be told to.
        let _ = Session::resume_mux(socket.into(), None).close().await;
    }
}

impl Drop for SshHost {
    fn drop(&mut self) {
        if !self.is_closed {
            let _ = openssh_mux_client::shutdown_mux_master(self.folder.path().join("master"));
        }
    }
}

fn broken(error: openssh::Error) -> RemoteError {
    RemoteError::Broken(error.into())
}

/// Text of any bytes, without a second copy of those that are text already.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Text of a host that can be shown to a person: its last few lines.
fn clean(text: &str) -> String {
    let text = mask(text);
    let shown = |line: &str| Untrusted::new(line.chars().take(300).collect::<String>()).to_string();
    let lines: Vec<String> = text.lines().rev().take(5).map(shown).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

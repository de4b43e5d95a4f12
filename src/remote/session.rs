//! One connection to one host.

use std::process::ExitStatus;
use std::time::Duration;

use openssh::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::master::Master;
use super::shell;
use crate::model::{Become, Untrusted, mask};

/// Why something on a host did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// ssh(1) did not connect; its own words.
    #[error("ssh did not connect: {0}")]
    Connect(Untrusted),
    /// A host key on the way is not known, or not the one that is known; what to run.
    #[error("{0}")]
    HostKey(Untrusted),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] openssh::Error),
    /// Reading or writing the connection failed.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// Nothing came back in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// No private folder for the control sockets can be made.
    #[error("failed to make a private folder for ssh's control sockets")]
    Folder(#[source] std::io::Error),
    /// The host sends more than any host has reason to.
    #[error("the host's answer is longer than {0} bytes")]
    TooLong(u64),
    /// The login shell did not run the script; what it printed instead.
    #[error(
        "the login shell ended before it ran wgfleet's command{}: let `ssh` run `sh -c true` there; \
         startup files such as ~/.bashrc, ~/.zshenv or ~/.cshrc must neither exit nor read their \
         input where the shell is not interactive, and the user needs a shell that takes commands",
        if .0.is_empty() { String::new() } else { format!(" (it printed: {})", .0) }
    )]
    Startup(String),
    /// The host's side failed.
    #[error("the host said: {0}")]
    Host(String),
    /// The host's answer makes no sense.
    #[error("the host's answer makes no sense")]
    Answer(#[from] crate::observed::ObserveError),
}

/// The most bytes that the answer to a change may have: some words.
const SHORT_ANSWER: u64 = 1 << 20;

/// One connection to one host.
#[derive(Debug)]
pub struct Host {
    pub(super) master: Master,
    pub(super) r#become: Become,
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

impl Host {
    /// Runs a verb of the host's script with `stdin`, for at most `limit`.
    ///
    /// # Errors
    /// Where the connection breaks or nothing comes back in time. A failing verb is a [`Reply`].
    pub async fn run(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Reply, RemoteError> {
        self.run_up_to(verb, words, stdin, limit, SHORT_ANSWER).await
    }

    /// The same with an answer of at most `most` bytes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_up_to(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        limit: Duration,
        most: u64,
    ) -> Result<Reply, RemoteError> {
        tokio::time::timeout(limit, self.run_unlimited(verb, words, stdin, most))
            .await
            .map_err(|_| RemoteError::Timeout(limit.as_secs()))?
    }

    async fn run_unlimited(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        most: u64,
    ) -> Result<Reply, RemoteError> {
        let script = shell::script(verb);
        let size = script.len().to_string();
        let mut child = self
            .master
            .session()
            .command("sh")
            .args(["-c", shell::LOADER, "wgfleet", self.r#become.as_str(), &size, verb])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .map_err(RemoteError::Broken)?;
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
        let status = child.wait().await.map_err(RemoteError::Broken)?;
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

    /// Whether the connection's master still runs.
    pub async fn is_awake(&self) -> bool {
        self.master.session().check().await.is_ok()
    }

    /// Ends the connection and its master.
    pub async fn close(self) {
        // The master ends by its idle limit where it cannot be told to.
        self.master.close().await;
    }
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

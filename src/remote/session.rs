//! One connection to one host.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::HOST_SCRIPT;
use crate::model::{Become, SshTarget, Untrusted};

/// Why something on a host did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// ssh(1) did not connect; its own words are the source.
    #[error("ssh did not connect")]
    Connect(#[source] openssh::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] openssh::Error),
    /// Reading or writing the connection failed.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// Nothing came back in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The host's side failed.
    #[error("the host said: {0}")]
    Host(String),
    /// The host's answer makes no sense.
    #[error("the host's answer makes no sense")]
    Answer(#[from] crate::observed::ObserveError),
}

/// How connections are made.
#[derive(Debug)]
pub struct Connector {
    /// Configuration file for ssh(1).
    ssh_config: Option<PathBuf>,
    /// Folder of the control sockets; gone with the connector.
    control: TempDir,
    /// How long a connection may take to come up, and how long a silent one is believed in.
    patience: Duration,
}

/// Seconds after which a master that nobody uses ends by itself: wgfleet may have died.
const IDLE_LIMIT: NonZeroUsize = NonZeroUsize::new(30).unwrap();

/// The longest path of a folder that a control socket fits into: a socket's has at most 108 bytes,
/// and ssh(1) adds to it while it makes one.
const LONGEST_FOLDER: usize = 55;

/// The most bytes that one answer may have.
const ANSWER_LIMIT: u64 = 256 << 20;

/// Becomes root as the host allows, then runs the script. `$1` is the script, the rest its words.
const BECOME_AUTO: &str = r#"if [ "$(id -u)" = 0 ]; then exec sh -c "$1" wgfleet "$@"
elif command -v sudo >/dev/null 2>&1; then exec sudo -n sh -c "$1" wgfleet "$@"
elif command -v doas >/dev/null 2>&1; then exec doas -n sh -c "$1" wgfleet "$@"
else echo "the login user is not root, and there is neither sudo nor doas" >&2; exit 77; fi"#;
const BECOME_NONE: &str = r#"exec sh -c "$1" wgfleet "$@""#;
const BECOME_SUDO: &str = r#"if command -v sudo >/dev/null 2>&1; then exec sudo -n sh -c "$1" wgfleet "$@"
else echo "the inventory says \`become: sudo\`, and there is no sudo" >&2; exit 77; fi"#;
const BECOME_DOAS: &str = r#"if command -v doas >/dev/null 2>&1; then exec doas -n sh -c "$1" wgfleet "$@"
else echo "the inventory says \`become: doas\`, and there is no doas" >&2; exit 77; fi"#;

impl Connector {
    /// Prepares connections; `ssh_config` replaces ~/.ssh/config.
    ///
    /// # Errors
    /// Where no private folder for the control sockets can be made.
    pub fn new(ssh_config: Option<PathBuf>, patience: Duration) -> Result<Self, RemoteError> {
        let mut named = tempfile::Builder::new();
        let mut control = named.prefix("wgfleet-").tempdir()?;
        if control.path().as_os_str().len() > LONGEST_FOLDER {
            control = named.tempdir_in("/tmp")?;
        }
        Ok(Self { ssh_config, control, patience })
    }

    /// Connects to a host. Each call is a new connection with a login of its own.
    ///
    /// # Errors
    /// [`RemoteError::Connect`] with ssh's own words, or [`RemoteError::Timeout`].
    pub async fn connect(&self, target: &SshTarget, r#become: Become) -> Result<Host, RemoteError> {
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .control_directory(self.control.path())
            .control_persist(ControlPersist::IdleFor(IDLE_LIMIT))
            .connect_timeout(self.patience)
            .server_alive_interval(Duration::from_secs(5));
        if let Some(config) = &self.ssh_config {
            builder.config_file(config);
        }
        // In parts: what stands at the host's place is never taken for a user, a port or an option.
        if let Some(user) = target.user() {
            builder.user(user.to_owned());
        }
        if let Some(port) = target.port() {
            builder.port(port.get());
        }
        let session = tokio::time::timeout(self.patience * 3, builder.connect_mux(target.host()))
            .await
            .map_err(|_| RemoteError::Timeout((self.patience * 3).as_secs()))?
            .map_err(RemoteError::Connect)?;
        Ok(Host { session, r#become })
    }
}

/// One connection to one host.
#[derive(Debug)]
pub struct Host {
    session: Session,
    r#become: Become,
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
        tokio::time::timeout(limit, self.run_unlimited(verb, words, stdin))
            .await
            .map_err(|_| RemoteError::Timeout(limit.as_secs()))?
    }

    async fn run_unlimited(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
    ) -> Result<Reply, RemoteError> {
        let wrapper = match self.r#become {
            Become::Auto => BECOME_AUTO,
            Become::None => BECOME_NONE,
            Become::Sudo => BECOME_SUDO,
            Become::Doas => BECOME_DOAS,
        };
        let mut child = self
            .session
            .command("sh")
            .args(["-c", wrapper, "wgfleet", HOST_SCRIPT, verb])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .map_err(RemoteError::Broken)?;
        let missing = || std::io::Error::other("ssh gave no pipe");
        let mut input = child.stdin().take().ok_or_else(missing)?;
        let mut output = child.stdout().take().ok_or_else(missing)?.take(ANSWER_LIMIT);
        let mut errors = child.stderr().take().ok_or_else(missing)?.take(64 << 10);
        let write = async {
            // A host's side that ends early says why on its own; the broken pipe adds nothing.
            let _ = input.write_all(stdin).await;
            drop(input);
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ((), read, complained) =
            tokio::join!(write, output.read_to_end(&mut stdout), errors.read_to_end(&mut stderr));
        read?;
        complained?;
        let status = child.wait().await.map_err(RemoteError::Broken)?;
        Ok(Reply { stdout: text(stdout), stderr: clean(&String::from_utf8_lossy(&stderr)), status })
    }

    /// Whether the connection's master still runs.
    pub async fn is_awake(&self) -> bool {
        self.session.check().await.is_ok()
    }

    /// Ends the connection and its master.
    pub async fn close(self) {
        // The master ends by its idle limit where it cannot be told to.
        let _ = self.session.close().await;
    }
}

/// Text of any bytes, without a second copy of those that are text already.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Text of a host that can be shown to a person: its last few lines.
fn clean(text: &str) -> String {
    let shown = |line: &str| Untrusted::new(line.chars().take(300).collect::<String>()).to_string();
    let lines: Vec<String> = text.lines().rev().take(5).map(shown).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

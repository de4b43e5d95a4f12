//! An inventory in a folder of its own, with a vault, and the lab that is its twin.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::lab::{Twin, WGFLEET};

/// A fleet for the length of one test.
#[derive(Debug)]
pub(crate) struct Home {
    /// Its lab.
    pub(crate) lab: Twin,
    folder: TempDir,
}

/// How a run of wgfleet ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; -1 where a signal ended it.
    pub(crate) code: i32,
    /// What it printed on stdout.
    pub(crate) stdout: String,
    /// What it printed on stderr.
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Ran {
    /// Everything that it said, having ended with `code`.
    #[track_caller]
    pub(crate) fn ends(self, code: i32, args: &[&str]) -> String {
        let text = self.stdout + &self.stderr;
        assert_eq!(self.code, code, "wgfleet {args:?} said:\n{text}");
        text
    }

    /// Its JSON on stdout, having ended with `code`.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        super::documents::document(self.stdout.as_bytes())
    }
}

impl Home {
    /// Raises the lab of an inventory and makes all keys; `options` go to `wgfleet lab up`.
    pub(crate) fn up(inventory: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fleet.yaml"), inventory).unwrap();
        Self::of(folder, "fleet.yaml", options)
    }

    /// The same in a lab that has more than the inventory says: `world`.
    pub(crate) fn within(world: &str, inventory: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("world.yaml"), world).unwrap();
        fs::write(folder.path().join("fleet.yaml"), inventory).unwrap();
        Self::of(folder, "world.yaml", options)
    }

    /// The same of a folder that has an inventory; the lab is that of `file`.
    pub(crate) fn of(folder: TempDir, file: &str, options: &[&str]) -> Self {
        let home = Self { lab: Twin::up(&folder.path().join(file), options), folder };
        home.run(&["vault", "init"]).ends(0, &["vault", "init"]);
        home.run(&["vault", "keygen"]).ends(0, &["vault", "keygen"]);
        home
    }

    /// The folder of the inventory.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `wgfleet` against this fleet, with nothing of the user's.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_with(self.path(), &self.lab.ssh_config(), args)
    }

    /// The same with the inventory of another folder, or another ssh configuration.
    pub(crate) fn command_with(&self, folder: &Path, ssh_config: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(WGFLEET);
        command.arg("--file").arg(folder).arg("--ssh-config").arg(ssh_config).args(args);
        command.stdin(Stdio::null()).env("XDG_CONFIG_HOME", self.path().join("config"));
        command.env("XDG_STATE_HOME", self.path().join("state"));
        for name in ["WGFLEET_IDENTITY", "WGFLEET_SSH_CONFIG", "WGFLEET_BINARIES"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs wgfleet.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Waits until shell text succeeds in a node.
    pub(crate) fn until(&self, node: &str, limit: Duration, script: &str) {
        let end = Instant::now() + limit;
        loop {
            let output = self.lab.exec(node, &["sh", "-c", script]);
            if output.status.success() {
                return;
            }
            assert!(Instant::now() < end, "{node} within {limit:?}: {script}: {output:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until an address answers; that may take a handshake that the other end begins.
    pub(crate) fn reaches(&self, from: &str, to: &str) {
        let script = format!("ping -n -c 1 -W 1 {to} >/dev/null");
        self.until(from, Duration::from_secs(40), &script);
    }
}

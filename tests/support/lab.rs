//! A lab for the length of one test.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The binary under test.
pub(crate) const WGFLEET: &str = env!("CARGO_BIN_EXE_wgfleet");

/// A lab that is taken down when the guard is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Twin {
    name: String,
    inventory: Option<PathBuf>,
}

/// How many of a ping's packets came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ping {
    /// Packets that were sent.
    pub(crate) sent: u32,
    /// Answers that arrived.
    pub(crate) received: u32,
}

impl Ping {
    /// Packets without an answer.
    pub(crate) fn lost(self) -> u32 {
        self.sent - self.received
    }

    fn parse(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains("packets transmitted"));
        let line = line.unwrap_or_else(|| panic!("ping said {output:?}"));
        let mut numbers = line.split(", ").map(|part| {
            part.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
        });
        let (sent, received) = (numbers.next().unwrap(), numbers.next().unwrap());
        Self { sent, received }
    }
}

/// A ping that runs until it is asked for its result.
#[derive(Debug)]
pub(crate) struct RunningPing<'a> {
    twin: &'a Twin,
    node: String,
    pid: String,
    child: std::process::Child,
    out: std::io::BufReader<std::process::ChildStdout>,
}

impl RunningPing<'_> {
    /// Ends the ping and counts.
    pub(crate) fn finish(mut self) -> Ping {
        self.twin.ok(&self.node, &["kill", "-INT", &self.pid]);
        let mut stdout = Vec::new();
        std::io::Read::read_to_end(&mut self.out, &mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        let ping = Ping::parse(&Output { status, stdout: stdout.clone(), stderr: Vec::new() });
        // The answers to the last few were still on their way when it was told to end.
        let said = String::from_utf8_lossy(&stdout);
        let numbers = said.split("icmp_seq=").skip(1).filter_map(|rest| rest.split(' ').next());
        let last: u32 = numbers.filter_map(|number| number.parse().ok()).max().unwrap_or(0);
        let under_way = ping.sent.saturating_sub(last);
        if under_way <= 3 { Ping { sent: last, ..ping } } else { ping }
    }
}

impl Twin {
    /// Raises the twin of an inventory; `options` go to `wgfleet lab up`.
    ///
    /// A machine on which labs cannot run fails the test with what is missing.
    pub(crate) fn up(inventory: &Path, options: &[&str]) -> Self {
        let mut args = vec!["--file", inventory.to_str().unwrap()];
        args.extend(["lab", "up"]);
        args.extend(options);
        Self::raise(Some(inventory.to_owned()), &args)
    }

    /// Raises a lab from a saved specification.
    pub(crate) fn of_spec(spec: &Path, options: &[&str]) -> Self {
        let mut args = vec!["lab", "up", "--spec", spec.to_str().unwrap()];
        args.extend(options);
        Self::raise(None, &args)
    }

    /// A name that no other test uses, not even one that runs at the same time.
    pub(crate) fn unique_name() -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    fn raise(inventory: Option<PathBuf>, args: &[&str]) -> Self {
        let twin = Self { name: Self::unique_name(), inventory };
        let output =
            Command::new(WGFLEET).args(args).args(["--name", &twin.name]).output().unwrap();
        assert!(output.status.success(), "no lab: {}", String::from_utf8_lossy(&output.stderr));
        twin
    }

    /// A guard for a lab that the test raises itself.
    pub(crate) fn guard(name: String) -> Self {
        Self { name, inventory: None }
    }

    /// The lab's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The configuration that makes ssh(1) reach the hosts.
    pub(crate) fn ssh_config(&self) -> PathBuf {
        Path::new(wgfleet::lab::STATE_ROOT).join(&self.name).join("ssh_config")
    }

    /// Runs `wgfleet` against the lab.
    pub(crate) fn wgfleet(&self, args: &[&str]) -> Output {
        let mut command = Command::new(WGFLEET);
        if let Some(inventory) = &self.inventory {
            command.arg("--file").arg(inventory);
        }
        command.arg("--ssh-config").arg(self.ssh_config()).args(args).output().unwrap()
    }

    /// Runs `wgfleet lab VERB … ` on this lab and expects it to succeed.
    pub(crate) fn lab(&self, verb: &str, args: &[&str]) {
        let output = self.command(verb, args).output().unwrap();
        assert!(output.status.success(), "lab {verb} {args:?}: {output:?}");
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(WGFLEET);
        command.args(["lab", verb, "--name", &self.name]).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command in a node.
    pub(crate) fn exec(&self, node: &str, argv: &[&str]) -> Output {
        self.command("exec", &[node, "--"]).args(argv).output().unwrap()
    }

    /// Runs a command in a node, expects it to succeed, and returns what it printed.
    pub(crate) fn ok(&self, node: &str, argv: &[&str]) -> String {
        let output = self.exec(node, argv);
        assert!(output.status.success(), "{argv:?} on {node}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command in a node and leaves it running.
    pub(crate) fn spawn(&self, node: &str, argv: &[&str]) -> std::process::Child {
        let mut command = self.command("exec", &[node, "--"]);
        command.args(argv).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command on a host through ssh(1).
    pub(crate) fn ssh(&self, target: &str, command: &str) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.ssh_config()).args([target, command]).stdin(Stdio::null());
        ssh.output().unwrap()
    }

    /// Sends `count` pings, one each `interval` seconds, and waits a second for the last answer.
    pub(crate) fn ping(&self, from: &str, to: &str, count: u32, interval: f32) -> Ping {
        let (count, interval) = (count.to_string(), interval.to_string());
        Ping::parse(&self.exec(from, &["ping", "-c", &count, "-i", &interval, "-W", "1", to]))
    }

    /// Begins to ping, one packet each `interval` seconds.
    pub(crate) fn ping_on(&self, from: &str, to: &str, interval: f32) -> RunningPing<'_> {
        let script = "echo $$; exec ping -i \"$1\" \"$2\"";
        let interval = interval.to_string();
        let mut child = self.spawn(from, &["sh", "-c", script, "ping", &interval, to]);
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut pid = String::new();
        std::io::BufRead::read_line(&mut out, &mut pid).unwrap();
        let (node, pid) = (from.to_owned(), pid.trim().to_owned());
        RunningPing { twin: self, node, pid, child, out }
    }

    /// Takes the lab down and says what that printed.
    pub(crate) fn down(&self) -> Output {
        self.command("down", &[]).output().unwrap()
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let output = self.down();
        // A second panic would hide the first one.
        let fine = output.status.success() || std::thread::panicking();
        assert!(fine, "lab down: {}", String::from_utf8_lossy(&output.stderr));
    }
}

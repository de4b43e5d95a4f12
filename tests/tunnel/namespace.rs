//! Network namespaces that a test makes for itself, with everything in them, and removes.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The binary under test.
pub(crate) const WGFLEET: &str = env!("CARGO_BIN_EXE_wgfleet");

/// Fails with what is missing rather than somewhere in the middle.
pub(crate) fn require_root() {
    let uid = fs::metadata("/proc/self").map(|file| std::os::unix::fs::MetadataExt::uid(&file));
    assert_eq!(uid.ok(), Some(0), "this test needs root: it makes network namespaces");
    assert!(Path::new("/dev/net/tun").exists(), "this test needs /dev/net/tun");
    for tool in ["ip", "wg", "wg-quick", "ping", "wireguard-go", "nft"] {
        let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(tool).exists());
        assert!(found, "this test needs {tool}; `make test` installs it");
    }
}

/// A name that no other test of this machine uses; the sockets of all tunnels share a folder.
pub(crate) fn interface() -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("wt{}x{number}", std::process::id() % 10_000_000)
}

/// Runs a program and returns what it printed; anything but success fails the test.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the output is text")
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A namespace with one interface `eth` towards another; both are gone when it is dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wgft-{}-{number}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self { name };
        namespace.run("ip", ["link", "set", "lo", "up"]);
        namespace
    }

    /// Two namespaces with a cable between: 192.0.2.1 and .2, `2001:db8::1` and `::2`.
    pub(crate) fn pair() -> (Self, Self) {
        let (a, b) = (Self::new(), Self::new());
        a.cable("eth", &b, "eth");
        for (side, host) in [(&a, "1"), (&b, "2")] {
            side.address(&format!("192.0.2.{host}/24"), "eth");
            side.address(&format!("2001:db8::{host}/64"), "eth");
        }
        (a, b)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        words: impl IntoIterator<Item = S>,
    ) -> String {
        run(self.command(program).args(words))
    }

    pub(crate) fn fails<S: AsRef<OsStr>>(
        &self,
        program: &str,
        words: impl IntoIterator<Item = S>,
    ) -> String {
        let mut command = self.command(program);
        let output = output(command.args(words));
        assert!(!output.status.success(), "{command:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The processes in it.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let listed = output(Command::new("ip").args(["netns", "pids", &self.name]));
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    /// Waits until nothing runs in it.
    pub(crate) fn wait_until_empty(&self) {
        until("the processes end", || self.pids().is_empty());
    }

    /// One ping is answered within two seconds: also a packet that waits for a handshake.
    pub(crate) fn ping_once(&self, to: &str) {
        self.run("ping", ["-c", "1", "-W", "2", to]);
    }

    /// One ping is not answered.
    pub(crate) fn ping_fails(&self, to: &str) {
        self.fails("ping", ["-c", "1", "-W", "1", to]);
    }

    /// Starts a thread of this program in the namespace; its sockets stay there.
    pub(crate) fn start_inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = format!("/run/netns/{}", self.name);
        let namespace = fs::File::open(path).expect("the namespace is there");
        std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).expect("root may enter it");
            work()
        })
    }

    /// The same, and waits for it.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start_inside(work).join().expect("it does not panic")
    }

    /// Runs a line of sh(1).
    pub(crate) fn sh(&self, line: &str) -> String {
        self.run("sh", ["-c", line])
    }

    /// A file of /proc/sys, of which each namespace has its own below net.
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        self.sh(&format!("echo {value} > /proc/sys/{key}"));
    }

    /// A cable between two namespaces: an interface of that name at each end, which is up.
    pub(crate) fn cable(&self, name: &str, other: &Self, others: &str) {
        let words = ["link", "add", name, "netns", &self.name, "type", "veth", "peer", "name"];
        run(Command::new("ip").args(words).args([others, "netns", &other.name]));
        self.run("ip", ["link", "set", name, "up"]);
        other.run("ip", ["link", "set", others, "up"]);
    }

    /// Adds an address to an interface; IPv6 ones can be used at once.
    pub(crate) fn address(&self, address: &str, interface: &str) {
        let words = ["address", "add", address, "dev", interface];
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        self.run("ip", words.iter().chain(nodad));
    }

    /// Removes an address from an interface.
    pub(crate) fn forget_address(&self, address: &str, interface: &str) {
        self.run("ip", ["address", "delete", address, "dev", interface]);
    }

    pub(crate) fn ping(&self, to: &str) {
        let words = ["-c", "3", "-i", "0.05", "-W", "2", to];
        self.run("ping", words);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Only this test has started anything in its namespace.
        for pid in self.pids() {
            end(pid, rustix::process::Signal::TERM);
        }
        // A daemon that ends by itself takes its socket with it.
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.pids().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in self.pids() {
            end(pid, rustix::process::Signal::KILL);
        }
        let _ = output(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}

/// Sends a signal to a process of this test; it may have ended meanwhile.
pub(crate) fn end(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Waits for what has to come; long, for a machine that is emulated or busy.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder for key files.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file in our own folder");
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A key pair, made by the real wg(8).
pub(crate) struct Keys {
    pub(crate) private: String,
    pub(crate) public: String,
}

impl Keys {
    pub(crate) fn new(folder: &Folder) -> Self {
        let private = run(Command::new("wg").arg("genkey")).trim().to_owned();
        let file = folder.write("pubkey-input", &private);
        let file = fs::File::open(file).expect("it was just written");
        let output = Command::new("wg").arg("pubkey").stdin(file).output().expect("wg runs");
        let public = String::from_utf8(output.stdout).expect("base64").trim().to_owned();
        Self { private, public }
    }
}

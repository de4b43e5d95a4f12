//! Namespaces with a cable between them, and a tunnel at each end.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::candidate::Candidate;

static NEXT: AtomicU32 = AtomicU32::new(0);
/// Namespaces that are there: for whoever is interrupted.
static THERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Removes everything when the run is interrupted; a panic does it by itself.
pub(crate) fn clean_up_on_signals() {
    std::thread::spawn(|| {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut interrupted = signal(SignalKind::interrupt()).expect("signals");
            let mut terminated = signal(SignalKind::terminate()).expect("signals");
            tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
        });
        let there = THERE.lock().map(|there| there.clone()).unwrap_or_default();
        for name in &there {
            remove(name);
        }
        std::process::exit(130);
    });
}

fn remove(name: &str) {
    // Only we have started anything in it.
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        let deadline = Instant::now() + Duration::from_secs(2);
        for pid in pids(name) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        while !pids(name).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn pids(name: &str) -> Vec<i32> {
    let listed = Command::new("ip").args(["netns", "pids", name]).output();
    let listed = listed.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&listed).lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Runs a program and returns what it printed; anything but success ends the benchmark.
fn run(command: &mut Command) -> Vec<u8> {
    let output: Output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{complaint}", output.status);
    output.stdout
}

/// A namespace, gone with everything in it when this is dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wgfb-{}-{number}", std::process::id());
        if let Ok(mut there) = THERE.lock() {
            there.push(name.clone());
        }
        let namespace = Self(name);
        run(Command::new("ip").args(["netns", "add", &namespace.0]));
        namespace.run("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(words);
        command
    }

    pub(crate) fn run(&self, program: &str, words: &[&str]) -> String {
        let printed = run(&mut self.command(program, words));
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Makes something in the namespace, such as a socket, which stays there.
    pub(crate) fn inside<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.0);
        let namespace = fs::File::open(path).expect("the namespace is there");
        let enter = move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).expect("root may enter it");
            make()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().expect("it does not panic"))
    }

    /// A cable to another namespace, with an address at each end.
    pub(crate) fn cable(&self, other: &Self, name: &str, [here, there]: [&str; 2]) {
        let words = ["link", "add", name, "netns", &self.0, "type", "veth", "peer", "name", name];
        run(Command::new("ip").args(words).args(["netns", &other.0]));
        for (end, address) in [(self, here), (other, there)] {
            end.run("ip", &["address", "add", address, "dev", name]);
            end.run("ip", &["link", "set", name, "up"]);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.0);
        if let Ok(mut there) = THERE.lock() {
            there.retain(|name| *name != self.0);
        }
    }
}

/// A process that ends when this is dropped.
pub(crate) struct Background(Child);

impl Background {
    pub(crate) fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A tunnel in a namespace of its own.
pub(crate) struct End {
    pub(crate) namespace: Namespace,
    pub(crate) interface: String,
    /// The process that is the tunnel.
    pid: i32,
    number: u8,
    keys: (String, String),
}

impl End {
    /// Starts the tunnel; it has a key and a port.
    pub(crate) fn start(candidate: &Candidate, number: u8) -> Self {
        let namespace = Namespace::new();
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let interface = format!("wb{}x{serial}", std::process::id() % 1_000_000);
        let program = candidate.program.to_string_lossy().into_owned();
        let words = [candidate.words, &[&*interface]].concat();
        let mut command = namespace.command(&program, &words);
        // What they log goes nowhere.
        command.env("WG_LOG_FILE", "/dev/null").env("LOG_LEVEL", "silent");
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
        let deadline = Instant::now() + Duration::from_secs(5);
        while namespace
            .command("wg", &["show", &interface])
            .output()
            .is_ok_and(|o| !o.status.success())
        {
            assert!(Instant::now() < deadline, "{program} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = *pids(&namespace.0).first().expect("the tunnel runs");
        let private = String::from_utf8(run(Command::new("wg").arg("genkey"))).expect("base64");
        let public = with_input(Command::new("wg").arg("pubkey"), &private);
        let keys = (private.trim().to_owned(), public.trim().to_owned());
        let end = Self { namespace, interface, pid, number, keys };
        let port = format!("5182{number}");
        let set = ["set", &end.interface, "listen-port", &port, "private-key", "/dev/stdin"];
        with_input(&mut end.namespace.command("wg", &set), &end.keys.0);
        end
    }

    fn address(&self, net: &str) -> String {
        format!("{net}.{}", self.number)
    }

    /// The UDP port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        51820 + u16::from(self.number)
    }

    /// The public key, in base64.
    pub(crate) fn public(&self) -> &str {
        &self.keys.1
    }

    fn knows(&self, other: &Self) {
        let endpoint = format!("{}:5182{}", other.address("192.0.2"), other.number);
        let allowed = format!("{}/32", other.address("10.9.0"));
        let words = ["set", &self.interface, "peer", &other.keys.1, "endpoint", &endpoint];
        self.namespace.run("wg", &[&words[..], &["allowed-ips", &allowed]].concat());
        let address = format!("{}/24", self.address("10.9.0"));
        self.namespace.run("ip", &["address", "add", &address, "dev", &self.interface]);
        let mtu = ["link", "set", "dev", &self.interface, "mtu", "1420", "up"];
        self.namespace.run("ip", &mtu);
    }

    /// `wg setconf` of so many peers; gives the seconds it took.
    pub(crate) fn set_peers(&self, count: u32) -> f64 {
        let mut text = format!("[Interface]\nPrivateKey = {}\nListenPort = 51830\n", self.keys.0);
        for peer in 0..count {
            let [_, a, b, c] = peer.to_be_bytes();
            let _ = write!(
                text,
                "[Peer]\nPublicKey = {}\nAllowedIPs = 10.{a}.{b}.{c}/32\n\
                 Endpoint = 192.0.2.9:{}\n",
                key(peer),
                1024 + peer % 60000
            );
        }
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("our own file");
        let path = file.path().to_string_lossy().into_owned();
        let start = Instant::now();
        self.namespace.run("wg", &["setconf", &self.interface, &path]);
        start.elapsed().as_secs_f64()
    }

    /// A line of /proc/PID/status, in kB.
    fn status(&self, field: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    }

    /// Resident memory, in MB.
    pub(crate) fn memory(&self) -> f64 {
        self.status("VmRSS") / 1024.0
    }

    /// The most that it ever was, in MB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM") / 1024.0
    }

    /// CPU seconds, also those that the kernel spent for it.
    pub(crate) fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: Vec<f64> = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|number| number.parse().ok())
            .collect();
        // USER_HZ is 100 on every architecture that Linux runs on today.
        ticks.iter().sum::<f64>() / 100.0
    }
}

/// Any 32 bytes are a public key.
fn key(number: u32) -> String {
    use base64::Engine as _;
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn with_input(command: &mut Command, input: &str) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("wg reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("wg ends");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two ends that know one another; the session is there.
pub(crate) struct Pair {
    pub(crate) a: End,
    pub(crate) b: End,
}

impl Pair {
    pub(crate) fn new(candidate: &Candidate) -> Self {
        let (a, b) = (End::start(candidate, 1), End::start(candidate, 2));
        a.namespace.cable(&b.namespace, "eth", ["192.0.2.1/24", "192.0.2.2/24"]);
        a.knows(&b);
        b.knows(&a);
        a.namespace.run("ping", &["-c", "3", "-i", "0.2", "-w", "10", "10.9.0.2"]);
        Self { a, b }
    }

    pub(crate) fn cpu(&self) -> f64 {
        self.a.cpu() + self.b.cpu()
    }
}

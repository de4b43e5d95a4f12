//! One end of a tunnel, on whichever implementation.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::namespace::{Folder, Keys, Namespace, WGFLEET, interface, output, run, until};

/// What runs the WireGuard side of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Ours,
    /// Debian's.
    WireguardGo,
    /// `gotatun-cli` 0.10.2 of crates.io.
    Gotatun,
    /// `boringtun-cli` 0.7.1 of crates.io.
    Boringtun,
    /// The kernel's, where it has one (tests/kernel).
    Kernel,
}

impl Backend {
    /// The program, and what comes before the name of the interface.
    fn program(self) -> (PathBuf, &'static [&'static str]) {
        // Both ask for a login name otherwise, which a service has not.
        const KEEP: &str = "--disable-drop-privileges";
        match self {
            Self::Ours => (WGFLEET.into(), &["tunnel"]),
            Self::WireguardGo => ("wireguard-go".into(), &[]),
            Self::Gotatun => (installed("gotatun"), &[KEEP]),
            // Its connected sockets keep the source address that they began with.
            Self::Boringtun => (installed("boringtun-cli"), &[KEEP, "--disable-connected-udp"]),
            Self::Kernel => ("sh".into(), &["-c", "ip link add $0 type wireguard"]),
        }
    }

    /// Starts the tunnel of an interface; it answers when this returns.
    pub(crate) fn run(self, namespace: &Namespace, interface: &str) {
        let (program, words) = self.program();
        let mut command = namespace.command(&program.to_string_lossy());
        command.args(words).arg(interface);
        // What they log goes nowhere; a pipe would stay open for as long as they run.
        command.env("WG_LOG_FILE", "/dev/null").env("LOG_LEVEL", "silent");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
        until("the tunnel answers", || {
            output(namespace.command("wg").args(["show", interface])).status.success()
        });
    }
}

/// Where `scripts/peers.sh` installs the ones of crates.io.
fn installed(program: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let path = target.join("tools/peers/bin").join(program);
    assert!(path.exists(), "{} is missing: run scripts/peers.sh", path.display());
    path
}

/// One end of a tunnel. Its number is part of its addresses, and each ten are a tunnel.
pub(crate) struct End {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) interface: String,
    pub(crate) keys: Keys,
    pub(crate) number: u8,
}

impl End {
    pub(crate) fn start(
        namespace: impl Into<Arc<Namespace>>,
        backend: Backend,
        folder: &Folder,
        number: u8,
    ) -> Self {
        let (namespace, interface) = (namespace.into(), interface());
        backend.run(&namespace, &interface);
        let keys = Keys::new(folder);
        let end = Self { namespace, interface, keys, number };
        let file = folder.write("private", &end.keys.private);
        end.set(&["private-key", &file.to_string_lossy(), "listen-port", &end.port()]);
        for address in [end.inner() + "/24", end.inner6() + "/64"] {
            end.namespace.address(&address, &end.interface);
        }
        end.namespace.run("ip", ["link", "set", "dev", &end.interface, "up"]);
        end
    }

    pub(crate) fn port(&self) -> String {
        format!("{}", 51820 + u32::from(self.number))
    }

    pub(crate) fn set(&self, words: &[&str]) {
        self.namespace.run("wg", ["set", &self.interface].iter().chain(words));
    }

    pub(crate) fn knows(&self, other: &Self, outer: Option<&str>, psk: &Path) {
        let allowed = format!("{}/32,{}/128", other.inner(), other.inner6());
        let psk = psk.to_string_lossy();
        let mut words = vec!["peer", &other.keys.public, "preshared-key", &psk];
        words.extend(["allowed-ips", &allowed]);
        let endpoint = outer.map(|outer| format!("{outer}:{}", other.port()));
        if let Some(endpoint) = &endpoint {
            words.extend(["endpoint", endpoint]);
        }
        self.set(&words);
    }

    /// Speaks to the other end there from now on.
    pub(crate) fn calls(&self, other: &Self, endpoint: &str) {
        self.set(&["peer", &other.keys.public, "endpoint", endpoint]);
    }

    pub(crate) fn show(&self, field: &str) -> String {
        self.namespace.run("wg", ["show", &self.interface, field])
    }

    pub(crate) fn dump(&self) -> String {
        self.show("dump")
    }

    /// A column of `wg show IF FIELD` for the other end.
    fn column(&self, field: &str, other: &Self, column: usize) -> String {
        let shown = self.show(field);
        let line = shown.lines().find(|line| line.starts_with(&other.keys.public));
        let line = line.unwrap_or_else(|| panic!("no such peer: {shown}"));
        line.split('\t').nth(column).unwrap_or_default().to_owned()
    }

    /// Where this end sends what is for the other.
    pub(crate) fn endpoint_of(&self, other: &Self) -> String {
        self.column("endpoints", other, 1)
    }

    /// Bytes received from the other end, and sent to it.
    pub(crate) fn transfer_of(&self, other: &Self) -> (u64, u64) {
        let number = |column| self.column("transfer", other, column).parse().expect("a number");
        (number(1), number(2))
    }

    /// When the last handshake was complete, in seconds since the epoch.
    pub(crate) fn handshake_of(&self, other: &Self) -> u64 {
        self.column("latest-handshakes", other, 1).parse().expect("a number")
    }

    /// The address of this end inside the tunnel.
    pub(crate) fn inner(&self) -> String {
        format!("10.{}.0.{}", 9 + self.number / 10, self.number)
    }

    /// The IPv6 address of this end inside the tunnel.
    pub(crate) fn inner6(&self) -> String {
        format!("fd{}::{}", 99 - self.number / 10, self.number)
    }

    /// One ping each way is answered, the first from here.
    pub(crate) fn speaks_with(&self, other: &Self) {
        self.namespace.ping_once(&other.inner());
        other.namespace.ping_once(&self.inner());
    }
}

/// Two ends with a cable between; the first knows where the second is.
pub(crate) fn tunnel(a: Backend, b: Backend, outer: &str, folder: &Folder) -> (End, End) {
    let (left, right) = Namespace::pair();
    let a = End::start(left, a, folder, 1);
    let b = End::start(right, b, folder, 2);
    let psk = folder.write("psk", &run(Command::new("wg").arg("genpsk")));
    a.knows(&b, Some(outer), &psk);
    b.knows(&a, None, &psk);
    (a, b)
}

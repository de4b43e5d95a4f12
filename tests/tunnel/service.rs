//! The tunnel as a service: what it may still do, what it tells its manager, and what it survives.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::namespace::{Folder, Keys, Namespace, WGFLEET, end, interface, require_root, until};
use crate::{Backend, tunnel};

/// `CAP_NET_ADMIN` and `CAP_NET_BIND_SERVICE`.
const KEPT: &str = "0000000000001400";

/// The process of the only tunnel in a namespace.
fn daemon(namespace: &Namespace) -> u32 {
    let pids = namespace.pids();
    assert_eq!(pids.len(), 1, "one tunnel and nothing else runs there");
    pids[0]
}

/// Expects that no thread of a process can do more than it has to; gives their names.
fn is_confined(pid: u32) -> Vec<String> {
    let mut names = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("it runs") {
        let path = thread.expect("it runs").path();
        // A socket's thread may just have ended.
        let Ok(text) = fs::read_to_string(path.join("status")) else { continue };
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let expected = [
            ("CapInh", "0000000000000000"),
            ("CapPrm", KEPT),
            ("CapEff", KEPT),
            ("CapBnd", KEPT),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ];
        for (field, value) in expected {
            assert_eq!(fields.get(field), Some(&value), "{field} of {}", fields["Name"]);
        }
        names.push(fields["Name"].to_owned());
    }
    names.sort();
    names
}

#[test]
fn every_thread_keeps_only_what_new_sockets_need() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let pid = daemon(&a.namespace);
    let names = is_confined(pid);
    for name in ["wgfleet", "tun", "udp", "timers", "handshakes", "link"] {
        assert!(names.iter().any(|own| own == name), "{name} in {names:?}");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    let root = fs::read_link(format!("/proc/{pid}/root")).expect("we are root");
    assert_eq!(root, Path::new("/run/wireguard"));

    // Other sockets: of a privileged port, with a mark. The peer follows by itself.
    for port in ["443", "51", "40123"] {
        a.set(&["listen-port", port]);
        a.namespace.ping("10.9.0.2");
        let endpoint = b.namespace.run("wg", ["show", &b.interface, "endpoints"]);
        assert!(endpoint.trim_end().ends_with(&format!(":{port}")), "{endpoint}");
    }
    let rule = ["rule", "add", "fwmark", "0x77", "blackhole"];
    a.namespace.run("ip", rule);
    a.set(&["fwmark", "0x77"]);
    a.namespace.fails("ping", ["-c", "2", "-i", "0.1", "-W", "1", "10.9.0.2"]);
    a.set(&["fwmark", "0x78"]);
    a.namespace.ping("10.9.0.2");
    a.set(&["listen-port", "444"]);
    a.namespace.ping("10.9.0.2");
    // UAPI, both ways, with everything that it has.
    let private = folder.write("next", &Keys::new(&folder).private);
    a.set(&["private-key", &private.to_string_lossy()]);
    let conf = folder.write("now", &a.namespace.run("wg", ["showconf", &a.interface]));
    a.namespace.run("wg", ["setconf", &a.interface, &conf.to_string_lossy()]);
    a.set(&["peer", &b.keys.public, "remove"]);
    assert!(!a.dump().contains(&b.keys.public));
    let names = is_confined(pid);
    assert!(names.iter().any(|own| own == "udp"), "{names:?}");

    let socket = format!("/var/run/wireguard/{}.sock", a.interface);
    a.namespace.run("ip", ["link", "delete", "dev", &a.interface]);
    a.namespace.wait_until_empty();
    assert!(!Path::new(&socket).exists());
    assert!(!Path::new(&socket.replace(".sock", ".wgfleet")).exists());
}

#[test]
fn a_service_manager_hears_of_the_start_and_the_end() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket in our own folder");
    manager.set_read_timeout(Some(Duration::from_secs(10))).expect("it is open");
    let hear = || {
        let mut heard = [0; 256];
        let length = manager.recv(&mut heard).expect("it says something");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    let mut command = namespace.command(WGFLEET);
    command.args(["tunnel", "--foreground", "--log-level", "debug", &name]);
    command.env("NOTIFY_SOCKET", &path).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    assert_eq!(hear(), "READY=1");
    // Ready means that wg gets an answer.
    assert_eq!(namespace.run("wg", ["show", &name, "listen-port"]), "0\n");
    is_confined(child.id());
    end(child.id(), Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    let output = child.wait_with_output().expect("it ends");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    // Nothing had to be done without.
    assert!(!log.contains("not filtered") && !log.contains("in reach"), "{log}");
    assert!(!Path::new(&format!("/var/run/wireguard/{name}.sock")).exists());
    namespace.fails("ip", ["link", "show", "dev", &name]);

    // One that cannot be told is no reason to run unheard.
    let mut command = namespace.command(WGFLEET);
    command.args(["tunnel", "--foreground", &name]).env("NOTIFY_SOCKET", "/nonesuch/notify");
    let output = crate::namespace::output(&mut command);
    assert!(String::from_utf8_lossy(&output.stderr).contains("reach the service manager"));
}

#[test]
fn it_goes_on_where_the_underlay_changes_under_it() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    // Another address; the one that was spoken to is gone.
    a.namespace.run("ip", ["address", "delete", "192.0.2.1/24", "dev", "eth"]);
    a.namespace.run("ip", ["address", "add", "192.0.2.7/24", "dev", "eth"]);
    a.namespace.ping("10.9.0.2");
    let endpoints = b.namespace.run("wg", ["show", &b.interface, "endpoints"]);
    assert!(endpoints.contains("192.0.2.7:"), "{endpoints}");
    b.namespace.ping("10.9.0.1");
    // None at all for a while, and the cable with it.
    a.namespace.run("ip", ["link", "set", "dev", "eth", "down"]);
    a.namespace.fails("ping", ["-c", "2", "-i", "0.1", "-W", "1", "10.9.0.2"]);
    a.namespace.run("ip", ["link", "set", "dev", "eth", "up"]);
    a.namespace.ping("10.9.0.2");
}

#[test]
fn it_goes_on_after_down_and_up_and_after_a_long_pause() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    for _ in 0..3 {
        a.namespace.ping("10.9.0.2");
        let port = a.namespace.run("wg", ["show", &a.interface, "listen-port"]);
        a.namespace.run("ip", ["link", "set", "dev", &a.interface, "down"]);
        b.namespace.fails("ping", ["-c", "2", "-i", "0.1", "-W", "1", "10.9.0.1"]);
        a.namespace.run("ip", ["link", "set", "dev", &a.interface, "up"]);
        a.namespace.run("ip", ["address", "replace", "fd99::1/64", "dev", &a.interface]);
        a.namespace.ping("10.9.0.2");
        assert_eq!(port, a.namespace.run("wg", ["show", &a.interface, "listen-port"]));
    }
    let pid = daemon(&a.namespace);
    end(pid, Signal::STOP);
    // What came meanwhile waits in its sockets, or is lost as on any way.
    a.namespace.fails("ping", ["-c", "3", "-i", "0.1", "-W", "1", "10.9.0.2"]);
    b.namespace.fails("ping", ["-c", "3", "-i", "0.1", "-W", "1", "10.9.0.1"]);
    end(pid, Signal::CONT);
    a.namespace.ping("10.9.0.2");
    b.namespace.ping("10.9.0.1");
    is_confined(pid);
}

/// In a container that withholds what confinement takes, and with no port below 1024.
#[test]
fn what_was_withheld_is_done_without() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket in our own folder");
    manager.set_read_timeout(Some(Duration::from_secs(10))).expect("it is open");
    let mut command = namespace.command("setpriv");
    command.args(["--bounding-set=-all,+net_admin", WGFLEET, "tunnel", "--foreground"]);
    command.args(["--log-level", "debug", &name]);
    command.env("NOTIFY_SOCKET", &path).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    manager.recv(&mut [0; 16]).expect("it is ready");
    namespace.run("wg", ["set", &name, "listen-port", "4711", "fwmark", "7"]);
    namespace.run("ip", ["link", "set", "dev", &name, "up"]);
    until("it is bound", || namespace.run("ss", ["-Huln"]).contains(":4711"));
    let refused = namespace.fails("wg", ["set", &name, "listen-port", "443"]);
    assert!(refused.contains("Permission denied"), "{refused}");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    assert!(status.contains("CapEff:\t0000000000001000\n"), "{status}");
    assert!(status.contains("CapBnd:\t0000000000001000\n"), "{status}");
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
    namespace.run("ip", ["link", "delete", "dev", &name]);
    let output = child.wait_with_output().expect("it ends");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.contains("every file stays in reach"), "{log}");
    assert!(!Path::new(&format!("/var/run/wireguard/{name}.sock")).exists());
}

/// Open descriptors, threads, and KiB of memory.
fn size(pid: u32) -> (usize, usize, u64) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let rss = rss.split_whitespace().next().and_then(|kib| kib.parse().ok());
    (count("fd"), count("task"), rss.expect("a number"))
}

#[test]
fn nothing_is_left_of_hundreds_of_changes() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let pid = daemon(&a.namespace);
    let keys: Vec<String> = (0..10).map(|_| Keys::new(&folder).public).collect();
    let change = |rounds: u16| {
        for round in 0..rounds {
            a.set(&["listen-port", &(40_000 + round).to_string(), "fwmark", &round.to_string()]);
            for key in &keys {
                a.set(&["peer", key, "allowed-ips", "10.77.0.0/16", "endpoint", "192.0.2.9:9"]);
                a.set(&["peer", key, "remove"]);
            }
            let link = |state| a.namespace.run("ip", ["link", "set", "dev", &a.interface, state]);
            link("down");
            link("up");
        }
        a.set(&["listen-port", &a.port(), "fwmark", "0"]);
        a.namespace.ping("10.9.0.2");
    };
    change(5);
    let (descriptors, threads, memory) = size(pid);
    change(25);
    until("each socket and its thread is gone", || {
        let (now, tasks, _) = size(pid);
        (now, tasks) == (descriptors, threads)
    });
    let grown = size(pid).2.saturating_sub(memory);
    assert!(grown < 1024, "{grown} KiB more than {memory}");
}

/// As with the kernel's: the socket stays where the interface was made.
#[test]
fn the_interface_moves_to_another_namespace_and_the_socket_stays() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let pid = daemon(&a.namespace);
    let name = a.interface.as_str();
    let (inner, third) = (Namespace::new(), Namespace::new());
    // There, on, and home again.
    for (from, to) in [(&*a.namespace, &inner), (&inner, &third), (&third, &*a.namespace)] {
        from.run("ip", ["link", "set", "dev", name, "netns", &to.name]);
        // Addresses do not move along.
        to.run("ip", ["address", "add", "10.9.0.1/24", "dev", name]);
        to.run("ip", ["link", "set", "dev", name, "up"]);
        to.ping("10.9.0.2");
        b.namespace.ping("10.9.0.1");
        to.run("ip", ["link", "set", "dev", name, "down"]);
        b.namespace.fails("ping", ["-c", "2", "-i", "0.1", "-W", "1", "10.9.0.1"]);
        to.run("ip", ["link", "set", "dev", name, "up"]);
        to.ping("10.9.0.2");
        let endpoints = b.namespace.run("wg", ["show", &b.interface, "endpoints"]);
        assert!(endpoints.contains("192.0.2.1:"), "{endpoints}");
    }
    assert_eq!(daemon(&a.namespace), pid);
    a.namespace.run("ip", ["link", "set", "dev", name, "netns", &inner.name]);
    a.set(&["listen-port", "444"]);
    inner.run("ip", ["address", "add", "10.9.0.1/24", "dev", name]);
    inner.run("ip", ["link", "set", "dev", name, "up"]);
    inner.ping("10.9.0.2");
    inner.run("ip", ["link", "delete", "dev", name]);
    a.namespace.wait_until_empty();
    until("the socket is gone", || !Path::new(&format!("/var/run/wireguard/{name}.sock")).exists());
}

//! A tunnel that is up hears: whatever becomes of its port meanwhile.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, Keys, Namespace, WGFLEET, interface, require_root, until};

fn ours(folder: &Folder) -> (End, End) {
    tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", folder)
}

fn link(end: &End, state: &str) {
    end.namespace.run("ip", ["link", "set", "dev", &end.interface, state]);
}

/// How many sockets listen at a port.
fn sockets(namespace: &Namespace, port: &str) -> usize {
    let listed = namespace.run("ss", ["-Huln"]);
    let local = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    let ends = |local: &String| local.rsplit_once(':').is_some_and(|(_, found)| found == port);
    listed.lines().filter_map(local).filter(ends).count()
}

/// What an interface has dropped for want of a socket.
fn refused(end: &End) -> bool {
    end.namespace
        .run(WGFLEET, ["wg", "show", &end.interface, "dropped"])
        .contains("interface\tno_socket\t")
}

#[test]
fn a_link_that_went_down_and_up_has_its_sockets() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    let both = format!(
        "for i in $(seq 60); do ip link set {0} down; ip link set {0} up; sleep 0.02; done",
        a.interface
    );
    a.namespace.sh(&both);
    until("both sockets are there", || sockets(&a.namespace, &a.port()) == 2);
    assert!(!refused(&a), "no port was busy");
    a.speaks_with(&b);
}

#[test]
fn a_port_that_was_given_back_can_be_taken_again() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    let words = format!(
        "for i in $(seq 60); do wg set {0} listen-port 4001 && wg set {0} listen-port {1} || exit 1; done",
        a.interface,
        a.port()
    );
    a.namespace.sh(&words);
    assert_eq!(sockets(&a.namespace, &a.port()), 2);
    a.speaks_with(&b);
}

#[test]
fn a_port_that_was_busy_is_bound_once_it_is_free() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours(&folder);
    a.speaks_with(&b);
    link(&a, "down");
    until("the port is free", || sockets(&a.namespace, &a.port()) == 0);
    let port = a.port().parse().expect("a number");
    let holder = a
        .namespace
        .inside(move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free"));
    link(&a, "up");
    // One family is free, and works.
    a.namespace.run("ip", ["route", "replace", "10.9.0.2/32", "dev", &a.interface]);
    b.calls(&a, "[2001:db8::1]:51821");
    until("the free family answers", || {
        let ping = ["-c", "1", "-W", "1", "10.9.0.1"];
        crate::output(b.namespace.command("ping").args(ping)).status.success()
    });
    until("it is said", || refused(&a));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(sockets(&a.namespace, &a.port()), 2, "the holder's, and the free family's");
    drop(holder);
    until("both sockets are there", || sockets(&a.namespace, &a.port()) == 2);
    b.calls(&a, "192.0.2.1:51821");
    b.namespace.ping_once(&a.inner());
}

/// In the background, too: there is no stderr any more, and no file in reach.
#[test]
fn a_busy_port_is_in_the_log_of_the_machine() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let log = folder.write("kmsg", "");
    let name = interface();
    let line = format!(
        "if [ -e /dev/log ]; then mount --bind /dev/null /dev/log; fi; \
         mount --bind {} /dev/kmsg && exec {WGFLEET} tunnel {name}",
        log.display()
    );
    namespace.sh(&line);
    let key = folder.write("key", &Keys::new(&folder).private);
    let words = ["set", &name, "private-key", &key.to_string_lossy(), "listen-port", "4321"];
    namespace.run("wg", words);
    namespace.run("wg", ["set", &name, "listen-port", "0"]);
    namespace.run("wg", ["set", &name, "listen-port", "4321"]);
    namespace.run("ip", ["link", "set", &name, "up"]);
    namespace.run("ip", ["link", "set", &name, "down"]);
    until("the port is free", || sockets(&namespace, "4321") == 0);
    let holder = namespace
        .inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 4321)).expect("the port is free"));
    namespace.run("ip", ["link", "set", &name, "up"]);
    let said =
        |what: &str| std::fs::read_to_string(Path::new(&log)).expect("our own file").contains(what);
    until("it is said", || said(&name) && said("UDP port 4321: Address already in use"));
    drop(holder);
    until("that it is over is said, too", || said("UDP port 4321 is bound now"));
}

//! The embedded tunnel on real interfaces, with the real wg(8), wg-quick(8) and wireguard-go.

mod deaf;
#[expect(dead_code, reason = "the kernel is for tests/kernel")]
mod ends;
mod interop;
mod lanes;
mod namespace;
mod netns;
mod netns_loops;
mod netns_nat;
mod netns_sources;
mod outer_header;
mod quick;
mod quick_files;
mod service;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ends::{Backend, tunnel};
use namespace::{
    Folder, Keys, Namespace, WGFLEET, end, interface, output, require_root, run, until,
};

/// Both families inside; `a` starts the handshake, `b` answers on the way it learned.
fn speaks(a: Backend, b: Backend) {
    require_root();
    for outer in ["192.0.2.2", "[2001:db8::2]"] {
        let folder = Folder::new();
        let (a, b) = tunnel(a, b, outer, &folder);
        a.namespace.ping("10.9.0.2");
        a.namespace.ping("fd99::2");
        b.namespace.ping("10.9.0.1");
        b.namespace.ping("fd99::1");
        let big = ["-c", "2", "-M", "do", "-s", "1392", "-W", "2", "10.9.0.2"];
        a.namespace.run("ping", big);
    }
}

#[test]
fn ours_speaks_with_ours() {
    speaks(Backend::Ours, Backend::Ours);
}

#[test]
fn ours_starts_with_wireguard_go() {
    speaks(Backend::Ours, Backend::WireguardGo);
}

#[test]
fn wireguard_go_starts_with_ours() {
    speaks(Backend::WireguardGo, Backend::Ours);
}

/// The columns of a dump but for those that the time or the moment decides.
fn lasting(dump: &str) -> Vec<String> {
    let cut = |line: &str| -> String {
        let columns: Vec<&str> = line.split('\t').collect();
        match columns.as_slice() {
            [key, psk, endpoint, nets, _, _, _, keepalive] => {
                let mut nets: Vec<&str> = nets.split(',').collect();
                nets.sort_unstable();
                [*key, psk, endpoint, &nets.join(","), keepalive].join(" ")
            }
            other => other.join(" "),
        }
    };
    let mut lines: Vec<String> = dump.lines().map(cut).collect();
    lines.sort();
    lines
}

#[test]
fn the_same_words_make_the_same_interface_as_in_wireguard_go() {
    require_root();
    let folder = Folder::new();
    let keys = [Keys::new(&folder), Keys::new(&folder), Keys::new(&folder)];
    let [own, first, second] = &keys;
    let private = folder.write("own", &own.private);
    let private = private.to_string_lossy();
    let psk = folder.write("psk", &run(Command::new("wg").arg("genpsk")));
    let psk = psk.to_string_lossy();
    let empty = folder.write("empty", "");
    let empty = empty.to_string_lossy();
    let conf = folder.write(
        "file.conf",
        &format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 4242\nFwMark = 0x10\n[Peer]\nPublicKey = {}\n\
             AllowedIPs = 10.3.0.0/16\nEndpoint = 192.0.2.9:9\n",
            own.private, second.public
        ),
    );
    let conf = conf.to_string_lossy();
    let (p1, p2) = (first.public.as_str(), second.public.as_str());
    let steps: [&[&str]; 15] = [
        &[
            "set",
            "@",
            "listen-port",
            "4710",
            "peer",
            p1,
            "allowed-ips",
            "10.0.0.0/8,fd00::/8",
            "persistent-keepalive",
            "25",
        ],
        &["set", "@", "private-key", &private, "listen-port", "4711", "fwmark", "0xca6c"],
        &["set", "@", "peer", p2, "preshared-key", &psk, "endpoint", "[2001:db8::7]:7"],
        &["set", "@", "peer", p2, "allowed-ips", "10.0.0.0/8"],
        &["set", "@", "peer", p1, "endpoint", "192.0.2.8:8", "persistent-keepalive", "off"],
        &["set", "@", "peer", &own.public, "allowed-ips", "10.99.0.0/16"],
        &["set", "@", "peer", p2, "preshared-key", &empty],
        &["addconf", "@", &conf],
        &["set", "@", "peer", p1, "remove"],
        &["set", "@", "peer", p1, "remove"],
        &["syncconf", "@", &conf],
        &["set", "@", "peer", p2, "allowed-ips", ""],
        &["setconf", "@", &conf],
        &["set", "@", "fwmark", "0", "private-key", &empty],
        &["set", "@", "private-key", &private],
    ];
    let (a, b) = Namespace::pair();
    let (ours, theirs) = (interface(), interface());
    a.run(WGFLEET, ["tunnel", &ours]);
    b.run("wireguard-go", [&theirs]);
    for step in steps {
        let words = |name: &str| -> Vec<String> {
            step.iter().map(|word| if *word == "@" { name } else { word }.to_owned()).collect()
        };
        a.run("wg", words(&ours));
        b.run("wg", words(&theirs));
        let of = |side: &Namespace, name: &str| lasting(&side.run("wg", ["show", name, "dump"]));
        assert_eq!(of(&a, &ours), of(&b, &theirs), "after {step:?}");
    }
}

#[test]
fn our_wg_prints_what_wg_prints() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    // What only our tunnel tells is nothing that wg stumbles over.
    a.namespace.fails("ping", ["-c", "1", "-W", "1", "10.9.0.77"]);
    let odd = Keys::new(&folder).public;
    let nets = "::1.2.3.4/128,::ffff:1.2.3.4/128,0.0.0.0/0,::/0,fe80::/10";
    a.set(&["fwmark", "0x20", "peer", &odd, "allowed-ips", nets, "endpoint", "[2001:db8::5]:5"]);
    a.set(&["peer", &odd, "persistent-keepalive", "25"]);
    a.set(&["peer", &Keys::new(&folder).public]);
    let name = a.interface.as_str();
    let dropped = a.namespace.run(WGFLEET, ["wg", "show", name, "dropped"]);
    assert!(dropped.contains("interface\tno_peer\t"), "{dropped}");
    let mut forms: Vec<Vec<&str>> = vec![vec!["showconf", name], vec!["show", name]];
    for field in [
        "public-key",
        "private-key",
        "listen-port",
        "fwmark",
        "peers",
        "preshared-keys",
        "endpoints",
        "allowed-ips",
        "latest-handshakes",
        "transfer",
        "persistent-keepalive",
        "dump",
    ] {
        forms.push(vec!["show", name, field]);
    }
    for form in forms {
        // A keepalive or a second may pass between the two.
        until(&format!("{form:?} is the same"), || {
            let theirs = a.namespace.run("wg", &form);
            let ours = a.namespace.run(WGFLEET, ["wg"].iter().chain(&form));
            ours == theirs
        });
    }
    a.namespace.fails(WGFLEET, ["wg", "show", name, "colour"]);
    a.namespace.fails(WGFLEET, ["wg", "show", "nonesuch"]);
    let interfaces = a.namespace.run(WGFLEET, ["wg", "show", "interfaces"]);
    assert!(interfaces.split_whitespace().any(|shown| shown == name));
}

/// How many of these pings are lost while `meanwhile` runs.
fn lost_during(from: &Namespace, to: &str, meanwhile: impl FnOnce()) -> u32 {
    let mut ping = from.command("ping");
    // A number of pings, not a time: what is on its way when a time is over would count as lost.
    ping.args(["-q", "-i", "0.01", "-c", "350", "-W", "1", to]);
    let mut child = ping.stdout(Stdio::piped()).spawn().expect("ping starts");
    thread::sleep(Duration::from_millis(300));
    meanwhile();
    assert!(child.try_wait().expect("it is ours").is_none(), "it outlasted the pings");
    let output = child.wait_with_output().expect("ping ends");
    let (sent, lost) = ping_counts(&String::from_utf8_lossy(&output.stdout));
    assert!(sent > 200, "{sent}");
    lost
}

/// How many pings were sent and how many were lost, as ping(8) says at its end.
fn ping_counts(text: &str) -> (u32, u32) {
    let counts = text.lines().find(|line| line.contains("transmitted")).expect("ping counts");
    let mut counts = counts.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
    let (sent, received) = (counts.next().expect("sent"), counts.next().expect("received"));
    (sent, sent - received)
}

#[test]
fn changes_of_other_peers_lose_no_packet() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let port = a.namespace.run("wg", ["show", &a.interface, "listen-port"]);
    let lost = lost_during(&a.namespace, "10.9.0.2", || {
        for number in 0..20 {
            let key = Keys::new(&folder).public;
            let net = format!("10.50.{number}.0/24");
            a.set(&["peer", &key, "allowed-ips", &net, "endpoint", "192.0.2.77:7"]);
            a.set(&["peer", &key, "persistent-keepalive", "1"]);
            if number % 2 == 0 {
                a.set(&["peer", &key, "remove"]);
            }
        }
        // The peer that is pinged, too: its prefixes, its endpoint, its keepalive, its own file.
        a.set(&["peer", &b.keys.public, "allowed-ips", "10.9.0.2/32,10.60.0.0/16"]);
        a.set(&["peer", &b.keys.public, "endpoint", "[2001:db8::2]:51822"]);
        a.set(&["peer", &b.keys.public, "persistent-keepalive", "5"]);
        let conf = folder.write("now", &a.namespace.run("wg", ["showconf", &a.interface]));
        for wg in [vec!["wg"], vec![WGFLEET, "wg"]] {
            let words = wg[1..].iter().copied().map(str::to_owned);
            let words = words.chain(["syncconf".to_owned(), a.interface.clone()]);
            a.namespace.run(wg[0], words.chain([conf.to_string_lossy().into_owned()]));
        }
    });
    assert_eq!(lost, 0);
    assert_eq!(port, a.namespace.run("wg", ["show", &a.interface, "listen-port"]));
}

/// The order that loses nothing: the host first, then its neighbour in one step.
#[test]
fn a_key_rotation_in_order_loses_no_packet() {
    require_root();
    let folder = Folder::new();
    let (a, b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let new = Keys::new(&folder);
    let private = folder.write("new", &new.private);
    let psk = folder.path("psk");
    let lost = lost_during(&a.namespace, "10.9.0.2", || {
        a.set(&["private-key", &private.to_string_lossy()]);
        let psk = psk.to_string_lossy();
        let mut words = vec!["peer", &a.keys.public, "remove", "peer", &new.public];
        words.extend(["preshared-key", &psk, "endpoint", "192.0.2.1:51821"]);
        words.extend(["allowed-ips", "10.9.0.1/32,fd99::1/128", "persistent-keepalive", "25"]);
        b.set(&words);
    });
    assert_eq!(lost, 0);
    assert!(b.dump().contains(&new.public));
}

#[test]
fn a_new_key_expires_every_session() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    a.namespace.ping("10.9.0.2");
    let private = folder.write("new", &Keys::new(&folder).private);
    a.set(&["private-key", &private.to_string_lossy()]);
    a.namespace.fails("ping", ["-c", "3", "-i", "0.1", "-W", "1", "10.9.0.2"]);
}

#[test]
fn a_taken_port_is_an_error_of_wg() {
    require_root();
    let folder = Folder::new();
    let (a, _b) = tunnel(Backend::Ours, Backend::Ours, "192.0.2.2", &folder);
    let other = interface();
    a.namespace.run(WGFLEET, ["tunnel", &other]);
    let error = a.namespace.fails("wg", ["set", &other, "listen-port", &a.port()]);
    assert!(error.contains("Address already in use"), "{error}");
    a.namespace.run("wg", ["set", &other, "listen-port", "0"]);
    a.namespace.run("ip", ["link", "set", "dev", &other, "up"]);
    until("the system chooses a port", || {
        a.namespace.run("wg", ["show", &other, "listen-port"]).trim() != "0"
    });
    a.namespace.ping("10.9.0.2");
}

#[test]
fn the_daemon_ends_with_its_interface_and_the_interface_with_it() {
    require_root();
    let namespace = Namespace::new();
    let name = interface();
    let socket = format!("/var/run/wireguard/{name}.sock");
    for _ in 0..5 {
        // Right after the deletion, while the one before may still be ending.
        namespace.run(WGFLEET, ["tunnel", &name]);
        assert!(Path::new(&socket).exists());
        assert!(namespace.fails(WGFLEET, ["tunnel", &name]).contains("already exists"));
        namespace.run("ip", ["link", "delete", "dev", &name]);
    }
    namespace.wait_until_empty();
    until("the socket is gone", || !Path::new(&socket).exists());

    namespace.run(WGFLEET, ["tunnel", &name]);
    let pids = namespace.pids();
    assert_eq!(pids.len(), 1);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pids[0])).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core")).expect("a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    end(pids[0], rustix::process::Signal::TERM);
    namespace.wait_until_empty();
    namespace.fails("ip", ["link", "show", "dev", &name]);
    until("the socket is gone", || !Path::new(&socket).exists());
}

#[test]
fn the_parent_holds_no_pipe_and_says_what_is_wrong() {
    require_root();
    let namespace = Namespace::new();
    let name = interface();
    // `output` returns only once every copy of our pipes is closed.
    let output = output(namespace.command(WGFLEET).args(["tunnel", &name]));
    assert!(output.status.success());
    let error = namespace.fails(WGFLEET, ["tunnel", "lo"]);
    assert!(error.contains("cannot be \"lo\""), "{error}");
}

#[test]
fn one_connection_carries_any_number_of_commands() {
    require_root();
    let namespace = Namespace::new();
    let name = interface();
    namespace.run(WGFLEET, ["tunnel", &name]);
    let path = format!("/var/run/wireguard/{name}.sock");
    let mut stream = UnixStream::connect(path).expect("the socket answers");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut ask = |request: &str| -> Vec<String> {
        stream.write_all(request.as_bytes()).expect("it listens");
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            if line.trim_end().is_empty() {
                return answer;
            }
            answer.push(line.trim_end().to_owned());
        }
    };
    assert_eq!(ask("set=1\nfwmark=7\n\n"), ["errno=0"]);
    assert_eq!(ask("set=1\nfwmark=minus\n\n"), ["errno=-22"]);
    assert_eq!(ask("\n\nget=1\n\n"), ["fwmark=7", "errno=0"]);
    assert_eq!(ask(&format!("set=1\n{}\n\n", "x".repeat(5000))), ["errno=-22"]);
    assert_eq!(ask("get=1\n\n"), ["fwmark=7", "errno=0"]);
}

#[test]
fn thousands_of_peers_are_set_and_synced_at_once() {
    require_root();
    let namespace = Namespace::new();
    let name = interface();
    let folder = Folder::new();
    namespace.run(WGFLEET, ["tunnel", &name]);
    let mut conf =
        format!("[Interface]\nPrivateKey = {}\nListenPort = 4000\n", Keys::new(&folder).private);
    let mut sections = Vec::new();
    for number in 0..5000_u32 {
        use base64::Engine as _;
        let mut key = [9; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let [_, _, a, b] = number.to_be_bytes();
        sections.push(format!(
            "[Peer]\nPublicKey = {key}\nAllowedIPs = 10.{a}.{b}.0/24, fd{a:02x}:{b}::/48\n"
        ));
    }
    conf.push_str(&sections.concat());
    let file = folder.write("large.conf", &conf);
    for command in ["setconf", "syncconf", "setconf"] {
        namespace.run(WGFLEET, ["wg", command, &name, &file.to_string_lossy()]);
    }
    let peers = namespace.run("wg", ["show", &name, "peers"]);
    assert_eq!(peers.lines().count(), 5000);
}

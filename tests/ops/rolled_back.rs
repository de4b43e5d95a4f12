//! After a rollback a host has what it had: files, rules, packet filter, sysctls, units, processes.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;

const HEAD: &str = "fleet: ops
networks:
  vpn: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], links: { hub: exit } }
hosts:
  exit: { ssh: root@exit.example.com, address: 10.90.0.1, endpoint: 'exit.example.com:51820', exit: true, masquerade: true, backend: wireguard-go }
";

/// One host for each way to fail, so that all wait for their deadline at the same time.
const HOSTS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];

/// Hosts with the same words behind their keepalive.
fn inventory(backend: &str, hosts: &[&str]) -> String {
    let host = |(number, name): (usize, &&str)| {
        format!(
            "  {name}: {{ ssh: root@{name}.example.com, address: 10.90.0.1{number}, backend: {backend}, \
             keepalive: 2{number} }}\n"
        )
    };
    let hosts: String = hosts.iter().enumerate().map(host).collect();
    format!("{HEAD}{hosts}")
}

/// How an apply goes that nobody can confirm.
const SHORT: [&str; 6] = ["apply", "--yes", "--deadline", "12", "--connect-timeout", "5"];

/// Hosts that run WireGuard, with what each was started from.
struct Trial {
    fleet: Fleet,
    /// What the inventory says of each host behind its keepalive.
    said: RefCell<[String; 6]>,
}

impl Trial {
    /// `options` are those for each host, in which `HOST` is its name.
    fn up(backend: &str, options: &[&str]) -> Self {
        let own = |host| options.iter().map(move |option| option.replace("HOST", host));
        let all: Vec<String> = HOSTS.iter().copied().flat_map(own).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let fleet = Fleet::up(&inventory(backend, &HOSTS), &all);
        if options.contains(&"--systemd") {
            let booted = "systemctl is-system-running --wait | grep -q running";
            for host in HOSTS {
                fleet.until(host, Duration::from_mins(1), booted);
            }
        }
        Self { fleet, said: RefCell::default() }
    }

    /// Gives a host other words behind its keepalive; those that it had come back.
    fn say(&self, host: &str, words: &str) -> String {
        let number = HOSTS.iter().position(|name| *name == host).unwrap();
        let old = std::mem::replace(&mut self.said.borrow_mut()[number], words.to_owned());
        let behind = |words: &str| format!("keepalive: 2{number}{words} }}");
        self.fleet.edit(&behind(&old), &behind(words));
        old
    }

    /// An apply that is rolled back on each of some hosts: everything there is as before, soon, and the
    /// next one is not kept out.
    fn roll_back(&self, trials: &[(&str, &str)]) -> String {
        let before: Vec<_> = trials.iter().map(|(host, _)| self.fleet.state(host)).collect();
        let old: Vec<_> = trials.iter().map(|(host, words)| self.say(host, words)).collect();
        let hosts: Vec<&str> = trials.iter().map(|(host, _)| *host).collect();
        let limit = ["--limit", &hosts.join(",")];
        let begun = Instant::now();
        let said = self.fleet.ends(8, &[&SHORT[..], &limit].concat());
        assert!(begun.elapsed() < Duration::from_secs(90), "{:?}: {said}", begun.elapsed());
        for ((host, words), before) in trials.iter().zip(before) {
            assert!(said.contains(&format!("\n{host}: rolled back: ")), "{words}: {said}");
            let after = self.fleet.state(host);
            assert_eq!(differences(&before, &after), [""; 0], "{host}{words}: {said}");
        }
        for ((host, _), words) in trials.iter().zip(&old) {
            self.say(host, words);
        }
        said
    }
}

/// The lines that only one of two states has.
fn differences(before: &str, after: &str) -> Vec<String> {
    let only = |sign: char, one: &str, other: &str| {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    [only('-', before, after), only('+', after, before)].concat()
}

/// Shuts the port of ssh, and opens it as the interface goes down.
const LOCK: &str = "post_up: \"nft add table inet lock; nft add chain inet lock in '{ type filter hook input priority 0; }'; \
                    nft add rule inet lock in tcp dport 22 drop && echo locked >>/run/locked\", \
                    pre_down: nft delete table inet lock, post_down: 'rm -f /run/up', pre_up: 'touch /run/up'";

fn every_rollback_is_whole(trial: &Trial) {
    // The first start: of a tunnel that shuts everybody out, for all its traffic; of a gateway, with
    // forwarding, its rules, and the files of both for the next boot; of one that does not come to an
    // end, and of one that fails.
    trial.roll_back(&[
        ("h1", &format!(", {LOCK}")),
        ("h2", &format!(", full_tunnel: exit, {LOCK}")),
        ("h3", &format!(", masquerade: true, subnets: 172.20.0.0/24, {LOCK}")),
        ("h4", ", post_up: sleep 600"),
        ("h5", ", full_tunnel: exit, pre_up: sleep 600"),
        ("h6", ", post_up: /bin/false"),
    ]);
    for host in ["h1", "h2", "h3"] {
        assert_eq!(trial.fleet.sh(host, "cat /run/locked; ls /run/up || :"), "locked", "{host}");
    }

    // Interfaces that run, with hooks of their own.
    for host in HOSTS {
        trial.say(
            host,
            ", full_tunnel: exit, post_up: 'echo up >>/run/hooks', post_down: 'echo down >>/run/hooks'",
        );
    }
    trial.fleet.apply();
    for host in HOSTS {
        trial.fleet.reaches(host, "10.90.0.1");
    }
    trial.roll_back(&[
        ("h1", ", post_up: sleep 600"),
        ("h2", ", full_tunnel: exit, post_up: sleep 600, post_down: 'echo down >>/run/hooks'"),
        ("h3", ", post_up: /bin/false"),
        ("h4", &format!(", {LOCK}")),
        ("h5", &format!(", full_tunnel: exit, {LOCK}")),
        ("h6", &format!(", masquerade: true, subnets: 172.20.0.0/24, {LOCK}")),
    ]);
    for host in ["h4", "h5", "h6"] {
        assert_eq!(trial.fleet.sh(host, "cat /run/locked"), "locked", "{host}");
    }
    trial.fleet.in_order();
    for host in HOSTS {
        trial.fleet.reaches(host, "10.90.0.1");
    }

    // What can be tried before anything stops costs no packet.
    let fill = "mount -t tmpfs -o size=64k none /mnt && cp -a /etc/wireguard/. /mnt && \
                mount --bind /mnt /etc/wireguard && dd if=/dev/zero of=/etc/wireguard/fill bs=1k 2>/dev/null; :";
    let pings = ["h1", "h2"].map(|host| trial.fleet.lab.ping_on(host, "10.90.0.1", 0.05));
    trial.fleet.sh("h2", fill);
    let said = trial.roll_back(&[
        ("h1", ", post_up: /usr/local/bin/not-there"),
        ("h2", ", post_up: /bin/true"),
    ]);
    assert!(said.contains("/usr/local/bin/not-there, which is not a program"), "{said}");
    assert!(said.contains("No space left"), "{said}");
    trial.fleet.sh("h2", "umount /etc/wireguard; umount /mnt");
    for ping in pings {
        assert_eq!(ping.finish().lost(), 0);
    }
    trial.fleet.in_order();
    trial.say("h1", ", post_up: /bin/true");
    trial.fleet.apply();
}

/// Of a host that has nothing but wgfleet's own binary.
const ALONE: &str = "HOST=wg,wg-quick,wireguard-go";

#[test]
fn every_rollback_is_whole_with_wireguard_go() {
    every_rollback_is_whole(&Trial::up("wireguard-go", &[]));
}

#[test]
fn every_rollback_is_whole_with_wgfleet_alone() {
    every_rollback_is_whole(&Trial::up("embedded", &["--without", ALONE]));
}

#[test]
fn every_rollback_is_whole_under_systemd() {
    every_rollback_is_whole(&Trial::up("embedded", &["--systemd", "HOST"]));
}

#[test]
fn every_rollback_is_whole_under_systemd_with_wgfleet_alone() {
    let options = ["--systemd", "HOST", "--without", ALONE];
    every_rollback_is_whole(&Trial::up("embedded", &options));
}

#[test]
fn a_full_run_folder_is_an_exit_code_with_a_reason() {
    let fleet = Fleet::up(&inventory("wireguard-go", &["h1"]), &[]);
    let before = fleet.state("h1");
    for pages in [1, 4, 12, 16] {
        let mount = format!(
            "mkdir -p /run/wgfleet; mount -t tmpfs -o size={}k none /run/wgfleet",
            pages * 4
        );
        fleet.sh("h1", &mount);
        let said = fleet.ends(7, &[&SHORT[..], &["--limit", "h1"]].concat());
        assert!(said.contains("/run/wgfleet is full"), "{pages} pages: {said}");
        fleet.sh("h1", "umount /run/wgfleet");
        assert_eq!(fleet.state("h1"), before);
    }
    fleet.apply();
}

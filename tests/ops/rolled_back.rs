//! After a rollback a host has what it had: files, rules, packet filter, sysctls, units, processes.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;

const TEXT: &str = "fleet: ops
networks:
  vpn: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], links: { hub: exit } }
hosts:
  exit: { ssh: root@exit.example.com, address: 10.90.0.1, endpoint: 'exit.example.com:51820', exit: true, masquerade: true, backend: wireguard-go }
  h: { ssh: root@h.example.com, address: 10.90.0.2, backend: BACKEND, keepalive: 5 }
";

/// How an apply goes that nobody can confirm.
const SHORT: [&str; 8] =
    ["apply", "--yes", "--limit", "h", "--deadline", "12", "--connect-timeout", "2"];

/// What runs of a host's WireGuard, with what it was started from.
struct Trial {
    fleet: Fleet,
    /// What the inventory says of `h` behind its keepalive.
    said: RefCell<String>,
}

impl Trial {
    fn up(backend: &str, options: &[&str]) -> Self {
        let fleet = Fleet::up(&TEXT.replace("BACKEND", backend), options);
        if options.contains(&"--systemd") {
            let booted = "systemctl is-system-running --wait | grep -q running";
            fleet.until("h", Duration::from_mins(1), booted);
        }
        Self { fleet, said: RefCell::default() }
    }

    /// Gives `h` other words behind its keepalive.
    fn say(&self, words: &str) {
        let old = format!("keepalive: 5{}", self.said.replace(words.to_owned()));
        self.fleet.edit(&old, &format!("keepalive: 5{words}"));
    }

    /// An apply that goes back: everything is as before, soon, and the next one is not kept out.
    fn goes_back(&self, words: &str) -> String {
        let before = self.fleet.state("h");
        self.say(words);
        let begun = Instant::now();
        let said = self.fleet.ends(8, &SHORT);
        assert!(said.contains("rolled back"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(90), "{words}: {:?}", begun.elapsed());
        let after = self.fleet.state("h");
        assert_eq!(after, before, "{words}: {said}");
        said
    }
}

/// Shuts the port of ssh, and opens it as the interface goes down.
const LOCK: &str = "post_up: \"nft add table inet lock; nft add chain inet lock in '{ type filter hook input priority 0; }'; \
                    nft add rule inet lock in tcp dport 22 drop\", pre_down: nft delete table inet lock, \
                    post_down: 'rm -f /run/up', pre_up: 'touch /run/up'";

fn every_rollback_is_whole(trial: &Trial) {
    // The first start: of a tunnel that shuts everybody out, for all its traffic.
    trial.goes_back(&format!(", {LOCK}"));
    trial.goes_back(&format!(", full_tunnel: exit, {LOCK}"));
    assert_eq!(trial.fleet.sh("h", "ls /run/up || :"), "");
    // One that does not come to an end, and one that fails.
    trial.goes_back(", post_up: sleep 600");
    trial.goes_back(", full_tunnel: exit, pre_up: sleep 600");
    trial.goes_back(", post_up: /bin/false");

    // An interface that runs, with hooks of its own.
    trial.say(
        ", full_tunnel: exit, post_up: 'echo up >>/run/hooks', post_down: 'echo down >>/run/hooks'",
    );
    trial.fleet.apply();
    trial.fleet.reaches("h", "10.90.0.1");
    trial.goes_back(", post_up: sleep 600");
    trial.goes_back(", full_tunnel: exit, post_up: sleep 600, post_down: 'echo down >>/run/hooks'");
    trial.goes_back(", post_up: /bin/false");
    trial.goes_back(&format!(", {LOCK}"));
    trial.fleet.reaches("h", "10.90.0.1");

    // What can be tried before anything stops costs no packet.
    let fill = "mount -t tmpfs -o size=64k none /mnt && cp -a /etc/wireguard/. /mnt && \
                mount --bind /mnt /etc/wireguard && dd if=/dev/zero of=/etc/wireguard/fill bs=1k 2>/dev/null; :";
    let ping = trial.fleet.twin.ping_on("h", "10.90.0.1", 0.05);
    let said = trial.goes_back(", post_up: /usr/local/bin/not-there");
    assert!(said.contains("/usr/local/bin/not-there, which is not a program"), "{said}");
    trial.fleet.sh("h", fill);
    let said = trial.goes_back(", post_up: /bin/true");
    assert!(said.contains("No space left"), "{said}");
    trial.fleet.sh("h", "umount /etc/wireguard; umount /mnt");
    assert_eq!(ping.finish().lost(), 0);
    trial.fleet.apply();
}

#[test]
fn every_rollback_is_whole_with_wireguard_go() {
    every_rollback_is_whole(&Trial::up("wireguard-go", &[]));
}

#[test]
fn every_rollback_is_whole_with_wgfleet_alone() {
    let without = "h=wg,wg-quick,wireguard-go";
    every_rollback_is_whole(&Trial::up("embedded", &["--without", without]));
}

#[test]
fn every_rollback_is_whole_under_systemd() {
    every_rollback_is_whole(&Trial::up("embedded", &["--systemd", "h"]));
}

#[test]
fn every_rollback_is_whole_under_systemd_with_wgfleet_alone() {
    let without = "h=wg,wg-quick,wireguard-go";
    every_rollback_is_whole(&Trial::up("embedded", &["--systemd", "h", "--without", without]));
}

#[test]
fn a_full_run_folder_is_an_exit_code_with_a_reason() {
    let trial = Trial::up("wireguard-go", &[]);
    let before = trial.fleet.state("h");
    for pages in [1, 4, 12, 16] {
        let mount = format!(
            "mkdir -p /run/wgfleet; mount -t tmpfs -o size={}k none /run/wgfleet",
            pages * 4
        );
        trial.fleet.sh("h", &mount);
        let said = trial.fleet.ends(7, &SHORT);
        assert!(said.contains("/run/wgfleet is full"), "{pages} pages: {said}");
        trial.fleet.sh("h", "umount /run/wgfleet");
        assert_eq!(trial.fleet.state("h"), before);
    }
    trial.fleet.apply();
}

//! An inventory with a vault of its own, and the lab that it is applied to.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stream::Stream;
use crate::support::home::Home;
pub(crate) use crate::support::home::Ran;

/// Three sites: paris with a literal endpoint, frankfurt behind `PPPoE` with a name, and a branch
/// behind NAT. Each has a LAN of both families.
pub(crate) const THREE: &str = r#"
fleet: three
networks:
  backbone:
    interface: wg0
    prefixes: [10.10.0.0/24, "fd10::/64"]
    links: mesh
    psk: pairwise
defaults:
  gateway: true
sites:
  paris:
    subnets: [192.168.1.0/24, "fd01::/64"]
    hosts:
      paris-gw:
        address: [10.10.0.1, "fd10::1"]
        endpoint: 203.0.113.5:51820
  frankfurt:
    subnets: [192.168.2.0/24, "fd02::/64"]
    underlay: { mtu: 1492 }
    hosts:
      frankfurt-gw:
        address: [10.10.0.2, "fd10::2"]
        ssh: root@frankfurt.example.com
        endpoint: frankfurt.example.com:51820
  branch:
    subnets: [192.168.7.0/24, "fd07::/64"]
    hosts:
      branch-gw:
        address: [10.10.0.3, "fd10::3"]
        nat: true
"#;

/// A fourth site for [`THREE`].
pub(crate) const ROME: &str = r#"  rome:
    subnets: [192.168.4.0/24]
    hosts:
      rome-gw:
        address: [10.10.0.4, "fd10::4"]
        endpoint: 203.0.113.9:51820
"#;

/// An inventory in a folder of its own, and a lab for it.
#[derive(Debug)]
pub(crate) struct Yard(Home);

impl Deref for Yard {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.0
    }
}

/// One session of a host, as `wg show dump` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// Where the peer is.
    pub(crate) endpoint: String,
    /// Its `AllowedIPs`.
    pub(crate) allowed_ips: String,
    /// Seconds since the epoch; 0: never.
    pub(crate) handshake: u64,
    /// Bytes received.
    pub(crate) received: u64,
}

impl Yard {
    /// Raises the lab of an inventory, and makes the vault.
    pub(crate) fn up(text: &str) -> Self {
        Self(Home::up(text, &[]))
    }

    /// The same in a lab that has more than the inventory says: `world`.
    pub(crate) fn within(world: &str, text: &str, options: &[&str]) -> Self {
        Self(Home::within(world, text, options))
    }

    /// An inventory of `examples/`, as it is, with its lock file.
    pub(crate) fn example(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let folder = tempfile::tempdir().unwrap();
        for file in ["fleet.yaml", "fleet.lock"] {
            fs::copy(from.join(file), folder.path().join(file)).unwrap();
        }
        Self(Home::of(folder, "fleet.yaml", &[]))
    }

    /// Replaces the inventory; hosts that are new get keys.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path().join("fleet.yaml"), text).unwrap();
        self.done(&["vault", "keygen"]);
    }

    /// A command that runs wgfleet with the inventory of another folder on this lab.
    pub(crate) fn command_in(&self, folder: &Path, args: &[&str]) -> Command {
        self.command_with(folder, &self.lab.ssh_config(), args)
    }

    /// Runs wgfleet and expects it to succeed.
    pub(crate) fn done(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "wgfleet {args:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    /// The plan; it must end with `code`.
    pub(crate) fn plan(&self, code: i32) -> Value {
        let args = ["plan", "--format", "json", "--detailed-exitcode", "--connect-timeout", "3"];
        self.run(&args).json(code)
    }

    /// Applies; it must end with `code`.
    pub(crate) fn apply(&self, code: i32) -> Value {
        let args = ["apply", "--yes", "--format", "json", "--connect-timeout", "3"];
        self.run(&args).json(code)
    }

    /// Applies, and expects that nothing is left to do.
    pub(crate) fn settle(&self) -> Value {
        let applied = self.apply(0);
        self.settled();
        applied
    }

    /// Expects that there is nothing to do.
    pub(crate) fn settled(&self) {
        let ran = self.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    }

    /// Expects that no answer comes back.
    pub(crate) fn misses(&self, from: &str, to: &str) {
        let ping = self.lab.ping(from, to, 3, 0.1);
        assert_eq!(ping.received, 0, "{from} reaches {to}");
    }

    /// Begins 100 pings a second.
    pub(crate) fn stream(&self, from: &str, to: &str) -> Stream<'_> {
        self.reaches(from, to);
        Stream::begin(&self.lab, from, to)
    }

    /// The sessions of a host's interface, by the peer's key.
    pub(crate) fn sessions(&self, host: &str, interface: &str) -> BTreeMap<String, Session> {
        let dump = self.lab.ok(host, &["wg", "show", interface, "dump"]);
        let fields = dump.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
        fields
            .map(|field| {
                let session = Session {
                    endpoint: field[2].to_owned(),
                    allowed_ips: field[3].to_owned(),
                    handshake: field[4].parse().unwrap(),
                    received: field[5].parse().unwrap(),
                };
                (field[0].to_owned(), session)
            })
            .collect()
    }

    /// The same once every session of the interface has begun: keepalives begin those that no
    /// packet needs, each in its own time.
    pub(crate) fn begun_sessions(&self, host: &str, interface: &str) -> BTreeMap<String, Session> {
        let begun = Instant::now();
        loop {
            let sessions = self.sessions(host, interface);
            if sessions.values().all(|session| session.handshake > 0) {
                return sessions;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(40),
                "{host} has no session: {sessions:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The public key of a host, from the vault.
    pub(crate) fn key(&self, host: &str) -> String {
        let text = fs::read_to_string(self.path().join("vault/index.json")).unwrap();
        let index: Value = serde_json::from_str(&text).unwrap();
        let keys = index["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["name"] == host && key["state"] == "current");
        key.unwrap_or_else(|| panic!("no key of {host}: {index}"))["public_key"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Whether a shell test holds on a host.
    pub(crate) fn holds(&self, host: &str, test: &str) -> bool {
        self.lab.exec(host, &["sh", "-c", test]).status.success()
    }

    /// Runs shell text on a host.
    pub(crate) fn sh(&self, host: &str, text: &str) -> String {
        self.lab.ok(host, &["sh", "-c", text])
    }
}

/// A host's share of a plan.
pub(crate) fn of<'a>(plan: &'a Value, host: &str) -> &'a Value {
    let plan = plan.get("plan").unwrap_or(plan);
    let hosts = plan["hosts"].as_array().unwrap();
    let found = hosts.iter().find(|share| share["host"] == host);
    found.unwrap_or_else(|| panic!("no {host} in {plan}"))
}

/// The kinds of change of a host's share.
pub(crate) fn changes(plan: &Value, host: &str) -> Vec<String> {
    let changes = of(plan, host)["changes"].as_array().unwrap();
    changes.iter().map(|change| change["change"].as_str().unwrap().to_owned()).collect()
}

/// The outcome of a host's share of an apply.
pub(crate) fn outcome<'a>(applied: &'a Value, host: &str) -> &'a str {
    let outcomes = applied["outcomes"].as_array().unwrap();
    let found = outcomes.iter().find(|outcome| outcome["host"] == host);
    found.and_then(|outcome| outcome["outcome"].as_str()).unwrap_or("absent")
}

/// What running traffic feels of a plan, at most.
pub(crate) fn disruptions(plan: &Value) -> Vec<&str> {
    let hosts = plan["hosts"].as_array().unwrap();
    let changed = hosts.iter().filter(|share| !share["changes"].as_array().unwrap().is_empty());
    changed.map(|share| share["disruption"].as_str().unwrap()).collect()
}

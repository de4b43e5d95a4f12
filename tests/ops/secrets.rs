//! No secret of the vault is seen anywhere but where it is used.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wgfleet::model::{HostName, PublicKey};
use wgfleet::vault::{Identities, Unattended, Vault};

use crate::fleet::Fleet;
use crate::watch::{Watch, readable};

/// Every secret of a vault by what it is: raw, in base64 and in hexadecimal digits.
#[derive(Default)]
struct Needles {
    /// By their first bytes, so that a long text is read once.
    heads: HashMap<[u8; HEAD], BTreeMap<Vec<u8>, String>>,
    names: BTreeSet<String>,
}

/// How many bytes of a secret are looked for at first.
const HEAD: usize = 8;

impl Needles {
    fn add(&mut self, what: String, bytes: &[u8]) {
        let base64 = BASE64_STANDARD.encode(bytes);
        let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let upper = hex.to_uppercase();
        for form in [bytes.to_vec(), base64.into_bytes(), hex.into_bytes(), upper.into_bytes()] {
            let head = form[..HEAD].try_into().unwrap();
            self.heads.entry(head).or_default().insert(form, what.clone());
        }
        self.names.insert(what);
    }

    /// Everything that the vault holds or derives now.
    fn collect(&mut self, fleet: &Fleet) {
        let vault = Vault::open(&fleet.folder().join("vault")).unwrap();
        let identity = fleet.folder().join("config/wgfleet/identity-ops.txt");
        let identities = Identities::load(std::slice::from_ref(&identity), &Unattended).unwrap();
        let unlocked = vault.unlock(&identities);
        let index = vault.index();
        let names: Vec<HostName> = index.names().cloned().collect();
        let mut publics: Vec<PublicKey> = Vec::new();
        for name in &names {
            let key = unlocked.private_key(name).unwrap();
            self.add(format!("the private key {} of {name}", key.public()), key.expose());
            publics.push(key.public());
            if let Ok(key) = unlocked.next_private_key(name) {
                self.add(format!("the next private key of {name}"), key.expose());
                publics.push(key.public());
            }
            let key = unlocked.fingerprint_key(name).unwrap();
            self.add(format!("the fingerprint key of {name}"), key.expose());
        }
        let epoch = index.epoch().unwrap();
        for (n, one) in publics.iter().enumerate() {
            for other in &publics[n + 1..] {
                let psk = unlocked.pairwise_psk(one, other, epoch).unwrap();
                self.add(format!("the PSK of {one} and {other}"), psk.expose());
            }
        }
        // What no method gives: the masters themselves, as age sees them.
        for file in files(&fleet.folder().join("vault")) {
            if file.extension().is_none_or(|end| end != "age") {
                continue;
            }
            let mut age = Command::new("age");
            let output = age.arg("-d").arg("-i").arg(&identity).arg(&file).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let words =
                text.split_whitespace().filter_map(|word| BASE64_STANDARD.decode(word).ok());
            let secrets: Vec<_> = words.filter(|bytes| bytes.len() == 32).collect();
            assert!(!secrets.is_empty(), "{} is empty", file.display());
            for bytes in secrets {
                self.add(format!("a secret in {}", file.display()), &bytes);
            }
        }
        let identity = fs::read_to_string(identity).unwrap();
        let line = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
        self.add("the identity".to_owned(), line.as_bytes());
    }

    /// What of it is in some bytes.
    fn find(&self, text: &[u8]) -> Vec<&str> {
        let mut found = BTreeSet::new();
        for (at, head) in text.windows(HEAD).enumerate() {
            for (form, what) in self.heads.get(head).into_iter().flatten() {
                if text[at..].starts_with(form) {
                    found.insert(what.as_str());
                }
            }
        }
        found.into_iter().collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn nothing_that_others_can_see_holds_a_secret() {
    let fleet = Fleet::up(
        "fleet: ops
networks:
  net: { interface: wg0, prefixes: [10.90.0.0/24, 'fd90::/64'], psk: pairwise, links: { hub: a } }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820', post_up: 'true' }
  b: { ssh: ops@b.example.com, address: 10.90.0.2, nat: true, backend: wireguard-go }
  c: { ssh: ops@c.example.com, become: doas, address: 10.90.0.3, nat: true }
peers:
  phone: { via: a }
",
        &["--without", "c=wg,wg-quick,wireguard-go", "--systemd", "b"],
    );
    // Once more from the beginning, in sight.
    fs::remove_dir_all(fleet.folder().join("vault")).unwrap();
    fs::remove_dir_all(fleet.folder().join("config")).unwrap();
    let hosts = ["a", "b", "c"];
    let roots: Vec<PathBuf> = hosts.map(|host| fleet.root(host)).into();
    let mut closed: Vec<PathBuf> = roots.iter().map(|root| root.join("run/wgfleet")).collect();
    closed.push(fleet.folder().join("config"));
    closed.push(fleet.folder().join("rendered"));
    let watch = Watch::begin(closed);
    let confs = Watch::begin(roots.iter().map(|root| root.join("etc/wireguard")).collect());
    let rendered = fleet.folder().join("rendered");
    let plan = fleet.folder().join("fleet.plan");
    let (rendered, plan) = (rendered.to_str().unwrap(), plan.to_str().unwrap());

    let mut said: Vec<(String, Output)> = Vec::new();
    let mut needles = Needles::default();
    let mut run = |args: &[&str]| {
        let mut command = fleet.command(args);
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        said.push((args.join(" "), command.output().unwrap()));
    };
    run(&["vault", "init", "--fleet", "ops"]);
    run(&["vault", "keygen"]);
    needles.collect(&fleet);
    for format in ["human", "json"] {
        run(&["vault", "status", "--format", format, "--verify"]);
        run(&["render", "-o", rendered]);
        run(&["plan", "--format", format, "--out", plan]);
        run(&["apply", "--format", format, "--yes"]);
        run(&["status", "--format", format]);
        run(&["rotate", "--format", format, "--yes", "a", "c"]);
        needles.collect(&fleet);
        // A change that only secrets make, seen as a diff.
        fleet.sh("a", "sed -i 's/^PresharedKey = ./PresharedKey = A/' /etc/wireguard/wg0.conf");
        run(&["plan", "--format", format]);
        run(&["apply", "--format", format, "--yes"]);
    }
    let (seen, confs) = (watch.end(), confs.end());
    for (args, output) in &said {
        assert!(output.status.success(), "{args}: {output:?}");
    }
    // What was looked at was there to be seen.
    assert!(needles.names.len() > 20, "{}", needles.names.len());
    assert!(seen.looks > 500 && confs.looks > 500, "{} {}", seen.looks, confs.looks);
    let staged = seen.files.iter().filter(|path| path.to_string_lossy().contains("/c")).count();
    assert!(staged > 3 && confs.files.len() >= 3, "{:?} {:?}", seen.files, confs.files);
    assert!(seen.processes.iter().any(|text| text.windows(6).any(|word| word == b"apply\0")));

    for (args, output) in &said {
        for text in [&output.stdout, &output.stderr] {
            assert_eq!(needles.find(text), [""; 0], "wgfleet {args}");
        }
    }
    for text in seen.processes.iter().chain(&confs.processes) {
        let found = needles.find(text);
        assert_eq!(found, [""; 0], "a process: {}", String::from_utf8_lossy(text));
    }
    assert!(seen.open.is_empty(), "others could read {:?}", seen.open);
    assert!(confs.open.is_empty(), "others could read {:?}", confs.open);
    let mut open = Vec::new();
    for root in &roots {
        for folder in ["etc", "run", "tmp", "root", "home", "var/log", "var/tmp"] {
            readable(&root.join(folder), &mut open);
        }
    }
    readable(fleet.folder(), &mut open);
    readable(&Path::new(wgfleet::lab::STATE_ROOT).join(fleet.lab.name()), &mut open);
    assert!(open.iter().any(|(path, _)| path.ends_with("fleet.plan")));
    for (path, text) in &open {
        assert_eq!(needles.find(text), [""; 0], "{}", path.display());
    }
    // The search finds what is there.
    let own = fs::read(roots[0].join("etc/wireguard/wg0.conf")).unwrap();
    assert!(needles.find(&own).len() >= 3);
}

//! Peers that come, get another key, and go: the file, the lock file and the vault.

use std::fs;

use crate::bench::Bench;
use crate::documents::document;
use crate::{FLEET, Lines as _};

const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

fn index(bench: &Bench) -> String {
    fs::read_to_string(bench.folder().join("vault/index.json")).expect("it is there")
}

/// How many keys the vault has of a peer.
fn keys(bench: &Bench, name: &str) -> usize {
    index(bench).matches(&format!("\"name\":\"{name}\"")).count()
        + index(bench).matches(&format!("\"name\": \"{name}\"")).count()
}

#[test]
fn a_phone_is_added_with_its_key_and_its_address() {
    let bench = Bench::new(FLEET);
    let ran = bench.done(&["peer", "add", "alice", "--via", "a", "--conf"]);
    let line = "  partner: { via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }\n";
    let wanted = FLEET.replace(line, &format!("{line}  alice: {{ via: a, keepalive: 25 }}\n"));
    assert_eq!(bench.inventory(), wanted, "comments and order stay");
    assert!(ran.stdout.contains("PersistentKeepalive = 25"), "{ran:?}");
    assert!(ran.stderr.contains("wgfleet apply"), "{ran:?}");
    let address = ran.stdout.setting("Address").split('/').next().expect("an address").to_owned();
    let lock = fs::read_to_string(bench.folder().join("fleet.lock")).expect("it is there");
    assert!(lock.contains(&format!("\"alice\": [\"{address}\"")), "{lock}");
    assert_eq!(keys(&bench, "alice"), 1);
    // What was handed out is what hosts will have.
    assert_eq!(bench.done(&["peer", "show", "alice", "--conf"]).stdout, ran.stdout);
    bench.done(&["check"]);
    assert!(
        bench.fails(&["peer", "add", "alice", "--via", "a"], 64).contains("such a peer already")
    );
}

#[test]
fn all_that_a_peer_can_have_is_written_as_it_is_read() {
    let bench = Bench::new(FLEET);
    let words = "peer add site-x --via a,b --network n --address 10.9.0.77,fd09::77 --public-key-file FILE \
                 --endpoint [2001:db8::7]:51820 --subnets 172.20.0.0/16,fd20::/64 --dns 10.9.0.1,a.example \
                 --mtu 1300 --format json";
    let file = bench.outside("key.pub");
    fs::write(&file, format!("{KEY}\n")).expect("it can be written");
    let file = file.to_str().expect("a name");
    let words: Vec<&str> =
        words.split_whitespace().map(|word| if word == "FILE" { file } else { word }).collect();
    let told = document(bench.done(&words).stdout.as_bytes());
    assert_eq!(told["action"], "added");
    assert_eq!(told["device"]["private_key"], "peer");
    assert_eq!(told["device"]["addresses"][1], "fd09::77/64");
    assert_eq!(told["device"]["mtu"], 1300);
    assert_eq!(told["device"]["via"].as_array().expect("a list").len(), 2);
    let file = bench.inventory();
    assert!(
        file.contains("endpoint: \"[2001:db8::7]:51820\", subnets: [172.20.0.0/16, \"fd20::/64\"]"),
        "{file}"
    );
    assert!(
        !file.lines().any(|line| line.contains("site-x") && line.contains("keepalive")),
        "{file}"
    );
    assert_eq!(keys(&bench, "site-x"), 0);
    let shown = bench.done(&["explain", "site-x"]).stdout;
    assert!(shown.contains("172.20.0.0/16") && shown.contains("its endpoint"), "{shown}");
}

#[test]
fn a_fleet_that_would_be_wrong_is_not_written() {
    let bench = Bench::new(FLEET);
    let before = (bench.inventory(), index(&bench));
    for words in [
        &["--via", "nobody"][..],
        &["--via", "a", "--address", "10.9.0.1"],
        &["--via", "a", "--address", "192.0.2.1"],
        &["--via", "a", "--dns", "not a name"],
        &["--via", "a", "--keepalive", "often"],
        &["--via", "a", "--subnets", "10.9.0.0/25"],
    ] {
        let words = [&["peer", "add", "x"][..], words].concat();
        let said = bench.fails(&words, 3);
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!((bench.inventory(), index(&bench)), before, "{words:?}");
    }
    let said = bench.fails(&["peer", "add", "a", "--via", "b"], 3);
    assert!(said.contains("nothing was changed"), "{said}");
    bench.fails(&["peer", "add", "x", "--via", "a", "--locked"], 3);
    assert_eq!((bench.inventory(), index(&bench)), before);
    // The lock file is not written either.
    let lock = fs::read_to_string(bench.folder().join("fleet.lock")).expect("it is there");
    assert!(!lock.contains("\"x\""), "{lock}");
}

#[test]
fn a_file_that_only_a_person_can_change_is_left_alone() {
    let bench = Bench::new(
        "fleet: acme\nnetworks: { n: { prefixes: 10.9.0.0/24 } }\n\
         hosts: { a: { endpoint: 'a.example.com:51820' } }\npeers:\n  x: &x { via: a }\n  y: *x\n",
    );
    let before = bench.inventory();
    let said = bench.fails(&["peer", "remove", "x"], 64);
    assert!(said.contains("only a person can change"), "{said}");
    assert_eq!(bench.inventory(), before);
    // One that has nothing to do with it can come.
    bench.done(&["peer", "add", "z", "--via", "a", "--keepalive", "off"]);
    assert_eq!(bench.inventory(), format!("{before}  z: {{ via: a, keepalive: off }}\n"));
}

#[test]
fn an_included_file_is_changed_where_the_peers_are() {
    let bench = Bench::new(
        "fleet: acme\nnetworks: { n: { prefixes: 10.9.0.0/24 } }\n\
         hosts: { a: { endpoint: 'a.example.com:51820' } }\npeers: { first: { via: a } }\n",
    );
    let other = bench.folder().join("peers.yaml");
    fs::write(&other, "# phones\npeers:\n  x: { via: a }\n").expect("it can be written");
    let including = bench.inventory().replace("networks:", "include: peers.yaml\nnetworks:");
    fs::write(bench.file(), including).expect("it can be written");
    bench.done(&["vault", "keygen"]);
    let before = bench.inventory();
    bench.done(&["peer", "add", "z", "--via", "a"]);
    bench.done(&["peer", "remove", "x"]);
    let text = fs::read_to_string(&other).expect("it is there");
    assert_eq!(text, "# phones\npeers:\n  z: { via: a, keepalive: 25 }\n");
    assert_eq!(bench.inventory(), before);
    bench.done(&["peer", "remove", "first"]);
    assert_eq!(bench.inventory(), before.replace(" first: { via: a } ", " "));
}

#[test]
fn a_peer_gets_another_key() {
    let bench = Bench::new(FLEET);
    let before = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    let file = bench.inventory();
    let after = bench.done(&["peer", "rotate", "phone", "--conf"]).stdout;
    assert_ne!(before.setting("PrivateKey"), after.setting("PrivateKey"));
    assert_ne!(before.setting("PresharedKey"), after.setting("PresharedKey"));
    assert_eq!(before.setting("Address"), after.setting("Address"));
    assert_eq!(bench.inventory(), file);
    // Again and again: one key of the past at most is kept.
    bench.done(&["peer", "rotate", "phone"]);
    assert_eq!(keys(&bench, "phone"), 2);

    let said = bench.fails(&["peer", "rotate", "partner"], 64);
    assert!(said.contains("--public-key-file FILE") && said.contains("--in-vault"), "{said}");
    let file = bench.outside("key.pub");
    let file = file.to_str().expect("a name");
    fs::write(file, "no key\n").expect("it can be written");
    let said = bench.fails(&["peer", "rotate", "partner", "--public-key-file", file], 64);
    assert!(said.contains("holds no public key"), "{said}");
    fs::write(file, format!("{KEY}\n")).expect("it can be written");
    bench.done(&["peer", "rotate", "partner", "--public-key-file", file]);
    assert!(bench.inventory().contains(&format!("partner: {{ via: a, public_key: {KEY} }}")));
    bench.done(&["peer", "rotate", "partner", "--in-vault"]);
    assert!(bench.inventory().contains("partner: { via: a }"), "{}", bench.inventory());
    assert_eq!(keys(&bench, "partner"), 1);
    bench.done(&["peer", "rotate", "partner", "--public-key-file", file]);
    assert_eq!(keys(&bench, "partner"), 0, "what nobody uses is not kept");
    bench.done(&["check"]);
}

#[test]
fn a_key_is_forgotten_after_it_was_handed_over() {
    let bench = Bench::new(FLEET);
    let conf = bench.done(&["peer", "show", "phone", "--conf", "--forget-key"]).stdout;
    assert_eq!(keys(&bench, "phone"), 0);
    let shown = bench.done(&["peer", "show", "phone"]).stdout;
    assert!(shown.contains("only the peer has it"), "{shown}");
    let key = shown.lines().find_map(|line| line.trim().strip_prefix("public key")).expect("a key");
    assert!(bench.inventory().contains(&format!("public_key: {}", key.trim())));
    assert!(bench.inventory().contains("} # Alice's"), "{}", bench.inventory());
    let said = bench.fails(&["peer", "show", "phone", "--conf"], 10);
    assert!(said.contains("wgfleet peer rotate phone --in-vault"), "{said}");
    // Hosts know it by the same key, and a peer with a key of its own has no preshared key.
    let out = bench.outside("out");
    bench.done(&["render", "a", "-o", out.to_str().expect("a name")]);
    let host = fs::read_to_string(out.join("a/wg0.conf")).expect("it is there");
    assert!(
        host.contains(&format!("# phone\n[Peer]\nPublicKey = {}\nAllowedIPs", key.trim())),
        "{host}"
    );
    assert!(conf.contains("PrivateKey = ") && !conf.contains("PresharedKey"), "{conf}");

    let bench = Bench::new(FLEET);
    let png = bench.outside("kiosk.png");
    let png = png.to_str().expect("a name");
    bench.done(&["peer", "add", "kiosk", "--via", "a", "--png", png, "--forget-key"]);
    assert_eq!(keys(&bench, "kiosk"), 0);
    assert!(bench.inventory().contains("kiosk: { public_key: "), "{}", bench.inventory());
    let said = bench.fails(&["peer", "add", "x", "--via", "a", "--forget-key"], 64);
    assert!(said.contains("--qr"), "{said}");
}

#[test]
fn a_peer_goes_and_its_key_is_not_used_again() {
    let bench = Bench::new(FLEET);
    let before = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    let told =
        document(bench.done(&["peer", "remove", "phone", "--format", "json"]).stdout.as_bytes());
    assert_eq!((&told["action"], &told["device"]), (&"removed".into(), &serde_json::Value::Null));
    assert_eq!(
        bench.inventory(),
        FLEET.replace("  phone: { via: a, keepalive: 25 } # Alice's\n", "")
    );
    assert_eq!(keys(&bench, "phone"), 0);
    let after = bench.done(&["peer", "add", "phone", "--via", "a", "--conf"]).stdout;
    assert_ne!(before.setting("PrivateKey"), after.setting("PrivateKey"));
    assert_eq!(before.setting("Address"), after.setting("Address"), "its address was kept for it");

    // The same where somebody took the lines out by hand.
    let line = "  phone: { via: a, keepalive: 25 }\n";
    let without = bench.inventory().replace(line, "");
    fs::write(bench.file(), without).expect("it can be written");
    let again = bench.done(&["peer", "add", "phone", "--via", "a", "--conf"]).stdout;
    assert_ne!(again.setting("PrivateKey"), after.setting("PrivateKey"));

    fs::write(
        bench.file(),
        format!("{}expect: [{{ allow: {{ from: tablet, to: b }} }}]\n", bench.inventory()),
    )
    .expect("it can be written");
    let file = bench.inventory();
    let said = bench.fails(&["peer", "remove", "tablet"], 3);
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(bench.inventory(), file);
}

//! Files of some hosts only, and where none are written.

use std::fs;

use crate::FLEET;
use crate::bench::{Bench, files};

#[test]
fn only_the_hosts_that_are_named_are_rendered() {
    let bench = Bench::new(FLEET);
    let out = bench.outside("out");
    let folder = out.to_str().expect("a name");
    bench.done(&["render", "-o", folder, "phone", "b"]);
    assert_eq!(files(&out), ["b/wg0.conf", "phone/wg0.conf"]);
    let named = fs::read_to_string(out.join("b/wg0.conf")).expect("it is there");
    assert!(named.contains("# a\n[Peer]"), "its peers come from the whole file: {named}");

    let limited = bench.outside("limited");
    let ran = bench.done(&["render", "-o", limited.to_str().expect("a name"), "--limit", "a,b"]);
    assert!(ran.stderr.contains("wrote 2 files into"), "{ran:?}");
    assert_eq!(files(&limited), ["a/wg0.conf", "b/wg0.conf"]);

    let all = bench.outside("all");
    bench.done(&["render", "-o", all.to_str().expect("a name")]);
    assert_eq!(files(&all), ["a/wg0.conf", "b/wg0.conf", "phone/wg0.conf", "tablet/wg0.conf"]);
}

#[test]
fn a_name_that_has_no_file_is_refused_before_anything_is_written() {
    let bench = Bench::new(FLEET);
    let out = bench.outside("out");
    let folder = out.to_str().expect("a name");
    let said = bench.fails(&["render", "-o", folder, "phome"], 64);
    assert!(said.contains("did you mean `phone`?"), "{said}");
    let said = bench.fails(&["render", "-o", folder, "--limit", "partner"], 64);
    assert!(said.contains("has its key in the inventory"), "{said}");
    bench.fails(&["render", "-o", folder, "a", "--limit", "b"], 64);
    assert!(!out.exists());
}

#[test]
fn a_work_tree_gets_no_keys_unless_git_ignores_them() {
    let bench = Bench::new(FLEET);
    let done = std::process::Command::new("git")
        .arg("-C")
        .arg(bench.folder())
        .args(["init", "-q"])
        .status()
        .expect("git runs");
    assert!(done.success());
    let said = bench.fails(&["render", "-o", "out", "phone"], 10);
    assert!(said.contains("work tree"), "{said}");
    assert!(!bench.folder().join("out").exists());
    fs::write(bench.folder().join(".gitignore"), "/out/\n").expect("it can be written");
    bench.done(&["render", "-o", "out", "phone"]);
    assert_eq!(files(&bench.folder().join("out")), ["phone/wg0.conf"]);
}

#[test]
fn a_vault_is_named_as_the_inventory_is() {
    let bench = Bench::new(FLEET);
    let index = fs::read_to_string(bench.folder().join("vault/index.json")).expect("it is there");
    assert!(index.contains("\"fleet\": \"acme\""), "{index}");
    fs::remove_dir_all(bench.folder().join("vault")).expect("it goes");
    let said = bench.fails(&["vault", "init", "--fleet", "other"], 64);
    assert!(said.contains("`acme`") && said.contains("`other`"), "{said}");
    fs::write(bench.file(), "fleet: [").expect("it can be written");
    let said = bench.fails(&["vault", "init"], 3);
    assert!(said.contains("--fleet NAME") && said.contains("wgfleet check"), "{said}");
    fs::remove_file(bench.file()).expect("it goes");
    let said = bench.fails(&["vault", "init"], 1);
    assert!(said.contains("--fleet NAME"), "{said}");
    bench.done(&["vault", "init", "--fleet", "acme"]);
}

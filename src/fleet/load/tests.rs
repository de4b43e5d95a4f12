//! Inventories on disk and in revisions of git.

use std::process::Command;

use super::*;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_fleet_in_several_files_is_one_fleet_and_its_addresses_are_pinned() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "fleet.yaml", "fleet: f\ninclude: [sites/*.yaml, net.yaml]\n");
    write(folder.path(), "net.yaml", "networks: {n: {prefixes: 10.0.0.0/24}}\n");
    write(folder.path(), "sites/b.yaml", "sites: {s-b: {hosts: {b: {}}}}\n");
    write(folder.path(), "sites/a.yaml", "sites: {s-a: {hosts: {a: {}}}}\n");
    let loaded = load(folder.path()).unwrap();
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let hosts: Vec<String> =
        loaded.inventory.as_ref().unwrap().hosts.iter().map(|h| h.name.value.to_string()).collect();
    assert_eq!(hosts, ["a", "b"]);
    assert!(loaded.save_lock().unwrap());
    let again = load(folder.path()).unwrap();
    assert!(!again.lock_changed && again.lock == loaded.lock);
}

#[test]
fn includes_that_fail_are_findings_at_their_line() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "fleet.yaml",
        "fleet: f\ninclude:\n  - a.yaml\n  - gone.yaml\n  - none/*.yaml\n  - latin.yaml\n",
    );
    write(folder.path(), "a.yaml", "include: b.yaml\nfleet: again\n");
    write(folder.path(), "b.yaml", "include: fleet.yaml\nnetworks: {n: {prefixes: 10.0.0.0/24}}\n");
    fs::write(folder.path().join("latin.yaml"), b"# caf\xe9\n").unwrap();
    write(folder.path(), "fleet.lock", "{\"version\": 9}");
    let loaded = load(folder.path()).unwrap();
    let line = |finding: &Finding| {
        let at = loaded.sources.describe(finding.primary.at);
        let help = finding.help.as_deref().unwrap_or_default();
        format!("{} {at}: {}; {help}", finding.code, finding.title)
    };
    let text = loaded.findings.iter().map(line).collect::<Vec<_>>().join("\n");
    let text = text.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text);
}

fn git(folder: &Path, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let done = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn hosts(loaded: &Loaded) -> Vec<String> {
    let inventory = loaded.inventory.as_ref().unwrap_or_else(|| panic!("{:?}", loaded.findings));
    inventory.hosts.iter().map(|host| host.name.value.to_string()).collect()
}

#[test]
fn a_revision_is_read_from_git_and_nothing_of_it_from_the_disk() {
    let top = tempfile::tempdir().unwrap();
    let fleet = top.path().join("fleet");
    git(top.path(), &["init", "-q"]);
    write(
        &fleet,
        "fleet.yaml",
        "fleet: f\ninclude: [sites/*.yaml, linked/*.yaml, ../shared/net.yaml]\n",
    );
    write(&fleet, "sites/a.yaml", "hosts: {a: {}}\n");
    write(&fleet, "templates/wg0.conf.j2", "old\n");
    write(top.path(), "more/b.yaml", "hosts: {b: {}}\n");
    write(top.path(), "shared/net.yaml", "networks: {n: {prefixes: 10.0.0.0/24}}\n");
    std::os::unix::fs::symlink("../more", fleet.join("linked")).unwrap();
    let first = load(&fleet).unwrap_or_else(|error| panic!("{error}"));
    // `../shared` and `../more` are not the fleet's before git tracks them.
    assert!(first.inventory.is_none());
    git(top.path(), &["add", "."]);
    let first = load(&fleet).unwrap();
    assert_eq!(hosts(&first), ["a", "b"]);
    assert!(first.save_lock().unwrap());
    git(top.path(), &["add", "."]);
    git(top.path(), &["commit", "-q", "-m", "first"]);
    git(top.path(), &["tag", "before"]);
    // Everything changes, and the fleet's own folder goes.
    write(&fleet, "sites/a.yaml", "hosts: {c: {}}\n");
    write(&fleet, "templates/wg0.conf.j2", "new\n");
    fs::remove_file(fleet.join("linked")).unwrap();
    fs::remove_dir_all(top.path().join("shared")).unwrap();
    fs::write(fleet.join("fleet.lock"), "no lock").unwrap();
    let before = load_at(&fleet, "before").unwrap().unwrap();
    assert_eq!(hosts(&before), ["a", "b"]);
    assert_eq!(before.lock, first.lock);
    assert!(!before.lock_changed && before.lock_path.is_none());
    assert_eq!(before.template().unwrap().as_deref(), Some(&b"old\n"[..]));
    let paths: Vec<String> = before
        .sources
        .files()
        .map(|(_, file)| file.path.display().to_string())
        .map(|path| path.replace(&top.path().display().to_string(), "DIR"))
        .collect();
    assert_eq!(
        paths,
        [
            "before:DIR/fleet/fleet.yaml",
            "before:DIR/fleet/sites/a.yaml",
            "before:DIR/fleet/linked/b.yaml",
            "before:DIR/fleet/../shared/net.yaml",
            "before:DIR/fleet/fleet.lock",
        ]
    );
    fs::remove_file(fleet.join("fleet.yaml")).unwrap();
    assert_eq!(hosts(&load_at(&fleet.join("fleet.yaml"), "before").unwrap().unwrap()), ["a", "b"]);
}

#[test]
fn a_revision_does_not_lead_out_of_its_tree() {
    let top = tempfile::tempdir().unwrap();
    git(top.path(), &["init", "-q"]);
    let text = "fleet: f\nnetworks: {n: {prefixes: 10.0.0.0/24}}\nhosts: {a: {}}\n";
    write(top.path(), "out/hosts.yaml", "hosts: {b: {}}\n");
    let root = top.path().join("repository");
    write(&root, "fleet.yaml", text);
    git(&root, &["init", "-q"]);
    for (target, name) in [
        ("../out/hosts.yaml", "up.yaml"),
        ("/etc/hostname", "absolute.yaml"),
        ("loop.yaml", "loop.yaml"),
        ("../out", "folder"),
    ] {
        std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    }
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "links"]);
    for (include, said) in [
        ("up.yaml", "outside the fleet's folder"),
        ("absolute.yaml", "outside the fleet's folder"),
        ("folder/hosts.yaml", "outside the fleet's folder"),
        ("../out/hosts.yaml", "outside the fleet's folder"),
        ("/etc/hostname", "outside the fleet's folder"),
        ("loop.yaml", "too many links"),
        (".git/config", "not found"),
        ("/etc/*", "no file matches"),
        ("folder/*", "no file matches"),
    ] {
        write(&root, "fleet.yaml", &format!("include: ['{include}']\n{text}"));
        git(&root, &["commit", "-q", "-a", "-m", include]);
        let loaded = load_at(&root, "HEAD").unwrap().unwrap();
        let found: Vec<&str> = loaded.findings.iter().map(|f| f.title.as_str()).collect();
        assert!(found.len() == 1 && found[0].contains(said), "{include}: {found:?}");
        // And neither does the disk.
        assert!(load(&root).unwrap().inventory.is_none(), "{include}");
    }
    for (origin, revision) in [(root.as_path(), "no-such-branch"), (Path::new("-"), "HEAD")] {
        assert_eq!(load_at(origin, revision).unwrap_err().kind(), Kind::Usage);
    }
    assert!(load_at(&root.join("gone.yaml"), "HEAD").unwrap().is_none());
}

#[test]
fn patterns_do_not_multiply_through_links() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d"] {
        std::os::unix::fs::symlink(".", folder.path().join(name)).unwrap();
    }
    let pattern = "*/".repeat(30);
    let text = format!(
        "fleet: f\nnetworks: {{n: {{prefixes: 10.0.0.0/24}}}}\nhosts: {{h: {{}}}}\n\
         include: ['{pattern}x*.yaml']\n"
    );
    write(folder.path(), "fleet.yaml", &text);
    write(folder.path(), "x.yaml", "hosts: {i: {}}\n");
    assert_eq!(hosts(&load(folder.path()).unwrap()), ["h", "i"]);
    write(folder.path(), "fleet.yaml", &text.replace("x*", "*/*/*/x*"));
    assert!(load(folder.path()).unwrap().inventory.is_none());
}

#[test]
fn a_fleet_file_that_git_tracks_as_a_link_does_not_lead_out() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), "own.yaml", "fleet: f\n");
    let root = top.path().join("repository");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("../own.yaml", root.join("fleet.yaml")).unwrap();
    // The operator's own link may lead anywhere.
    assert!(load(&root).is_ok());
    git(&root, &["init", "-q"]);
    assert!(load(&root).is_ok());
    git(&root, &["add", "fleet.yaml"]);
    let error = load(&root).unwrap_err().to_string();
    assert!(error.contains("outside the fleet's folder"), "{error}");
    let allowed = [top.path().to_owned()];
    let origin = Origin { file: &root, lock: None, include_from: &allowed, now: None };
    assert!(load(origin).is_ok());
}

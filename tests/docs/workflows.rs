//! What runs on somebody else's machines: actions named by digest, permissions named, nothing
//! published that was not tested; and one version of Rust everywhere.

use std::fs;

use crate::root;

/// The workflows, by name.
fn workflows() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(".github/workflows")).expect("there are workflows");
    let mut read: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("text"))
        })
        .collect();
    read.sort();
    read
}

/// The value of `key:` in a line, with or without the dash of a list before it.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.trim_start().trim_start_matches("- ").strip_prefix(key)?;
    Some(rest.strip_prefix(':')?.trim())
}

/// The names of a workflow's jobs, each with its lines.
fn jobs(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut jobs: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().skip_while(|line| *line != "jobs:").skip(1) {
        let inner = line.strip_prefix("  ").filter(|inner| !inner.starts_with([' ', '#']));
        match inner.and_then(|inner| inner.strip_suffix(':')) {
            Some(name) => jobs.push((name, Vec::new())),
            // Comments stand before the first job, too.
            None => jobs.last_mut().into_iter().for_each(|(_, lines)| lines.push(line)),
        }
    }
    jobs
}

#[test]
fn every_action_is_named_by_its_digest_and_version() {
    let mut seen = 0;
    for (name, text) in workflows() {
        for line in text.lines() {
            let Some(action) = value(line, "uses") else { continue };
            seen += 1;
            let (action, version) = action.split_once(" # ").unwrap_or((action, ""));
            let digest = action.split_once('@').map_or("", |(_, digest)| digest);
            let whole = digest.len() == 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(whole, "{name}: {line}: a tag can be moved, so name the commit: @SHA # v1.2.3");
            let dotted = version.strip_prefix('v').is_some_and(|rest| rest.contains('.'));
            assert!(dotted, "{name}: {line}: say the version, too: # v1.2.3");
        }
    }
    assert!(seen >= 5, "{seen} actions");
}

#[test]
fn every_job_names_its_permissions_and_its_longest_time() {
    for (name, text) in workflows() {
        assert!(text.contains("\npermissions: {}\n"), "{name}: no job has what it does not name");
        let jobs = jobs(&text);
        assert!(!jobs.is_empty(), "{name}");
        for (job, lines) in jobs {
            for key in ["permissions", "timeout-minutes"] {
                let named = lines.iter().any(|line| value(line, key).is_some());
                assert!(named, "{name}: job {job} names no {key}");
            }
            // Whoever may write checks nothing out, so no script of a change runs with that right.
            let writes = lines.iter().any(|line| line.contains(": write"));
            let checks_out = lines.iter().any(|line| line.contains("actions/checkout@"));
            assert!(!(writes && checks_out), "{name}: job {job}");
        }
    }
}

#[test]
fn a_pull_request_gets_no_secret_and_no_right_to_write() {
    let workflows = workflows();
    let asked = |text: &str| text.contains("pull_request");
    let texts: Vec<_> = workflows.iter().filter(|(_, text)| asked(text)).collect();
    assert!(!texts.is_empty(), "a pull request is looked at");
    for (name, text) in texts {
        for never in ["pull_request_target", ": write", "secrets.", "GH_TOKEN"] {
            assert!(!text.contains(never), "{name}: {never}");
        }
        for step in ["make lint", "make test-quick", "--target \"$TARGET\"", "deny.sh advisories"] {
            assert!(text.contains(step), "{name}: {step}");
        }
    }
}

#[test]
fn a_release_is_tested_and_attested_before_it_is_published() {
    let (_, text) = workflows().into_iter().find(|(name, _)| name == "release.yml").expect("one");
    let jobs = jobs(&text);
    let lines = |name: &str| {
        let job = jobs.iter().find(|(job, _)| *job == name);
        job.unwrap_or_else(|| panic!("no job {name}")).1.join("\n")
    };
    assert!(lines("test").contains(".ci/run"));
    let release = lines("release");
    assert!(release.contains("needs: [test, build]"), "{release}");
    let place = |text: &str| release.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(place("actions/attest-build-provenance@") < place("gh release create"));
    for machine in ["machine: x86_64", "machine: aarch64"] {
        assert!(lines("build").contains(machine), "{machine}");
    }
}

#[test]
fn one_version_of_rust_is_named() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let quoted = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        let quoted = line.and_then(|line| line.split('"').nth(1));
        quoted.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    let used = quoted(&read("rust-toolchain.toml"), "channel");
    let least = quoted(&read("Cargo.toml"), "rust-version");
    assert!(used.starts_with(&format!("{least}.")), "{used} is used, {least} is the least");
    assert!(read("README.md").contains(&format!("Rust {least}")));
}

//! A pull request that tries to make a machine of CI show, run or block something: none of it works,
//! with any command that CI runs on pull requests. The inventories lie in `inventories/hostile`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What nobody may see: an identity, a token, a password, a line of prose.
const SECRETS: [&str; 5] = [
    "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM",
    "canary-in-the-environment",
    "canary-in-git-config",
    "canary-outside",
    "canary-in-prose",
];

/// A command that takes longer is blocked.
const LONGEST: Duration = Duration::from_mins(1);

struct Repository {
    top: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("repository");
        let fleet = root.join("fleet");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories/hostile"), &fleet);
        let identity = format!("# created: today\n{}\n", SECRETS[0]);
        fs::write(top.path().join("outside.txt"), format!("{}\n{identity}", SECRETS[3])).unwrap();
        fs::write(root.join("untracked.txt"), format!("hosts: {}\n", SECRETS[3])).unwrap();
        fs::create_dir_all(fleet.join("sites")).unwrap();
        fs::create_dir_all(fleet.join("template/templates")).unwrap();
        fs::write(fleet.join("sites/prose.yaml"), format!("- {}\n- b: [\n", SECRETS[4])).unwrap();
        for (to, name) in [
            ("../../../outside.txt", "sites/link.yaml"),
            ("../../../../outside.txt", "template/templates/wg0.conf.j2"),
            ("../../../outside.txt", "lock/fleet.lock"),
        ] {
            symlink(to, fleet.join(name)).unwrap();
        }
        let git = |words: &[&str]| {
            let done = Command::new("git").arg("-C").arg(&root).args(words).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "-q"]);
        git(&["config", "http.extraheader", SECRETS[2]]);
        git(&["add", "fleet"]);
        // What git cannot keep.
        let node = |name: &str, kind, device| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, fleet.join(name), kind, mode, device)
        };
        node("sites/pipe.yaml", rustix::fs::FileType::Fifo, 0).unwrap();
        // Only root makes devices; a link to one does as well.
        symlink("/dev/zero", fleet.join("sites/device.yaml")).unwrap();
        Self { top }
    }

    fn fleet(&self) -> PathBuf {
        self.top.path().join("repository/fleet")
    }

    /// Runs a command, and fails where it does not end.
    fn run(&self, words: &[&str]) -> Output {
        let output = self.top.path().join("output");
        let errors = self.top.path().join("errors");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
            .args(words)
            .current_dir(self.fleet())
            .env("CANARY", SECRETS[1])
            .env("XDG_CONFIG_HOME", self.top.path().join("config"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > LONGEST {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{words:?} is blocked");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Output { status, stdout: fs::read(output).unwrap(), stderr: fs::read(errors).unwrap() }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn shows_a_secret(output: &Output) -> Option<&'static str> {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    SECRETS.into_iter().find(|secret| text.contains(secret))
}

#[test]
fn it_shows_nothing_runs_nothing_and_blocks_nothing() {
    let repository = Repository::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(repository.fleet()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        } else if path.join("fleet.yaml").exists() {
            files.push(path.join("fleet.yaml"));
        }
    }
    files.sort();
    assert!(files.len() >= 13, "{files:?}");
    // Keys, so that `plan` and `render` get as far as they can.
    let made = ["vault", "init", "--fleet", "hostile", "--file", "template/fleet.yaml"];
    let made = repository.run(&made);
    assert!(made.status.success(), "{made:?}");
    for folder in [".", "loop", "lock"] {
        let to = repository.fleet().join(folder).join("vault");
        copy(&repository.fleet().join("template/vault"), &to);
    }
    for path in &files {
        let name = path.strip_prefix(repository.fleet()).unwrap().to_str().unwrap();
        let commands: [&[&str]; 9] = [
            &["check"],
            &["check", "--format", "json"],
            &["check", "--format", "sarif"],
            &["check", "--format", "junit"],
            &["check", "--format", "html"],
            &["check", "--reachability"],
            &["why", "a", "b"],
            &["vault", "keygen"],
            &["render", "--output", "../../rendered"],
        ];
        for command in commands {
            let words = [command, &["--file", name]].concat();
            let output = repository.run(&words);
            assert_eq!(shows_a_secret(&output), None, "{words:?}: {output:?}");
            let code = output.status.code().unwrap();
            assert!([0, 1, 3, 10, 64].contains(&code), "{words:?} ends with {code}: {output:?}");
        }
        let plan = ["plan", "--connect-timeout", "1", "--file", name];
        let output = repository.run(&plan);
        assert_eq!(shows_a_secret(&output), None, "{plan:?}: {output:?}");
        assert_ne!(output.status.code(), Some(0), "{plan:?}: {output:?}");
    }
    assert!(!repository.fleet().join("canary").exists(), "a program ran");
}

#[test]
fn each_trick_is_refused_with_words() {
    let repository = Repository::new();
    for (file, said) in [
        ("environ.yaml", "outside the fleet's folder"),
        ("processes.yaml", "no file matches"),
        ("git-config.yaml", "outside the fleet's folder"),
        ("link.yaml", "outside the fleet's folder"),
        ("parent.yaml", "outside the fleet's folder"),
        ("untracked.yaml", "outside the fleet's folder"),
        ("pipe.yaml", "no regular file"),
        ("device.yaml", "outside the fleet's folder"),
        ("prose.yaml", "is no inventory"),
        ("ssh-option.yaml", "not something ssh(1) connects to"),
    ] {
        let output = repository.run(&["check", "--file", file]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{file}: {output:?}");
        assert!(text.contains(said), "{file}: {text}");
    }
    // A file of the work tree that git tracks, and what the operator allows, are read.
    let root = repository.top.path().join("repository");
    let shared = "groups: { core: {} }\n";
    fs::write(root.join("shared.yaml"), shared).unwrap();
    let fleet = fs::read_to_string(repository.fleet().join("parent.yaml")).unwrap();
    let fleet = fleet.replace("../../outside.txt", "../shared.yaml");
    fs::write(repository.fleet().join("shared.yaml"), fleet).unwrap();
    let check = ["check", "--file", "shared.yaml"];
    assert_eq!(repository.run(&check).status.code(), Some(3));
    let allowed = [&check[..], &["--include-from", ".."]].concat();
    assert_eq!(repository.run(&allowed).status.code(), Some(0));
    let add = ["-C", root.to_str().unwrap(), "add", "shared.yaml"];
    assert!(Command::new("git").args(add).status().unwrap().success());
    assert_eq!(repository.run(&check).status.code(), Some(0));
}

#[test]
fn an_inventory_comes_on_stdin_and_pins_nothing_without_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let text = "fleet: f\nnetworks: { n: { prefixes: 10.0.0.0/24 } }\nhosts:\n  \
                a: { endpoint: \"192.0.2.1:1\" }\n  b: { endpoint: \"192.0.2.2:1\" }\n";
    fs::write(folder.path().join("in.yaml"), text).unwrap();
    let run = |words: &[&str]| {
        let stdin = fs::File::open(folder.path().join("in.yaml")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
        command.args(words).current_dir(folder.path()).stdin(stdin);
        command.env("XDG_CONFIG_HOME", folder.path().join("config"));
        command.output().unwrap()
    };
    let output = run(&["check", "--file", "-"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!folder.path().join("stdin.lock").exists());
    let output = run(&["render", "--output", "out", "--file", "-"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--lock FILE"), "{output:?}");
}

//! A pull request that tries to make a machine of CI show, run or block something: none of it works,
//! with any command that CI runs on pull requests. The inventories lie in `inventories/hostile`.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What nobody may see: keys, a token, a password, a line of prose.
const SECRETS: [&str; 9] = [
    "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM",
    "canary-in-the-environment",
    "canary-in-git-config",
    "canary-outside",
    "canary-in-prose",
    "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
    "AGE-PLUGIN-TOY-1QYQSZQGPQYQSZQGPQYQSZQGPQY5HRXEA",
    "b3BlbnNzaC1rZXktdjEcanary",
    "root:x:0:0",
];

/// What is no secret, and is shown.
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

/// A command that takes longer is blocked.
const LONGEST: Duration = Duration::from_mins(3);

/// Memory that a command may have, in KiB of addresses.
const MEMORY: &str = "6000000";

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
        for folder in ["sites", "template/templates", "bomb/parts"] {
            fs::create_dir_all(fleet.join(folder)).unwrap();
        }
        fs::write(fleet.join("sites/prose.yaml"), format!("- {}\n- b: [\n", SECRETS[4])).unwrap();
        for (to, name) in [
            ("../../../outside.txt", "sites/link.yaml"),
            ("../../../../outside.txt", "template/templates/wg0.conf.j2"),
            ("../../../outside.txt", "lock/fleet.lock"),
            ("chain-2.yaml", "sites/chain-1.yaml"),
            ("../sites/chain-3.yaml", "sites/chain-2.yaml"),
            ("../../../outside.txt", "sites/chain-3.yaml"),
            ("circle.yaml", "sites/circle.yaml"),
            // Only root makes devices; a link to one does as well.
            ("/dev/zero", "sites/device.yaml"),
        ] {
            symlink(to, fleet.join(name)).unwrap();
        }
        // Each unfolds to nearly as much as one file may.
        let bomb =
            format!("groups: {{ g: &a [{}] }}\nx: [{}]\n", "1, ".repeat(900), "*a, ".repeat(1000));
        for number in 0..200 {
            fs::write(fleet.join(format!("bomb/parts/{number}.yaml")), &bomb).unwrap();
        }
        let git = |words: &[&str]| {
            let done = Command::new("git").arg("-C").arg(&root).args(words).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "-q"]);
        git(&["config", "http.extraheader", SECRETS[2]]);
        git(&["add", "fleet"]);
        // Hostile on both sides: what a base has may be a stranger's too.
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        git(&[&identity[..], &["commit", "-q", "-m", "first"]].concat());
        // What a careless operator's git would run.
        let canary = format!("touch {}", fleet.join("canary").display());
        for name in
            ["core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass", "diff.external"]
        {
            git(&["config", name, &canary]);
        }
        // What git cannot keep.
        let node = |name: &str, kind, device| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, fleet.join(name), kind, mode, device)
        };
        node("sites/pipe.yaml", rustix::fs::FileType::Fifo, 0).unwrap();
        node("sites/socket.yaml", rustix::fs::FileType::Socket, 0).unwrap();
        let repository = Self { top };
        repository.make_vaults();
        repository
    }

    fn fleet(&self) -> PathBuf {
        self.top.path().join("repository/fleet")
    }

    /// Keys, so that `plan` and `render` get as far as they can; and vaults that lead elsewhere.
    fn make_vaults(&self) {
        let fleet = self.fleet();
        let made = ["vault", "init", "--fleet", "hostile", "--file", "template/fleet.yaml"];
        let made = self.run(&made);
        assert!(made.status.success(), "{made:?}");
        // The peer that one of the inventories has is in the vault of all.
        let all = fleet.join("template/all.yaml");
        let hosts = fs::read_to_string(fleet.join("template/fleet.yaml")).unwrap();
        let phone = "peers: { phone: { network: n, via: b, address: 10.66.0.9 } }\n";
        fs::write(&all, hosts + phone).unwrap();
        let made = self.run(&["vault", "keygen", "a", "b", "phone", "--file", "template/all.yaml"]);
        assert!(made.status.success(), "{made:?}");
        fs::remove_file(all).unwrap();
        let folders = [
            ".",
            "loop",
            "lock",
            "memory",
            "bare",
            "bomb",
            "vault-link",
            "vault-pipe",
            "vault-folders",
        ];
        for folder in folders {
            copy(&fleet.join("template/vault"), &fleet.join(folder).join("vault"));
        }
        copy(&fleet.join("template/vault"), &self.top.path().join("elsewhere"));
        symlink("../../../elsewhere", fleet.join("vault-away/vault")).unwrap();
        let link = |to: &str, name: &str| {
            let name = fleet.join(name);
            let _ = fs::remove_file(&name);
            let _ = fs::remove_dir_all(&name);
            symlink(to, name).unwrap();
        };
        link("../../../../outside.txt", "vault-link/vault/recipients.txt");
        link("/proc/self/environ", "vault-link/vault/index.json");
        link("/dev/zero", "vault-link/vault/fingerprint.age");
        link("../../../../elsewhere/keys", "vault-folders/vault/keys");
        let pipe = fleet.join("vault-pipe/vault/recipients.txt");
        fs::remove_file(&pipe).unwrap();
        let bits = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, bits, 0).unwrap();
        fs::write(self.top.path().join("elsewhere/keys/.wgfleet-x"), "").unwrap();
    }

    /// Runs a command within some memory, and fails where it does not end.
    fn run(&self, words: &[&str]) -> Output {
        let (output, errors) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -v \"$1\"; shift; exec \"$@\"", "sh", MEMORY])
            .arg(env!("CARGO_BIN_EXE_wgfleet"))
            .args(words)
            .current_dir(self.fleet())
            .env("CANARY", SECRETS[1])
            .env("XDG_CONFIG_HOME", self.top.path().join("config"))
            .env("XDG_STATE_HOME", self.top.path().join("state"))
            .env("RAYON_NUM_THREADS", "2")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(errors.try_clone().unwrap())
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
        Output { status, stdout: whole(output), stderr: whole(errors) }
    }
}

fn whole(mut file: fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
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

/// What of an output nobody may see, or what obeys it.
fn wrong_with(words: &[&str], output: &Output) -> Option<String> {
    let text = [output.stdout.as_slice(), b"\n", output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    if let Some(secret) = SECRETS.into_iter().find(|secret| text.contains(secret)) {
        return Some(format!("it shows {secret}"));
    }
    // A part of a key is enough to look for the rest.
    if let Some(secret) = SECRETS
        .into_iter()
        .find(|secret| text.contains(&secret[..16.min(secret.len())]) && secret.len() > 40)
    {
        return Some(format!("it shows a part of {secret}"));
    }
    // Colours are ours; everything else that a terminal obeys is not.
    let bare = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\u{1b}');
    if let Some(c) = text.chars().find(|c| bare(*c) || MISLEADING.contains(c)) {
        return Some(format!("it shows {}", c.escape_unicode()));
    }
    if text.split('\u{1b}').skip(1).any(|rest| !is_colour(rest)) {
        return Some("a terminal obeys it".to_owned());
    }
    let obeyed = |line: &str| {
        let line = line.trim_start();
        let github = line.strip_prefix("::").is_some_and(|rest| rest.contains("::"));
        github || ["##vso[", "##[", "##teamcity["].iter().any(|begin| line.contains(begin))
    };
    if let Some(line) = text.lines().find(|line| obeyed(line)) {
        return Some(format!("a CI system obeys {line}"));
    }
    if words.contains(&"html") || words.contains(&"junit") {
        // Within a script, quotes of JSON are escaped.
        let text = text.replace("\\\"", "");
        for markup in ["<script>alert", "<img src=x", "]]></failure", "\" onmouseover"] {
            if text.contains(markup) {
                return Some(format!("it holds {markup}"));
            }
        }
    }
    if words.contains(&"sarif")
        && text.lines().any(|line| line.contains("\"text\"") && line.contains("[click me]("))
    {
        return Some("it holds a link".to_owned());
    }
    None
}

const MISLEADING: [char; 7] =
    ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200b}', '\u{fe0f}', '\u{2028}', '\u{e0041}'];

/// Whether what follows an escape only chooses how text looks, but not that nobody sees it.
fn is_colour(rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '[' | ';'));
    rest.starts_with('[')
        && end.is_some_and(|end| &rest[end..=end] == "m")
        && !rest.starts_with("[8m")
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
    assert!(files.len() >= 33, "{files:?}");
    let config = fs::read(repository.top.path().join("repository/.git/config")).unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(path) =
                    files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    try_all(&repository, path);
                }
            });
        }
    });
    assert!(!repository.fleet().join("canary").exists(), "a program ran");
    for place in ["bare", "repository", "."] {
        assert!(!repository.top.path().join(place).join("canary").exists(), "a program ran");
    }
    // Nothing is written or removed where a link leads.
    let elsewhere = repository.top.path().join("elsewhere");
    assert!(elsewhere.join("keys/.wgfleet-x").exists());
    assert_eq!(fs::read_dir(elsewhere.join("keys")).unwrap().count(), 4);
    assert_eq!(fs::read(repository.top.path().join("repository/.git/config")).unwrap(), config);
}

/// Each command that CI runs on pull requests, and some that an operator runs after it.
fn try_all(repository: &Repository, path: &Path) {
    let name = path.strip_prefix(repository.fleet()).unwrap().to_str().unwrap();
    let rendered = format!("../../rendered/{}", name.replace('/', "-"));
    let commands: [&[&str]; 15] = [
        &["check"],
        &["check", "--format", "json"],
        &["check", "--format", "sarif"],
        &["check", "--format", "junit"],
        &["check", "--format", "html"],
        &["check", "--reachability"],
        &["why", "a", "b"],
        &["why", "a", "b", "--format", "json"],
        &["vault", "keygen", "c"],
        &["vault", "status"],
        &["render", "--output", &rendered],
        &["plan", "--offline", "--base", "HEAD"],
        &["plan", "--offline", "--base", "HEAD", "--format", "json"],
        &["plan", "--connect-timeout", "1"],
        &["plan", "--connect-timeout", "1", "--format", "json"],
    ];
    for command in commands {
        let words = [command, &["--file", name]].concat();
        let output = repository.run(&words);
        assert_eq!(wrong_with(&words, &output), None, "{words:?}");
        let Some(code) = output.status.code() else { panic!("{words:?} died: {output:?}") };
        // Some share a vault that one at a time may change (5).
        assert!([0, 1, 3, 4, 5, 10, 64].contains(&code), "{words:?} ends with {code}: {output:?}");
        if command[0] == "plan" && command[1] != "--offline" {
            assert_ne!(code, 0, "{words:?}: {output:?}");
        }
        if name == "keys-in-hooks.yaml" && command == ["render", "--output", &rendered] {
            assert_eq!(code, 0, "{output:?}");
        }
    }
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
        ("pipe.yaml", "not a regular file"),
        ("device.yaml", "outside the fleet's folder"),
        ("prose.yaml", "is not an inventory"),
        ("ssh-option.yaml", "not something ssh(1) connects to"),
        ("link-chain.yaml", "outside the fleet's folder"),
        ("absolute.yaml", "outside the fleet's folder"),
        ("git-internals.yaml", "outside the fleet's folder"),
        ("socket.yaml", "not a regular file"),
        ("folder.yaml", "not a regular file"),
        ("bare/fleet.yaml", "outside the fleet's folder"),
        ("bomb/fleet.yaml", "anchors and aliases that unfold to more than"),
        ("bidi.yaml", "turns the direction of the text"),
        ("unseen.yaml", "post_up"),
        ("controls.yaml", "returns to the beginning of the line"),
        ("ansi.yaml", "has no key"),
        ("ci-log.yaml", "has no key"),
        ("markup.yaml", "has no key"),
        ("keys.yaml", "has no key"),
    ] {
        let output = repository.run(&["check", "--file", file]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{file}: {output:?}");
        assert!(text.contains(said), "{file}: {text}");
    }
    // Vaults that lead elsewhere.
    for (file, said) in [
        ("vault-link/fleet.yaml", "outside the fleet's folder"),
        ("vault-pipe/fleet.yaml", "not a regular file"),
        ("vault-away/fleet.yaml", "outside the fleet's folder"),
        ("vault-folders/fleet.yaml", "outside the fleet's folder"),
    ] {
        let output = repository.run(&["vault", "status", "--file", file]);
        assert_eq!(output.status.code(), Some(10), "{file}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{file}: {text}");
    }
    // A public key is none of the keys that are hidden.
    let output =
        repository.run(&["render", "--output", "../../rendered", "--file", "keys-in-hooks.yaml"]);
    assert!(output.status.success(), "{output:?}");
    let conf = |host: &str| {
        let mut files = fs::read_dir(repository.top.path().join("rendered").join(host)).unwrap();
        fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap()
    };
    assert!(conf("a").contains(SECRETS[5]), "a hook stays as it is");
    assert!(conf("b").contains(PUBLIC));
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
        command.env("XDG_STATE_HOME", folder.path().join("state"));
        command.output().unwrap()
    };
    let output = run(&["check", "--file", "-"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!folder.path().join("stdin.lock").exists());
    let output = run(&["render", "--output", "out", "--file", "-"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--lock FILE"), "{output:?}");
}

/// Private keys in files of a work tree are committed sooner or later.
#[test]
fn rendered_files_do_not_lie_in_a_work_tree_that_keeps_them() {
    let repository = Repository::new();
    let fleet = repository.fleet();
    let render = |output: &str| {
        let words = ["render", "--output", output, "--file", "keys-in-hooks.yaml"];
        let output = repository.run(&words);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for place in ["out", "../out", "sites/../out/deep"] {
        let (code, said) = render(place);
        assert_eq!(code, Some(10), "{place}: {said}");
        assert!(said.contains("inside the git work tree") && said.contains(".gitignore"), "{said}");
    }
    // A link does not hide where they would lie.
    symlink(&fleet, repository.top.path().join("link")).unwrap();
    assert_eq!(render("../../link/out").0, Some(10));
    // Ignored in part is not ignored.
    fs::write(fleet.join(".gitignore"), "*.conf\n!/out/b/*.conf\n").unwrap();
    assert_eq!(render("out").0, Some(10));
    fs::write(fleet.join(".gitignore"), "*.conf\n").unwrap();
    assert_eq!(render("out").0, Some(0));
    fs::write(fleet.join(".gitignore"), "/secret/\n").unwrap();
    assert_eq!(render("secret/x").0, Some(0));
    assert_eq!(render("../../outside").0, Some(0));
}

/// In a second work tree, `.git` is a file: it says where the repository lies.
#[test]
fn the_file_git_of_a_second_work_tree_is_nobodys_to_read() {
    let repository = Repository::new();
    let root = repository.top.path().join("repository");
    let words = ["-c", "core.fsmonitor=", "worktree", "add", "-q", "../second"];
    let done = Command::new("git").arg("-C").arg(&root).args(words).output();
    assert!(done.as_ref().unwrap().status.success(), "{done:?}");
    let second = repository.top.path().join("second");
    let text = fs::read_to_string(repository.fleet().join("parent.yaml")).unwrap();
    fs::write(second.join("fleet.yaml"), text.replace("../../outside.txt", ".git")).unwrap();
    let output = repository.run(&["check", "--file", "../../second/fleet.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(3) && !text.contains("gitdir"), "{text}");
    assert!(text.contains("outside the fleet's folder"), "{text}");
}

/// Somebody swaps a file for a link while it is read: what is read is what was judged.
#[test]
fn a_link_that_is_swapped_in_meanwhile_leads_nowhere() {
    let repository = Repository::new();
    let fleet = repository.fleet();
    let place = fleet.join("sites/race.yaml");
    let text = fs::read_to_string(fleet.join("link.yaml")).unwrap();
    fs::write(fleet.join("race.yaml"), text.replace("sites/link.yaml", "sites/race.yaml")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let plain = fleet.join("sites/race-plain");
            let link = fleet.join("sites/race-link");
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                fs::write(&plain, "groups: { core: {} }\n").unwrap();
                fs::rename(&plain, &place).unwrap();
                symlink("../../../outside.txt", &link).unwrap();
                fs::rename(&link, &place).unwrap();
            }
        });
        for _ in 0..40 {
            let output = repository.run(&["check", "--file", "race.yaml"]);
            assert_eq!(wrong_with(&["check"], &output), None, "{output:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

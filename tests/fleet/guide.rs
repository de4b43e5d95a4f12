//! README.md and docs/getting-started.md, done as they say: each command of the guide, in its order,
//! and the output that they show.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::lab::{Twin, WGFLEET};

/// Ends what a command printed. No program prints it.
const MARK: &str = "\u{1e}";

fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A fenced block of a page.
#[derive(Debug)]
struct Block<'a> {
    /// The heading above it.
    heading: &'a str,
    /// What stands behind the fence: `sh`, `console`, `yaml`.
    language: &'a str,
    text: &'a str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut heading, mut rest) = (Vec::new(), "", page);
    while let Some((before, after)) = rest.split_once("\n```") {
        let mut headings = before.lines().filter_map(|line| line.strip_prefix("## "));
        heading = headings.next_back().unwrap_or(heading);
        let (language, after) = after.split_once('\n').expect("a fence is a line");
        let (text, after) = after.split_once("```").expect("a fence is closed");
        blocks.push(Block { heading, language, text });
        rest = after;
    }
    blocks
}

/// A command of a block, and the lines that the page shows of its output: none where it shows none.
#[derive(Debug)]
struct Step<'a> {
    command: &'a str,
    shown: Vec<&'a str>,
}

impl<'a> Block<'a> {
    fn steps(&self) -> Vec<Step<'a>> {
        let lines = self.text.lines().filter(|line| !line.trim().is_empty());
        if self.language == "sh" {
            return lines.map(|command| Step { command, shown: Vec::new() }).collect();
        }
        let mut steps: Vec<Step<'a>> = Vec::new();
        for line in lines {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command, shown: Vec::new() }),
                None => steps.last_mut().expect("a command comes first").shown.push(line),
            }
        }
        steps
    }
}

/// Whether a line is as it is shown, where `…` stands for any text. Columns may be wider.
fn like(shown: &str, line: &str) -> bool {
    let single = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (single(shown), single(line));
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else { return shown == line };
    let inner = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = inner else { return false };
    middle.iter().all(|part| {
        let place = rest.find(part);
        rest = place.map_or("", |place| &rest[place + part.len()..]);
        place.is_some()
    })
}

/// The lines of what a terminal was sent, without what moves its cursor or colours it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\u{1b}[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain.replace('\r', "\n")
}

/// Compares output with what is shown of it; a line of its own, `…`, stands for any lines.
fn assert_shown(shown: &[&str], said: &str, what: &str) {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut at = 0;
    let mut any = false;
    for line in shown {
        if *line == "…" {
            any = true;
            continue;
        }
        let found = lines[at..].iter().position(|said| like(line, said));
        let skipped = found.unwrap_or_else(|| panic!("{what} shows {line:?}; it said:\n{said}"));
        assert!(any || skipped == 0, "{what}: before {line:?} it said more:\n{said}");
        (at, any) = (at + skipped + 1, false);
    }
    assert!(any || at == lines.len(), "{what}: it said more at the end:\n{said}");
}

/// A newcomer's home folder, with wgfleet to be found, and ssh that knows the lab's hosts.
struct Newcomer {
    home: TempDir,
    /// The lab that a step has raised, taken down whatever happens.
    lab: Option<Twin>,
}

impl Newcomer {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(WGFLEET, bin.join("wgfleet")).unwrap();
        let ssh = bin.join("lab-ssh");
        fs::write(&ssh, "#!/bin/sh\nexec ssh -F \"$WGFLEET_SSH_CONFIG\" \"$@\"\n").unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        Self { home, lab: None }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// Runs the commands of a block in a folder, one shell for all of them, and compares.
    fn does(&mut self, folder: &Path, block: &Block<'_>) {
        let steps = block.steps();
        // On a terminal a question is answered with yes, as the guide's reader does.
        let mut script = "set -e -o pipefail
            wgfleet() {
                if [ \"$*\" = apply ]; then
                    echo y | script --quiet --return --command 'wgfleet apply' /dev/null
                else
                    command wgfleet \"$@\"
                fi
            }\n"
        .to_owned();
        for step in &steps {
            script.push_str(step.command);
            script.push_str("\nprintf '\\036\\n'\n");
        }
        let output = self.shell(folder, &script);
        let said: Vec<&str> = output.split(MARK).collect();
        assert_eq!(said.len(), steps.len() + 1, "{block:?} ended early:\n{output}");
        for (step, said) in steps.iter().zip(said) {
            if block.language == "console" {
                assert_shown(&step.shown, said, step.command);
            }
        }
    }

    /// Runs shell text and gives all that it said.
    fn shell(&self, folder: &Path, script: &str) -> String {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.path().join("bin").display());
        let mut shell = Command::new("bash");
        shell.args(["-c", "exec 2>&1; eval \"$1\"", "bash", script]).current_dir(folder);
        shell.env("PATH", path).env("HOME", self.path()).env("NO_COLOR", "1");
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "WGFLEET_IDENTITY", "WGFLEET_BINARIES"] {
            shell.env_remove(name);
        }
        match &self.lab {
            Some(lab) => shell.env("WGFLEET_SSH_CONFIG", lab.ssh_config()),
            None => shell.env_remove("WGFLEET_SSH_CONFIG"),
        };
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let home = self.path().to_str().unwrap();
        let text = plain(&String::from_utf8_lossy(&output.stdout)).replace(home, "~");
        assert!(output.status.success(), "{script}\nsaid:\n{text}");
        text
    }
}

#[test]
fn the_guide_works_as_it_says() {
    let page = page("docs/getting-started.md");
    let blocks = blocks(&page);
    let of = |heading: &str, language: &str| -> Vec<&Block<'_>> {
        let found = |block: &&Block<'_>| block.heading == heading && block.language == language;
        let found: Vec<_> = blocks.iter().filter(found).collect();
        assert!(!found.is_empty(), "{heading} has no {language}");
        found
    };
    let mut newcomer = Newcomer::new();
    let home = newcomer.path().to_owned();
    newcomer.does(&home, of("1. A folder", "sh")[0]);
    let acme = home.join("acme");
    assert!(home.join(".config/wgfleet").is_dir(), "the identity is where the guide says");

    fs::write(acme.join("fleet.yaml"), of("2. The file", "yaml")[0].text).unwrap();
    for block in of("2. The file", "console") {
        newcomer.does(&acme, block);
    }

    // Hosts that run WireGuard already give their key; here it is another copy of the vault's.
    let import = of("3. Keys", "sh");
    let [keygen, import] = import[..] else { panic!("two blocks: {import:?}") };
    newcomer.shell(&home, "cp -r acme took-over");
    newcomer.does(&acme, keygen);

    // The rehearsal takes its own lab down; the guard is for a failure on the way.
    newcomer.lab = Some(Twin::guard("acme".to_owned()));
    newcomer.does(&acme, of("Rehearse it", "console")[0]);
    assert!(!PathBuf::from("/run/wgfleet-lab/acme").exists(), "the lab is gone");

    newcomer.shell(&acme, "command wgfleet lab up --quiet");
    newcomer.shell(&acme, "lab() { wgfleet lab exec paris-gw -- \"$@\"; }
        lab wireguard-go wg0; lab sh -c 'umask 077; wg genkey >/tmp/key; wg set wg0 private-key /tmp/key'");
    let through = import.text.replace("ssh ", "lab-ssh ");
    newcomer.does(&home.join("took-over"), &Block { text: &through, ..*import });
    newcomer.shell(&acme, "wgfleet lab exec paris-gw -- ip link del wg0");

    for block in of("4. Plan and apply", "console") {
        newcomer.does(&acme, block);
    }
    for block in of("In CI", "sh") {
        newcomer.does(&acme, block);
    }
    newcomer.lab = None;
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let readme = page("README.md");
    let shown = readme.split("<!-- demo output -->").nth(1).and_then(|rest| {
        rest.split("<!-- end of demo output -->").next()?.split("```console\n").nth(1)
    });
    let shown = shown.and_then(|rest| rest.split("```").next()).expect("README.md shows the demo");
    let shown: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut demo = Command::new(root.join("scripts/demo.sh"));
    let output = demo.env("WGFLEET", WGFLEET).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let from = said.find(shown[0]).unwrap_or_else(|| panic!("no {:?} in {said}", shown[0]));
    let to = said.find("\n$ wgfleet lab down").expect("the lab is taken down at the end");
    // The notes of a plan speak of the lab.
    let lines = said[from..to].lines().filter(|line| !line.starts_with("  note: "));
    assert_shown(&shown, &lines.collect::<Vec<_>>().join("\n"), "README.md");
}

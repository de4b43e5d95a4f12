//! Help texts, usage lines, and what a shell completes, as the binary gives them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const VARIABLES: [&str; 5] = [
    "WGFLEET_IDENTITY",
    "WGFLEET_IDENTITY_KEY",
    "WGFLEET_INCLUDE_FROM",
    "WGFLEET_SSH_CONFIG",
    "WGFLEET_BINARIES",
];

/// Runs the binary without any of its variables, or with `value` in all of them.
fn wgfleet(words: &[&str], value: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command.args(words).env("COLUMNS", "100");
    for variable in VARIABLES {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn help(words: &[&str], value: Option<&str>) -> String {
    let words = [words, &["--help"]].concat();
    let output = wgfleet(&words, value);
    assert!(output.status.success(), "{words:?}: {output:?}");
    text(&output.stdout)
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command and subcommand, but for `wg`, which stands in for wg(8) down to its help.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while let Some(words) = found.get(at).cloned() {
        at += 1;
        let refs: Vec<&str> = words.iter().map(String::as_str).collect();
        for name in listed(&help(&refs, None)).into_iter().filter(|name| name != "wg") {
            found.push([words.clone(), vec![name]].concat());
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

#[test]
fn variables_change_no_help_and_no_usage_line() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let secret = "/a/secret/place";
        let (without, with) = (help(&words, None), help(&words, Some(secret)));
        assert_eq!(without, with, "{words:?}");
        let wrong = [&words[..], &["--no-such-option"]].concat();
        let (without, with) = (wgfleet(&wrong, None), wgfleet(&wrong, Some(secret)));
        assert_eq!(text(&without.stderr), text(&with.stderr), "{words:?}");
        assert_eq!(without.status.code(), Some(64), "{words:?}");
    }
    let (without, with) = (wgfleet(&["rotate"], None), wgfleet(&["rotate"], Some("x")));
    assert_eq!(text(&without.stderr), text(&with.stderr));
    assert!(text(&with.stderr).contains("Usage: wgfleet rotate [OPTIONS] <HOST>..."), "{with:?}");
}

/// What every command takes stands under its own heading, after what is a command's own.
#[test]
fn common_options_stand_in_a_group_of_their_own() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = help(&words, None);
        let (own, common) =
            help.split_once("\nCommon options:\n").unwrap_or_else(|| panic!("{help}"));
        for option in ["--file", "--lock", "--identity", "--ssh-config", "--quiet"] {
            assert!(common.contains(option), "{words:?}: {option}: {help}");
            let listed = own.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with('-') && line.split([' ', ',']).any(|word| word == option)
            });
            assert!(!listed, "{words:?}: {option} stands twice: {help}");
        }
        let variables: BTreeSet<&str> = help
            .split("[env: ")
            .skip(1)
            .filter_map(|rest| rest.split([']', ',', '=']).next())
            .collect();
        assert!(variables.iter().all(|name| VARIABLES.contains(name)), "{variables:?}");
    }
}

const FLEET: &str = "fleet: f
networks: {lan: {prefixes: [10.0.0.0/16], links: {hub: paris-gw}}}
groups: {branches: {}}
sites:
  paris:
    subnets: [192.168.1.0/24]
    hosts: {paris-gw: {gateway: true, endpoint: '198.51.100.1:51820'}}
hosts: {b7: {groups: [branches]}, b8: {groups: [branches]}}
peers: {phone: {via: paris-gw}}
";

/// What bash completes for a line whose last word is being typed.
fn completed(folder: &Path, line: &[&str]) -> (BTreeSet<String>, String) {
    let script = r#"
        eval "$(wgfleet completions bash)"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        _clap_complete_wgfleet wgfleet "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let program = Path::new(env!("CARGO_BIN_EXE_wgfleet")).parent().expect("it lies in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", script, "bash"])
        .args(line)
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .output()
        .expect("bash runs");
    let words =
        text(&output.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    (words, text(&output.stderr))
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn bash_completes_commands_and_the_names_of_the_fleet() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), FLEET).expect("it can be written");
    let of = |line: &[&str]| {
        let (words, said) = completed(folder.path(), line);
        assert_eq!(said, "", "{line:?}");
        words
    };
    assert_eq!(of(&["wgfleet", "sta"]), set(&["status"]));
    assert_eq!(of(&["wgfleet", "plan", "--lim"]), set(&["--limit"]));
    assert_eq!(of(&["wgfleet", "plan", "--limit", "b"]), set(&["b7", "b8"]));
    assert_eq!(of(&["wgfleet", "plan", "--limit", "b7,p"]), set(&["b7,paris-gw"]));
    assert_eq!(of(&["wgfleet", "apply", "--replace", "b8"]), set(&["b8"]));
    assert_eq!(of(&["wgfleet", "rotate", "p"]), set(&["paris-gw"]));
    assert_eq!(of(&["wgfleet", "vault", "export", "p"]), set(&["paris-gw", "phone"]));
    assert_eq!(of(&["wgfleet", "why", "p"]), set(&["paris", "paris-gw", "phone"]));
    assert_eq!(of(&["wgfleet", "why", "b7", "br"]), set(&["branches"]));
    assert_eq!(of(&["wgfleet", "why", "b7", "l"]), set(&["lan"]));
    assert_eq!(of(&["wgfleet", "why", "b7", "i"]), set(&["internet"]));
    assert!(of(&["wgfleet", "lab", "exec", "rou"]).contains("router-paris"));
    let other = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleet.yaml").display().to_string();
    let line = ["wgfleet", "-f", &file, "status", "--limit", "b"];
    assert_eq!(completed(other.path(), &line), (set(&["b7", "b8"]), String::new()));
}

/// Nobody is asked, nothing is said and nothing is written where there is no fleet, a broken one, or
/// one that never ends.
#[test]
fn what_cannot_be_read_is_not_completed_and_nothing_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |line: &[&str]| completed(folder.path(), line);
    let none = || (BTreeSet::new(), String::new());
    let line = ["wgfleet", "plan", "--limit", "b"];
    assert_eq!(of(&line), none(), "no inventory");
    for broken in ["fleet: [", "fleet: f\nnetworks: {}\nhosts: {b7: {private_key: x}}\n", "\0"] {
        fs::write(folder.path().join("fleet.yaml"), broken).expect("it can be written");
        let (_, said) = of(&line);
        assert_eq!(said, "", "{broken:?}");
    }
    fs::remove_file(folder.path().join("fleet.yaml")).expect("it is there");
    let made = Command::new("mkfifo").arg(folder.path().join("fleet.yaml")).status();
    assert!(made.expect("mkfifo runs").success());
    assert_eq!(of(&line), none(), "nobody writes into the pipe");
    assert_eq!(of(&["wgfleet", "-f", "-", "plan", "--limit", "b"]), none(), "stdin is the shell's");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder is there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Completion reads an inventory as a stranger's: the addresses that it allocates are pinned nowhere.
#[test]
fn completion_writes_no_lock_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), FLEET).expect("it can be written");
    completed(folder.path(), &["wgfleet", "plan", "--limit", "b"]);
    assert!(!folder.path().join("fleet.lock").exists());
}

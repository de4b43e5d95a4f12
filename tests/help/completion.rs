//! What a shell completes, asked by the shell itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::text;

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

/// A shell that finds the program under test, in `folder`.
fn shell(program: &str, folder: &Path) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_wgfleet")).parent().expect("it lies in a folder");
    let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.current_dir(folder).env("PATH", path).env("HOME", folder);
    command
}

/// Runs one that `scripts/setup.sh test` installs.
fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; run scripts/setup.sh test", command.get_program().display())
    });
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// What bash completes for a line whose last word is being typed.
fn completed(folder: &Path, line: &[&str]) -> (BTreeSet<String>, String) {
    let script = r#"
        eval "$(wgfleet completions bash)"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        _clap_complete_wgfleet wgfleet "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = shell("bash", folder)
        .args(["--noprofile", "--norc", "-c", script, "bash"])
        .args(line)
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
    assert_eq!(of(&["wgfleet", "plan", "--limit", "b"]), set(&["b7", "b8", "branches"]));
    assert_eq!(of(&["wgfleet", "plan", "--limit", "b7,p"]), set(&["b7,paris", "b7,paris-gw"]));
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
    assert_eq!(completed(other.path(), &line), (set(&["b7", "b8", "branches"]), String::new()));
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

#[test]
fn fish_completes_names_and_says_what_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), FLEET).expect("it can be written");
    let script = "wgfleet completions fish | source; complete -C $argv[1]";
    let of =
        |line: &str| ran(shell("fish", folder.path()).args(["--no-config", "-c", script, line]));
    assert_eq!(of("wgfleet plan --limit b"), "b7\thost\nb8\thost\nbranches\tgroup\n");
    assert_eq!(of("wgfleet plan --limit b7,p"), "b7,paris-gw\thost\nb7,paris\tsite\n");
    assert_eq!(of("wgfleet why b7 br"), "branches\tgroup\n");
    assert!(of("wgfleet sta").starts_with("status\tShow the sessions"));
}

/// zsh completes for somebody who types only, so somebody types: the line is read until it shows what
/// was completed.
#[test]
fn zsh_completes_what_is_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), FLEET).expect("it can be written");
    let script = r#"
        zmodload zsh/zpty
        mkdir functions && wgfleet completions zsh >functions/_wgfleet
        zpty shell zsh -f -i
        zpty -w shell 'fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D; print IS-$((40 + 2))'
        zpty -r -m shell seen '*IS-42*' || exit 1
        zpty -w -n shell "$1"$'\t'
        zpty -r -m shell seen "*$2*" && print -r -- completed
        zpty -d shell
    "#;
    for (line, completed) in [
        ("wgfleet sta", "wgfleet status"),
        ("wgfleet plan --limit b7,paris-", "wgfleet plan --limit b7,paris-gw"),
        ("wgfleet why b7 br", "wgfleet why b7 branches"),
    ] {
        let folder = tempfile::tempdir_in(folder.path()).expect("a folder");
        fs::write(folder.path().join("fleet.yaml"), FLEET).expect("it can be written");
        let arguments = ["20", "zsh", "-f", "-c", script, "zsh", line, completed];
        assert_eq!(ran(shell("timeout", folder.path()).args(arguments)), "completed\n", "{line}");
    }
}

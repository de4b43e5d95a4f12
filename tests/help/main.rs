//! Help texts, usage lines, and what shells complete, as the binary gives them.

mod completion;

use std::collections::BTreeSet;
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

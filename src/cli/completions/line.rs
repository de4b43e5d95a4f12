//! The line that is being typed, and the inventory that it names.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::environment;
use crate::fleet::load::{FLEET_FILE, Origin, load};
use crate::inventory::Inventory;

/// The words of the line that is being typed: they follow a `--`.
pub(super) fn words(given: &[OsString]) -> Option<Vec<OsString>> {
    match given {
        [_, separator, words @ ..] if separator == "--" && !words.is_empty() => {
            Some(words.to_vec())
        }
        _ => None,
    }
}

/// The inventory that a line names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    file: PathBuf,
    include_from: Vec<PathBuf>,
}

impl Named {
    /// `None` where it comes on stdin, which belongs to the command itself.
    pub(super) fn of(words: &[OsString]) -> Option<Self> {
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
        let mut file = PathBuf::from(FLEET_FILE);
        let mut include_from = Vec::new();
        for (at, word) in words.iter().enumerate() {
            // bash takes `--file=x` apart at the `=`.
            let next = || match words.get(at + 1..) {
                Some(["=", value, ..] | [value, ..]) => Some(*value),
                _ => None,
            };
            let of = |long: &str| match word.strip_prefix(long) {
                Some("") => next(),
                Some(rest) => rest.strip_prefix('='),
                None => None,
            };
            let short = || match word.strip_prefix("-f") {
                Some("") => next(),
                Some(rest) => Some(rest.trim_start_matches('=')),
                None => None,
            };
            if let Some(value) = of("--file").or_else(short) {
                file = path(value);
            }
            if let Some(value) = of("--include-from") {
                include_from.extend(value.split(':').map(path));
            }
        }
        if include_from.is_empty() {
            include_from = environment::paths(environment::INCLUDE_FROM);
        }
        (file.as_os_str() != "-").then_some(Self { file, include_from })
    }

    pub(super) fn read(&self) -> Option<Inventory> {
        let Self { file, include_from } = self;
        load(Origin { file, lock: None, include_from, now: None }).ok()?.inventory
    }
}

/// A path as it stands in the line: a shell has not replaced its `~` yet.
fn path(word: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    match word.strip_prefix("~/").zip(home()) {
        Some((rest, home)) => home.join(rest),
        None => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_inventory_as_the_command_would_read_it() {
        let named = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Named::of(&words).map(|named| named.file.display().to_string())
        };
        let file = |name: &str| Some(name.to_owned());
        assert_eq!(named("wgfleet plan --limit "), file("fleet.yaml"));
        assert_eq!(named("wgfleet -f a.yaml plan --limit "), file("a.yaml"));
        assert_eq!(named("wgfleet -fa.yaml plan --limit "), file("a.yaml"));
        assert_eq!(named("wgfleet plan --file=a.yaml --limit "), file("a.yaml"));
        assert_eq!(named("wgfleet plan --file = a.yaml --limit "), file("a.yaml"));
        assert_eq!(named("wgfleet plan --file"), file("fleet.yaml"));
        assert_eq!(named("wgfleet plan --file - --limit "), None);
        let words = ["--include-from", "a:b"].map(OsString::from);
        assert_eq!(Named::of(&words).unwrap().include_from, [PathBuf::from("a"), "b".into()]);
    }

    #[test]
    fn only_a_shell_gets_an_answer() {
        let words = |given: &[&str]| words(&given.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(words(&["wgfleet", "plan", "--", "x"]), None);
        assert_eq!(words(&["wgfleet", "--"]), None);
        assert_eq!(words(&["wgfleet", "--", "wgfleet", "pl"]).unwrap(), ["wgfleet", "pl"]);
    }
}

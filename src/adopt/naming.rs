//! Names as an inventory takes them, out of whatever people have written.

use std::collections::BTreeSet;

/// The most characters of a name.
const LONGEST: usize = 63;

/// Names that mean something else in an inventory.
const TAKEN: [&str; 1] = ["internet"];

/// Names that say nothing about the machine.
const VAGUE: [&str; 11] = [
    "wireguard",
    "etc",
    "conf",
    "config",
    "configs",
    "dump",
    "showconf",
    "wg",
    "localhost",
    "tmp",
    "clients",
];

/// Gives names, each once.
#[derive(Debug)]
pub(super) struct Names {
    given: BTreeSet<String>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { given: TAKEN.iter().map(|&name| name.to_owned()).collect() }
    }

    /// The first of the names that makes one, with a number behind it where it is taken already; and
    /// whether it is another one than that.
    pub(super) fn give(&mut self, wanted: impl IntoIterator<Item = String>, else_: &str) -> String {
        let mut wanted = wanted.into_iter().filter_map(|name| label(&name));
        let name = wanted.find(|name| !self.given.contains(name)).or_else(|| label(else_));
        let base = name.unwrap_or_else(|| "host".to_owned());
        let mut name = base.clone();
        let mut number = 2;
        while !self.given.insert(name.clone()) {
            let end = format!("-{number}");
            let room = base.len().min(LONGEST - end.len());
            name = format!("{}{end}", base[..room].trim_end_matches(['-', '.']));
            number += 1;
        }
        name
    }
}

/// A text as a name: letters, digits, `-` and `.`; nothing where none of these are left.
pub(super) fn label(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.trim().chars() {
        let c = c.to_ascii_lowercase();
        let fits = c.is_ascii_alphanumeric() || c == '.';
        match (fits, name.chars().last()) {
            (true, last) if c != '.' || last.is_some_and(|last| !matches!(last, '.' | '-')) => {
                name.push(c);
            }
            (false, Some(last)) if !matches!(last, '-' | '.') => name.push('-'),
            _ => {}
        }
        if name.len() == LONGEST {
            break;
        }
    }
    let name = name.trim_matches(['-', '.']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a name says which machine it is: not `wg0`, `tun1` or `wireguard`.
pub(super) fn tells(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_interface = ["wg", "tun", "wg-", "tun-", "utun"].contains(&stem);
    !name.is_empty() && !is_interface && !VAGUE.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_label_is_a_name(text in ".{0,80}") {
            if let Some(label) = label(&text) {
                prop_assert!(label.parse::<HostName>().is_ok(), "{label:?}");
            }
        }

        #[test]
        fn no_name_is_given_twice(texts in proptest::collection::vec("[aB .-]{0,3}|a{60,70}", 0..20)) {
            let mut names = Names::new();
            let mut given = BTreeSet::new();
            for text in texts {
                let name = names.give([text], "else");
                prop_assert!(name.parse::<HostName>().is_ok(), "{name:?}");
                prop_assert!(given.insert(name));
            }
        }
    }

    #[test]
    fn what_people_write_becomes_a_name() {
        assert_eq!(label("Alice's Phone").as_deref(), Some("alice-s-phone"));
        assert_eq!(label("paris_gw").as_deref(), Some("paris-gw"));
        assert_eq!(label("  ...").as_deref(), None);
        assert!(!tells("wg0") && !tells("wireguard") && tells("paris"));
    }
}

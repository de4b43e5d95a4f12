//! Hosts as an operator names them: `--limit paris,hub-* --exclude b7`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::asked::Asked;
use super::error::{Error, Kind};
use super::unknown::refuse_unknown;
use crate::inventory::{Host, Inventory};
use crate::model::HostName;

/// One word of `--limit` or `--exclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickWord {
    /// Whether it takes hosts out (`!b7`).
    pub(super) out: bool,
    pub(super) what: What,
}

/// What a word stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A host, or all hosts of a site, a group or a network.
    Name(HostName),
    /// The hosts with such names: `*` stands for any characters, `?` for one.
    Pattern(String),
}

/// Why a choice of hosts is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// A word has characters that no name has.
    #[error("`{0}` is no name of a host, a site or a group, and no pattern such as `hub-*`")]
    Word(String),
    /// No host has such a name.
    #[error("no host has a name like `{0}`")]
    NoMatch(String),
    /// What is taken out is all that was chosen.
    #[error("--limit and --exclude leave no host")]
    Nothing,
}

impl FromStr for PickWord {
    type Err = PickError;

    fn from_str(text: &str) -> Result<Self, PickError> {
        let (out, word) = text.strip_prefix('!').map_or((false, text), |word| (true, word));
        let refused = || PickError::Word(text.to_owned());
        let of_pattern = |c: char| c.is_ascii_alphanumeric() || "-.*?".contains(c);
        let what = if word.contains(['*', '?']) {
            if !word.chars().all(of_pattern) {
                return Err(refused());
            }
            What::Pattern(word.to_ascii_lowercase())
        } else {
            What::Name(word.parse().map_err(|_| refused())?)
        };
        Ok(Self { out, what })
    }
}

impl fmt::Display for PickWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.out { "!" } else { "" })?;
        match &self.what {
            What::Name(name) => name.fmt(f),
            What::Pattern(pattern) => f.write_str(pattern),
        }
    }
}

/// The hosts that `only` chooses, or all, without those of `except` and of words with `!`; in order of
/// the inventories. Empty where nothing was chosen: all of them, those too that left the inventory. A name
/// that nothing has is given back: it may be that of a host that left.
///
/// # Errors
/// Where a word stands for nothing, or no host is left.
pub fn pick(
    inventories: &[&Inventory],
    only: &[PickWord],
    except: &[PickWord],
    asked: Asked,
) -> Result<Vec<HostName>, Error> {
    if only.is_empty() && except.is_empty() {
        return Ok(Vec::new());
    }
    let mut taken = BTreeSet::new();
    let mut gone = Vec::new();
    for word in only.iter().filter(|word| !word.out) {
        let hosts = word.hosts(inventories, asked)?;
        match (&word.what, hosts.is_empty()) {
            (What::Name(name), true) => gone.push(name.clone()),
            _ => taken.extend(hosts),
        }
    }
    let every = only.iter().all(|word| word.out);
    for word in only.iter().filter(|word| word.out).chain(except) {
        let hosts = word.hosts(inventories, asked)?;
        if let (What::Name(name), true) = (&word.what, hosts.is_empty()) {
            refuse_unknown(inventories, std::slice::from_ref(name), Asked::Exclude)?;
        }
        if every && taken.is_empty() {
            taken = names(inventories, asked).into_iter().collect();
        }
        for host in hosts {
            taken.remove(&host);
        }
        if taken.is_empty() && gone.is_empty() {
            return Err(Error::new(Kind::Usage, PickError::Nothing));
        }
    }
    let known = names(inventories, asked).into_iter().filter(|name| taken.remove(name));
    Ok(known.chain(gone).collect())
}

/// The names that count, in order of the files.
fn names(inventories: &[&Inventory], asked: Asked) -> Vec<HostName> {
    let mut seen = BTreeSet::new();
    let all = inventories.iter().flat_map(|one| super::unknown::counting(one, asked));
    all.filter(|name| seen.insert((*name).clone())).cloned().collect()
}

impl PickWord {
    /// The hosts that it stands for; none where it is a name that nothing has.
    fn hosts(&self, inventories: &[&Inventory], asked: Asked) -> Result<Vec<HostName>, Error> {
        match &self.what {
            What::Name(name) => {
                let all = names(inventories, asked);
                if all.contains(name) {
                    return Ok(vec![name.clone()]);
                }
                Ok(inventories.iter().flat_map(|one| members(one, name.as_str())).collect())
            }
            What::Pattern(pattern) => {
                let mut hosts = names(inventories, asked);
                hosts.retain(|name| is_like(name.as_str().as_bytes(), pattern.as_bytes()));
                if hosts.is_empty() {
                    return Err(Error::new(Kind::Usage, PickError::NoMatch(pattern.clone())));
                }
                Ok(hosts)
            }
        }
    }
}

/// The hosts of a site, a group or a network.
pub(super) fn members(inventory: &Inventory, name: &str) -> Vec<HostName> {
    let site = inventory.sites.iter().position(|site| site.name.value.as_str() == name);
    let network = inventory.networks.iter().position(|one| one.name.value.as_str() == name);
    let belongs = |host: &&Host| {
        host.site.is_some() && host.site == site
            || host.groups.iter().any(|group| group.as_str() == name)
            || host.interfaces.iter().any(|interface| Some(interface.network) == network)
    };
    inventory.hosts.iter().filter(belongs).map(|host| host.name.value.clone()).collect()
}

/// Whether a name is like a pattern; the work grows with the product of their lengths at most.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut part) = (0, 0);
    // Where the last `*` is, and how much of the name it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(part) {
            Some(b'*') => {
                star = Some((part, at));
                part += 1;
            }
            Some(&c) if c == b'?' || c == name[at] => (at, part) = (at + 1, part + 1),
            _ => match &mut star {
                Some((of, upto)) => {
                    *upto += 1;
                    (at, part) = (*upto, *of + 1);
                }
                None => return false,
            },
        }
    }
    pattern[part..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::parse;

    const FLEET: &str = "fleet: f\nnetworks: {n: {prefixes: [10.0.0.0/16], links: {hub: hub-1}}}\n\
        groups: {branch: {}}\nsites: {paris: {subnets: [192.168.1.0/24], hosts: {hub-1: {gateway: \
        true, endpoint: '198.51.100.1:51820'}, nas: {}}}}\nhosts: {hub-2: {}, b7: {groups: [branch]}, b8: \
        {groups: [branch]}}\npeers: {phone: {via: hub-1}}\n";

    fn chosen(only: &str, except: &str, asked: Asked) -> Result<Vec<String>, String> {
        let inventory = parse("fleet.yaml".into(), FLEET.to_owned()).inventory.unwrap();
        let words = |text: &str| -> Vec<PickWord> {
            text.split_whitespace().map(|word| word.parse().unwrap()).collect()
        };
        let picked = pick(&[&inventory], &words(only), &words(except), asked);
        let picked = picked.map_err(|error| error.to_string())?;
        Ok(picked.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn hosts_are_chosen_by_name_site_group_network_and_pattern() {
        let of =
            |only: &str, except: &str| chosen(only, except, Asked::Limit).map(|all| all.join(" "));
        assert_eq!(of("", ""), Ok(String::new()));
        assert_eq!(of("b8 b7", ""), Ok("b7 b8".to_owned()));
        assert_eq!(of("paris", ""), Ok("hub-1 nas".to_owned()));
        assert_eq!(of("branch hub-*", ""), Ok("hub-1 hub-2 b7 b8".to_owned()));
        assert_eq!(of("n", "branch"), Ok("hub-1 nas hub-2".to_owned()));
        assert_eq!(of("branch !b7", ""), Ok("b8".to_owned()));
        assert_eq!(of("!paris", ""), Ok("hub-2 b7 b8".to_owned()));
        assert_eq!(of("", "b? nas"), Ok("hub-1 hub-2".to_owned()));
        assert_eq!(of("b7", "branch"), Err(PickError::Nothing.to_string()));
        assert_eq!(of("*", "*"), Err(PickError::Nothing.to_string()));
        assert_eq!(of("c*", ""), Err(PickError::NoMatch("c*".to_owned()).to_string()));
        // It may have left the inventory.
        assert_eq!(of("b7 former", ""), Ok("b7 former".to_owned()));
        assert!(of("", "former").is_err());
        // Nobody logs in at a phone.
        assert_eq!(of("phone", ""), Ok("phone".to_owned()));
        assert_eq!(chosen("p*", "", Asked::Key), Ok(vec!["phone".to_owned()]));
    }

    #[test]
    fn what_no_name_and_no_pattern_has_is_refused() {
        for word in ["", "!", "a b", "é*", "a/b", "[ab]*", "!!b7"] {
            assert!(word.parse::<PickWord>().is_err(), "{word}");
        }
        for word in ["b7", "!b7", "hub-*", "!h?b-*"] {
            assert_eq!(word.parse::<PickWord>().unwrap().to_string(), word);
        }
    }

    /// Every way to split the name, one by one.
    fn slow(name: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|from| slow(&name[from..], rest)),
            Some((c, rest)) => name
                .split_first()
                .is_some_and(|(own, after)| (c == own || *c == b'?') && slow(after, rest)),
        }
    }

    proptest! {
        #[test]
        fn patterns_are_those_of_a_shell(name in "[ab]{0,7}", pattern in "[ab*?]{0,6}") {
            prop_assert_eq!(
                is_like(name.as_bytes(), pattern.as_bytes()),
                slow(name.as_bytes(), pattern.as_bytes())
            );
        }
    }
}

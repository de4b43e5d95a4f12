//! Links that keep their old values, because one of their ends cannot change now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::hosts::number;
use super::sign::BOLD;
use crate::model::HostName;
use crate::plan::{Keeps, KeptLink, Standing};

/// Up to how many links are told one by one.
const NAMED: usize = 4;

/// One line for each link, or for many that are alike.
pub(super) fn kept(links: &[KeptLink]) -> String {
    let mut alike: BTreeMap<(&HostName, Standing, &BTreeSet<Keeps>), Vec<&KeptLink>> =
        BTreeMap::new();
    for link in links {
        alike.entry((&link.until, link.why, &link.keeps)).or_default().push(link);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    for ((until, why, keeps), links) in alike {
        let keeps: Vec<String> = keeps.iter().map(ToString::to_string).collect();
        let (then, what) = (then(why), keeps.join(", "));
        if links.len() <= NAMED {
            for link in links {
                let _ = writeln!(
                    out,
                    "{BOLD}Kept:{BOLD:#} link `{}` ↔ `{until}` keeps its old values until `{until}` \
                     {then}: {what}",
                    link.host
                );
            }
            continue;
        }
        let some: Vec<&str> = links.iter().take(NAMED - 1).map(|link| link.host.as_str()).collect();
        let _ = writeln!(
            out,
            "{BOLD}Kept:{BOLD:#} {} links of `{until}` keep their old values until `{until}` {then}: \
             {what} (with {} and {} more)",
            number(links.len()),
            some.join(", "),
            number(links.len() - some.len())
        );
    }
    out
}

const fn then(why: Standing) -> &'static str {
    match why {
        Standing::Unreadable => "is back",
        Standing::Blocked => "can be changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_links_are_named_and_many_are_counted() {
        let link = |host: &str, why| KeptLink {
            host: host.parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            until: "office-3".parse().unwrap(),
            why,
            keeps: [Keeps::PresharedKey, Keeps::Addresses].into(),
        };
        let plain = |links: &[KeptLink]| anstream::adapter::strip_str(&kept(links)).to_string();
        assert_eq!(plain(&[]), "");
        assert_eq!(
            plain(&[link("hub", Standing::Unreadable), link("a", Standing::Blocked)]),
            "Kept: link `hub` ↔ `office-3` keeps its old values until `office-3` is back: addresses, \
             PSK\nKept: link `a` ↔ `office-3` keeps its old values until `office-3` can be \
             changed: addresses, PSK\n"
        );
        let many: Vec<KeptLink> =
            (1..=9).map(|host| link(&format!("h{host}"), Standing::Blocked)).collect();
        assert_eq!(
            plain(&many),
            "Kept: 9 links of `office-3` keep their old values until `office-3` can be changed: \
             addresses, PSK (with h1, h2, h3 and 6 more)\n"
        );
    }
}

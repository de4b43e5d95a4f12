//! What only wg-quick does for an interface, read from its file.

use std::collections::BTreeSet;

use crate::wgconf::{Setting, lines};

/// What wg-quick did when it started an interface, and would not do again while it runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QuickDuties {
    /// `PreUp` and `PostUp`, in order.
    hooks: Vec<(Setting, String)>,
    /// DNS servers and search domains.
    dns: BTreeSet<String>,
    /// Default routes that are laid by policy rules.
    everything: BTreeSet<String>,
}

impl QuickDuties {
    /// Reads them from the text of a file, with or without its secrets.
    pub(super) fn of(text: &str) -> Self {
        let mut duties = Self::default();
        let mut automatic = true;
        for entry in lines(text.as_bytes()).filter_map(|line| line.entry()) {
            let values = || entry.items().map(str::to_owned);
            match entry.setting {
                Some(hook @ (Setting::PreUp | Setting::PostUp)) => {
                    duties.hooks.push((hook, entry.value.to_owned()));
                }
                Some(Setting::Dns) => duties.dns.extend(values()),
                Some(Setting::Table) => automatic = entry.value.eq_ignore_ascii_case("auto"),
                Some(Setting::AllowedIps) => {
                    duties.everything.extend(values().filter(|net| net.ends_with("/0")));
                }
                _ => {}
            }
        }
        if !automatic {
            duties.everything.clear();
        }
        duties
    }

    /// What differs, in words; `None`: nothing.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.everything != other.everything {
            Some("the policy rules of a full tunnel change")
        } else if self.dns != other.dns {
            Some("its DNS servers change")
        } else if self.hooks != other.hooks {
            Some("its hooks change")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_wg_quick_alone_does_counts() {
        let plain = QuickDuties::of("[Interface]\nMTU = 1420\n[Peer]\nAllowedIPs = 10.0.0.0/8\n");
        assert_eq!(plain, QuickDuties::default());
        let full = QuickDuties::of("[Peer]\nAllowedIPs = 0.0.0.0/0,::/0 # all\n");
        assert_eq!(full.difference(&plain), Some("the policy rules of a full tunnel change"));
        let off = QuickDuties::of("[Interface]\nTable = off\n[Peer]\nAllowedIPs = 0.0.0.0/0\n");
        assert_eq!(off, QuickDuties::default());
        let hooks = QuickDuties::of("[Interface]\npostup = a\nPostDown = b\nDNS = 10.0.0.1, x\n");
        assert_eq!(hooks.difference(&plain), Some("its DNS servers change"));
        let other = QuickDuties::of("[Interface]\nPostUp = c\nDNS = x, 10.0.0.1\n");
        assert_eq!(hooks.difference(&other), Some("its hooks change"));
    }
}

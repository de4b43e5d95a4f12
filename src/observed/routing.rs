//! What the kernel and wg-quick(8) route by themselves, and what of it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::str::SplitAsciiWhitespace;

use ipnet::IpNet;

use super::ObservedHost;
use super::word::word;
use crate::model::{Family, InterfaceName, parse_net};

/// Routes and rules of one answer, until all interfaces are known.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Routes that the kernel made for addresses.
    connected: BTreeMap<InterfaceName, BTreeSet<IpNet>>,
    /// Rules that lead what does not have a mark to a table.
    marks: BTreeSet<(Family, u32, u32)>,
    /// Families with a rule that leaves default routes of the main table out.
    suppress: BTreeSet<Family>,
}

impl Routing {
    /// `connected IF PREFIX`
    pub(super) fn connected(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let name: InterfaceName = word(words)?;
        let net = parse_net(words.next()?).ok()?;
        self.connected.entry(name).or_default().insert(net);
        Some(())
    }

    /// `rule FAMILY MARK TABLE` or `rule FAMILY suppress`
    pub(super) fn rule(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let family = match words.next()? {
            "4" => Family::V4,
            "6" => Family::V6,
            _ => return None,
        };
        match words.next()? {
            "suppress" => self.suppress.insert(family),
            mark => {
                let mark = u32::from_str_radix(mark.strip_prefix("0x")?, 16).ok()?;
                self.marks.insert((family, mark, word(words)?))
            }
        };
        Some(())
    }

    /// Says of each interface what is missing.
    pub(super) fn tell(&self, host: &mut ObservedHost) {
        let none = BTreeSet::new();
        for (name, interface) in host.interfaces.iter_mut().filter(|(_, live)| live.up) {
            let connected = self.connected.get(name).unwrap_or(&none);
            let nets = interface.addresses.iter();
            let nets = nets.filter(|net| net.prefix_len() < net.max_prefix_len());
            let nets = nets.map(IpNet::trunc).filter(|net| !connected.contains(net));
            interface.unrouted = nets.collect();
            let mark = interface.fwmark;
            let whole = interface.routes.iter();
            let whole = whole.filter(|(table, net)| *table == mark && net.prefix_len() == 0);
            let families = whole.map(|(_, net)| Family::of(net)).filter(|_| mark != 0);
            let ruled = |family: &Family| {
                self.suppress.contains(family) && self.marks.contains(&(*family, mark, mark))
            };
            interface.unruled = families.filter(|family| !ruled(family)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let read = |lines: &str| {
            let text = format!(
                "observe 3\ninterface wg0 kernel yes 1420\naddress wg0 10.9.0.1/24\n\
                 address wg0 10.9.0.7/24\naddress wg0 10.8.0.1/32\naddress wg0 fd09::1/64\n\
                 address wg0 fe80::1/64\n{lines}device wg0 (none) 51820 0xca6c\nend\n"
            );
            parse(&text).unwrap().interfaces.into_values().next().unwrap()
        };
        let nets = |nets: &[&str]| -> BTreeSet<IpNet> {
            nets.iter().map(|net| net.parse().unwrap()).collect()
        };
        assert_eq!(read("").unrouted, nets(&["10.9.0.0/24", "fd09::/64"]));
        let all = "connected wg0 10.9.0.0/24\nconnected wg0 fd09::/64\n";
        assert_eq!(read(all).unrouted, nets(&[]));
        assert_eq!(read(&format!("connected wg1 10.9.0.0/24\n{all}")).unrouted, nets(&[]));

        let routes = "route wg0 4 51820 default\nroute wg0 6 51820 default\nrule 4 0xca6c 51820\n\
                      rule 6 0xca6c 51820\n";
        let suppress = "rule 4 suppress\nrule 6 suppress\n";
        assert_eq!(read(&format!("{routes}{suppress}")).unruled, BTreeSet::new());
        assert_eq!(read(&format!("{routes}rule 4 suppress\n")).unruled, [Family::V6].into());
        assert_eq!(read(routes).unruled, [Family::V4, Family::V6].into());
        let other = "route wg0 4 51820 default\nrule 4 0xca6d 51821\nrule 4 suppress\n";
        assert_eq!(read(other).unruled, [Family::V4].into());
        assert_eq!(read("route wg0 4 77 default\n").unruled, BTreeSet::new());
    }
}

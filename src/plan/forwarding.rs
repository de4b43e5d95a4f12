//! Forwarding of packets: turned on where it is needed, off again only where wgfleet turned it on.
//!
//! The host itself remembers what was before, in a comment of the file that keeps forwarding on
//! at the next boot.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::names::Names;
use crate::model::{Family, InterfaceName};
use crate::observed::{ObservedFile, ObservedHost};
use crate::topology::Forwarding;

/// `accept_ra` of hosts that route and hear routers all the same; see the kernel's ip-sysctl.
pub const HEARS_AS_A_ROUTER: u8 = 2;

const fn setting(family: Family) -> &'static str {
    match family {
        Family::V4 => "net.ipv4.ip_forward",
        Family::V6 => "net.ipv6.conf.all.forwarding",
    }
}

fn was_off(family: Family) -> String {
    format!("# before wgfleet: {} = 0", setting(family))
}

/// Whether a file keeps forwarding of a family on.
fn asks(file: &ObservedFile, family: Family) -> bool {
    let on = format!("{} = 1", setting(family));
    file.public_text.lines().any(|line| line == on)
}

/// Whether forwarding was off before wgfleet turned it on, as a file says; `None`: it says nothing of
/// that family.
fn before(file: &ObservedFile, family: Family) -> Option<bool> {
    asks(file, family).then(|| file.public_text.lines().any(|line| line == was_off(family)))
}

/// Whether forwarding of a family is on because this fleet turned it on, and nobody else's file asks
/// for it: the fleet that leaves last turns it off.
pub(super) fn begun_by(names: &Names, observed: &ObservedHost, family: Family) -> bool {
    let own = names.own_sysctls(observed).and_then(|file| before(file, family));
    own == Some(true) && !names.other_sysctls(observed).any(|file| asks(file, family))
}

/// The file of a host that is to forward `wanted`.
pub(super) fn file(names: &Names, wanted: Forwarding, observed: &ObservedHost) -> String {
    let mut text = String::from("# Managed by wgfleet: this host routes for its peers.\n");
    for (family, wanted, live) in
        [(Family::V4, wanted.v4, observed.forward_v4), (Family::V6, wanted.v6, observed.forward_v6)]
    {
        if !wanted {
            continue;
        }
        // Where another fleet turned it on, that fleet knows.
        let own = names.own_sysctls(observed).and_then(|file| before(file, family));
        let others = || names.other_sysctls(observed).filter_map(|file| before(file, family));
        let known = own.or_else(|| others().max());
        if known.unwrap_or(!live) {
            text.push_str(&was_off(family));
            text.push('\n');
        }
        text.push_str(setting(family));
        text.push_str(" = 1\n");
    }
    if wanted.v6 {
        for interface in kept(names, observed) {
            let _ = writeln!(text, "{} = {HEARS_AS_A_ROUTER}", accepts(&interface));
        }
    }
    text
}

/// The setting of an interface, as sysctl(8) takes it where names have dots.
fn accepts(interface: &InterfaceName) -> String {
    format!("net/ipv6/conf/{interface}/accept_ra")
}

/// Interfaces that learn their default route from a router, now or when the file was written.
fn kept(names: &Names, observed: &ObservedHost) -> BTreeSet<InterfaceName> {
    let text = names.own_sysctls(observed).map_or("", |file| file.public_text.as_str());
    let written = text.lines().filter_map(|line| {
        let name = line.strip_prefix("net/ipv6/conf/")?.strip_suffix("/accept_ra = 2")?;
        name.parse().ok()
    });
    written.chain(observed.advertised.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fingerprint, HostPath};

    fn names(fleet: &str) -> Names {
        Names::of(&fleet.parse().unwrap())
    }

    fn add(host: ObservedHost, path: &str, text: &str) -> ObservedHost {
        let file = ObservedFile {
            mode: 0o644,
            root: true,
            fingerprint: Fingerprint::from_bytes([0; 32]),
            public_text: text.to_owned(),
        };
        let mut host = ObservedHost { forward_v4: true, forward_v6: true, ..host };
        host.files.insert(HostPath::made(path), file);
        host
    }

    fn with_file(text: &str) -> ObservedHost {
        add(ObservedHost::default(), &names("a").sysctl_file, text)
    }

    #[test]
    fn what_was_before_is_remembered_and_a_hand_that_turned_it_on_is_respected() {
        let (wanted, names) = (Forwarding { v4: true, v6: true }, names("a"));
        let fresh = ObservedHost { forward_v6: true, ..ObservedHost::default() };
        let first = file(&names, wanted, &fresh);
        let after = with_file(&first);
        assert_eq!(file(&names, wanted, &after), first);
        let begun = |host: &ObservedHost, family| begun_by(&names, host, family);
        assert!(begun(&after, Family::V4) && !begun(&after, Family::V6));
        // A reboot without it, or a hand that turns it off, changes nothing of that.
        let rebooted = ObservedHost { forward_v4: false, forward_v6: false, ..after };
        assert_eq!(file(&names, wanted, &rebooted), first);
        assert!(!begun(&fresh, Family::V4));
    }

    #[test]
    fn of_two_fleets_the_one_that_leaves_last_turns_it_off() {
        let (a, b) = (names("a"), names("b"));
        let wanted = Forwarding { v4: true, v6: false };
        let first = file(&a, wanted, &ObservedHost::default());
        let alone = with_file(&first);
        let second = file(&b, wanted, &alone);
        assert_eq!(second, first, "b knows from a that it was off before");
        let both = add(alone, &b.sysctl_file, &second);
        assert!(!begun_by(&a, &both, Family::V4) && !begun_by(&b, &both, Family::V4));
        assert_eq!(file(&a, wanted, &both), first);
        let last = add(ObservedHost::default(), &b.sysctl_file, &second);
        assert!(begun_by(&b, &last, Family::V4));
        // What was on before the first one stays on after the last one.
        let routed = ObservedHost { forward_v4: true, ..ObservedHost::default() };
        let first = file(&a, wanted, &routed);
        let second = file(&b, wanted, &with_file(&first));
        assert!(!first.contains("before wgfleet") && second == first);
    }

    #[test]
    fn a_router_that_is_heard_is_heard_after_the_next_boot_too() {
        let (wanted, names) = (Forwarding { v4: true, v6: true }, names("a"));
        let advertised = ["eth0.100".parse().unwrap()].into();
        let hears = ObservedHost { advertised, ..ObservedHost::default() };
        let first = file(&names, wanted, &hears);
        assert!(first.ends_with("\nnet/ipv6/conf/eth0.100/accept_ra = 2\n"), "{first}");
        // Also where the route is away for a moment.
        assert_eq!(file(&names, wanted, &with_file(&first)), first);
        let v4 = Forwarding { v4: true, v6: false };
        assert!(!file(&names, v4, &hears).contains("accept_ra"));
    }
}

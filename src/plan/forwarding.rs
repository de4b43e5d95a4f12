//! Forwarding of packets: turned on where it is needed, off again only where wgfleet turned it on.
//!
//! The host itself remembers what was before, in a comment of the file that keeps forwarding on
//! at the next boot.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::{Family, InterfaceName};
use crate::observed::ObservedHost;
use crate::topology::Forwarding;

/// Where forwarding is kept for the next boot.
pub(super) const SYSCTL_FILE: &str = "/etc/sysctl.d/60-wgfleet.conf";

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

/// Whether forwarding was off before wgfleet turned it on; `None`: wgfleet has not yet.
fn before(observed: &ObservedHost, family: Family) -> Option<bool> {
    let text = &observed.files.get(SYSCTL_FILE)?.public_text;
    let on = format!("{} = 1", setting(family));
    let mut lines = text.lines();
    lines.any(|line| line == on).then(|| text.lines().any(|line| line == was_off(family)))
}

/// Whether forwarding of a family is on because wgfleet turned it on.
pub(super) fn begun_by_wgfleet(observed: &ObservedHost, family: Family) -> bool {
    before(observed, family) == Some(true)
}

/// The file of a host that is to forward `wanted`.
pub(super) fn file(wanted: Forwarding, observed: &ObservedHost) -> String {
    let mut text = String::from("# Managed by wgfleet: this host routes for its peers.\n");
    for (family, wanted, live) in
        [(Family::V4, wanted.v4, observed.forward_v4), (Family::V6, wanted.v6, observed.forward_v6)]
    {
        if !wanted {
            continue;
        }
        if before(observed, family).unwrap_or(!live) {
            text.push_str(&was_off(family));
            text.push('\n');
        }
        text.push_str(setting(family));
        text.push_str(" = 1\n");
    }
    if wanted.v6 {
        for interface in kept(observed) {
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
fn kept(observed: &ObservedHost) -> BTreeSet<InterfaceName> {
    let text = observed.files.get(SYSCTL_FILE).map_or("", |file| file.public_text.as_str());
    let written = text.lines().filter_map(|line| {
        let name = line.strip_prefix("net/ipv6/conf/")?.strip_suffix("/accept_ra = 2")?;
        name.parse().ok()
    });
    written.chain(observed.advertised.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fingerprint;
    use crate::observed::ObservedFile;

    fn with_file(text: &str) -> ObservedHost {
        let file = ObservedFile {
            mode: 0o644,
            root: true,
            fingerprint: Fingerprint::from_bytes([0; 32]),
            public_text: text.to_owned(),
        };
        let files = [(SYSCTL_FILE.to_owned(), file)].into();
        ObservedHost { forward_v4: true, forward_v6: true, files, ..ObservedHost::default() }
    }

    #[test]
    fn what_was_before_is_remembered_and_a_hand_that_turned_it_on_is_respected() {
        let wanted = Forwarding { v4: true, v6: true };
        let fresh = ObservedHost { forward_v6: true, ..ObservedHost::default() };
        let first = file(wanted, &fresh);
        let after = with_file(&first);
        assert_eq!(file(wanted, &after), first);
        assert!(begun_by_wgfleet(&after, Family::V4) && !begun_by_wgfleet(&after, Family::V6));
        // A reboot without it, or a hand that turns it off, changes nothing of that.
        let rebooted = ObservedHost { forward_v4: false, forward_v6: false, ..after };
        assert_eq!(file(wanted, &rebooted), first);
        assert!(!begun_by_wgfleet(&fresh, Family::V4));
    }

    #[test]
    fn a_router_that_is_heard_is_heard_after_the_next_boot_too() {
        let wanted = Forwarding { v4: true, v6: true };
        let advertised = ["eth0.100".parse().unwrap()].into();
        let hears = ObservedHost { advertised, ..ObservedHost::default() };
        let first = file(wanted, &hears);
        assert!(first.ends_with("\nnet/ipv6/conf/eth0.100/accept_ra = 2\n"), "{first}");
        // Also where the route is away for a moment.
        assert_eq!(file(wanted, &with_file(&first)), first);
        assert!(!file(Forwarding { v4: true, v6: false }, &hears).contains("accept_ra"));
    }
}

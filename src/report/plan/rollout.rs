//! Which hosts change together, in which waves, and what cannot be kept.

use std::fmt::Write as _;

use super::hosts::{count, number};
use super::sign::{BAD, BOLD};
use crate::model::HostName;
use crate::plan::{Against, Coupling, Group, LostFlow, Rollout, why_together};

/// How many hosts of a list are named.
const NAMED: usize = 6;

/// What a rollout says beyond that every host changes by itself.
pub(super) fn rollout(rollout: &Rollout) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let waves = count(rollout.waves.len(), "wave", "waves");
    if rollout.is_proved() {
        let _ = writeln!(
            out,
            "{BOLD}Rollout:{BOLD:#} {waves}; every flow that works before and after works in between \
             (proved)."
        );
    } else {
        let lost: u64 = rollout.lost.iter().map(|lost| lost.flows).sum();
        let lost = usize::try_from(lost).unwrap_or(usize::MAX);
        let _ = writeln!(
            out,
            "{BOLD}Rollout:{BOLD:#} {waves}; {BAD}{} to work until other hosts have changed as \
             well{BAD:#}.",
            cease(lost)
        );
    }
    if rollout.waves.len() > 1 {
        for (index, wave) in rollout.waves.iter().enumerate() {
            let hosts: Vec<&HostName> = wave.groups.iter().flat_map(|group| &group.hosts).collect();
            let _ = writeln!(out, "  wave {}: {}", index + 1, names(&hosts));
        }
    }
    for group in rollout.groups().filter(|group| group.hosts.len() > 1) {
        write_group(&mut out, group);
    }
    if let Err(large) = rollout.within(rollout.most_together()) {
        let _ = writeln!(
            out,
            "  {BAD}`wgfleet apply` refuses that unless it is allowed:{BAD:#} {large}"
        );
    }
    for rule in &rollout.against {
        let (what, hosts) = match rule {
            Against::AllHubs { network, hosts } => {
                (format!("all hubs of network `{network}`"), hosts)
            }
            Against::GatewaysOfSite { site, hosts } => {
                (format!("several gateways of site `{site}`"), hosts)
            }
        };
        let hosts: Vec<&HostName> = hosts.iter().collect();
        let _ = writeln!(
            out,
            "  {what} change in one wave, because they have to change together: {}",
            names(&hosts)
        );
    }
    for lost in &rollout.lost {
        write_lost(&mut out, lost);
    }
    out
}

fn cease(flows: usize) -> String {
    format!("{} {}", count(flows, "flow", "flows"), if flows == 1 { "ceases" } else { "cease" })
}

fn names(hosts: &[&HostName]) -> String {
    let some: Vec<&str> = hosts.iter().take(NAMED).map(|host| host.as_str()).collect();
    let rest = hosts.len().saturating_sub(NAMED);
    if rest == 0 {
        return some.join(", ");
    }
    format!("{} and {} more ({} in all)", some.join(", "), number(rest), number(hosts.len()))
}

fn write_group(out: &mut String, group: &Group) {
    let hosts: Vec<&HostName> = group.hosts.iter().collect();
    let _ = writeln!(out, "  change together or not at all: {}", names(&hosts));
    let mut told = Vec::new();
    for Coupling { a, b, because, from, to, .. } in &group.couplings {
        // Each reason once.
        if !told.contains(because) {
            told.push(*because);
            let why = why_together(*because);
            let _ = writeln!(out, "    `{a}` and `{b}`: {why} (from {from} to {to})");
        }
    }
}

fn write_lost(out: &mut String, lost: &LostFlow) {
    let LostFlow { until, changes, because, from, to, flows, .. } = lost;
    let flows = usize::try_from(*flows).unwrap_or(usize::MAX);
    let _ = writeln!(
        out,
        "  {} to work when `{changes}` changes, until `{until}` does: {} (from {from} to {to})",
        cease(flows),
        why_together(*because)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Clashing;
    use crate::finding::{FlowEnd, Witness};
    use crate::plan::Wave;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn end(text: &str) -> FlowEnd {
        FlowEnd::Host { host: name(text) }
    }

    fn witness() -> Witness {
        Witness { source: "10.9.0.2".parse().unwrap(), destination: "10.9.0.1".parse().unwrap() }
    }

    #[test]
    fn a_rollout_says_who_changes_when_with_whom_and_why() {
        let coupling = Coupling {
            a: name("s1"),
            b: name("hub"),
            hosts: 2,
            because: Clashing::Port,
            from: end("s1"),
            to: end("hub"),
            witness: witness(),
            flows: 2,
        };
        let group = |hosts: &[&str], couplings: Vec<Coupling>| Group {
            hosts: hosts.iter().map(|host| name(host)).collect(),
            couplings,
        };
        let alone: Vec<Group> =
            (2..10).map(|host| group(&[format!("s{host}").as_str()], Vec::new())).collect();
        let together = group(&["s1", "hub"], vec![coupling.clone(), coupling]);
        let mut all = Rollout {
            waves: vec![Wave { groups: alone }, Wave { groups: vec![together] }],
            flows: 90,
            ..Rollout::default()
        };
        let plain =
            |rollout: &Rollout| anstream::adapter::strip_str(&super::rollout(rollout)).to_string();
        assert_eq!(
            plain(&all),
            "Rollout: 2 waves; every flow that works before and after works in between (proved).\n  \
             wave 1: s2, s3, s4, s5, s6, s7 and 2 more (8 in all)\n  wave 2: s1, hub\n  \
             change together or not at all: s1, hub\n    `s1` and `hub`: one would send to a port \
             where the other does not listen (from `s1` to `hub`)\n"
        );
        all.lost.push(LostFlow {
            until: name("down"),
            changes: name("hub"),
            because: Clashing::AllowedIps,
            from: end("down"),
            to: end("hub"),
            witness: witness(),
            flows: 1,
        });
        let text = plain(&all);
        assert!(
            text.starts_with(
                "Rollout: 2 waves; 1 flow ceases to work until other hosts have changed as well.\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "  1 flow ceases to work when `hub` changes, until `down` does: one would not accept \
                 the source of the other's packets (from `down` to `hub`)\n"
            ),
            "{text}"
        );
    }
}

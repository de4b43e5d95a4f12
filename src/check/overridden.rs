//! Switches that are off in the file and on by what follows from it.

use super::folded::Folded;
use crate::finding::{Code, Finding, Severity};
use crate::inventory::{Declared, Inventory, Level};
use crate::model::Location;
use crate::topology::{Because, Node, NodeKind, Topology};

/// `exit: false` of a host that is somebody's full tunnel, and `transit: false` of a hub: neither turns
/// anything off.
pub(super) fn switches(inventory: &Inventory, topology: &Topology) -> Vec<Finding> {
    let mut findings: Folded<(Location, Location)> = Folded::new();
    for node in &topology.nodes {
        let NodeKind::Host(index) = node.kind else { continue };
        let settings = &inventory.hosts[index].settings;
        if let (Some(off), Because::FullTunnel(at)) = (off(&settings.exit), node.exit.because) {
            findings.add((off.at, at), || {
                let what = (format!("`{}` is an exit, whatever `exit: false` says", node.name), at);
                finding(node, off, what, "sends everything through it").help(
                    "remove `exit: false`, or send nobody's traffic through the host: no \
                     `full_tunnel` that names it",
                )
            });
        }
        let hub =
            [node.forwards.v4.because, node.forwards.v6.because].into_iter().find_map(|because| {
                match because {
                    Because::Hub(at) => Some(at),
                    _ => None,
                }
            });
        if let (Some(off), Some(at)) = (off(&settings.transit), hub) {
            findings.add((off.at, at), || {
                let title = format!(
                    "`{}` passes traffic on between its peers, whatever `transit: false` says",
                    node.name
                );
                finding(node, off, (title, at), "makes it a hub").help(
                    "remove `transit: false`; where spokes are to reach the hub alone, link each \
                     of them to it (`links: [[hub, spoke]]`) instead of making it their hub",
                )
            });
        }
    }
    findings.into_findings()
}

fn off(setting: &crate::inventory::Setting<bool>) -> Option<&Declared<bool>> {
    setting.declared().filter(|declared| !declared.value)
}

fn finding(
    node: &Node,
    off: &Declared<bool>,
    (title, at): (String, Location),
    because: &str,
) -> Finding {
    let mut finding =
        Finding::new(Code::Conflict, title, off.at).label("has no effect here").also(at, because);
    if off.level != Level::Own {
        // What is inherited is meant for others.
        finding.severity = Severity::Info;
        finding = finding.also(node.at, "inherits it");
    }
    finding
}

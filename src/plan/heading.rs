//! The first line of an interface's file: whose it is.

use crate::model::{FleetName, HostName, NetworkName};

/// What `# wg0 on b7, network office of fleet acme.` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) host: HostName,
    pub(super) network: NetworkName,
    pub(super) fleet: FleetName,
}

impl Heading {
    /// Reads the first line of a file; `None` where it is another line, as of another template.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (_, rest) = text.lines().next()?.strip_prefix("# ")?.split_once(" on ")?;
        let (host, rest) = rest.split_once(", network ")?;
        let (network, fleet) = rest.strip_suffix('.')?.split_once(" of fleet ")?;
        Some(Self {
            host: host.parse().ok()?,
            network: network.parse().ok()?,
            fleet: fleet.parse().ok()?,
        })
    }
}

/// Lines at the top of an interface's file that may name its fleet.
const TOP: usize = 4;

/// The fleet that the top of an interface's file names, also where a template words it in its own way:
/// in a comment, behind ` of fleet `.
pub(super) fn fleet_named(text: &str) -> Option<FleetName> {
    let mut top = text.lines().take(TOP).filter(|line| line.starts_with('#'));
    top.find_map(|line| {
        let (_, fleet) = line.split_once(" of fleet ")?;
        fleet.split([' ', ',', ':']).next()?.trim_end_matches('.').parse().ok()
    })
}

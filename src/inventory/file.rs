//! The whole file.

use crate::model::{FleetName, GroupName, HostName, Located, NetworkName, SiteName};

use super::expect::DraftRule;
use super::fields::{Fields, Sink};
use super::form::{Entry, Map, Path};
use super::host::HostMap;
use super::moved::Moved;
use super::network::NetworkMap;
use super::peer::PeerMap;
use super::rollout::RolloutKeys;
use super::rows::{Rows, rows};
use super::settings::{Defaults, GroupMap};
use super::site::SiteKeys;
use super::spec::Section;

rows! {
    /// An inventory, or a file that one includes.
    pub(super) struct FileKeys, FileRows {
        KEYS: {
            fleet: FleetName, Own, "Name of the fleet; the file that is given to wgfleet has it, included ones do not.";
            include: Vec<Path>, Own, "Further files, relative to this one; `*` and `?` match within a name.";
            defaults: Located<Defaults>, Own, "Settings of every host that does not say otherwise.";
            groups: Vec<Entry<GroupName, GroupMap>>, Own, "Named settings that hosts inherit, and names to select hosts by.";
            networks: Vec<Entry<NetworkName, NetworkMap>>, Own, "The overlay networks.";
            sites: Vec<Entry<SiteName, SiteKeys>>, Own, "Places with LAN subnets, an underlay and hosts.";
            hosts: Vec<Entry<HostName, HostMap>>, Own, "Hosts that are not written under a site.";
            peers: Vec<Entry<HostName, PeerMap>>, Own, "Unmanaged peers: phones, partners' routers. Nobody logs in there.";
            moved: Vec<Moved>, Own, "Hosts and peers that have got another name, as `old: new`: they keep their key, their addresses and their record.";
            expect: Vec<DraftRule>, Own, "What must and must not flow; `wgfleet check` proves it.";
            rollout: Located<RolloutKeys>, Own, "How changes go through the fleet: canary, waves, windows, budget.";
        }
    }
}

impl Map for FileKeys {
    const SECTION: &'static Section = &Section {
        what: "an inventory",
        id: "fleet",
        many: "inventories",
        keys: &[FileKeys::KEYS],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

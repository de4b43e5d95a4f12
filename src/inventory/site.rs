//! A site, and what lies below its tunnels.

use ipnet::IpNet;

use crate::model::{HostName, Located, Mtu, SiteName};

use super::fields::{Fields, Sink};
use super::form::{Entry, Map};
use super::host::HostMap;
use super::rows::{Rows, rows};
use super::settings::Defaults;
use super::spec::Section;

rows! {
    /// A place.
    pub(super) struct SiteKeys, SiteRows {
        KEYS: {
            subnets: Vec<IpNet>, Own, "LAN prefixes; the site's gateways route them.";
            underlay: Located<Underlay>, Own, "What lies below the tunnels.";
            defaults: Located<Defaults>, Own, "Settings of every host of the site that does not say otherwise.";
            hosts: Vec<Entry<HostName, HostMap>>, Own, "The site's hosts.";
        }
    }
}

impl Map for SiteKeys {
    const SECTION: &'static Section =
        &Section { what: "a site", id: "site", many: "sites", keys: &[SiteKeys::KEYS] };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

rows! {
    /// What lies below the tunnels at one site. Endpoints within an underlay that has a name are
    /// reachable from its other sites even where they are private addresses.
    pub struct Underlay, UnderlayRows {
        KEYS: {
            mtu: Mtu, Own, "MTU of the way out in bytes, where it is not 1500 (PPPoE: 1492).";
            name: SiteName, Own, "Name of a private underlay that sites share, such as an MPLS or a VPC.";
        }
    }
}

impl Map for Underlay {
    const SECTION: &'static Section = &Section {
        what: "an underlay",
        id: "underlay",
        many: "underlays",
        keys: &[Underlay::KEYS],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

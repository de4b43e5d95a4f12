//! A host, and what it says about single peers.

use ipnet::IpNet;

use crate::model::{Endpoint, GroupName, HostName, Keepalive, SiteName, SshTarget};

use super::fields::{Fields, Sink};
use super::form::{Entry, Map};
use super::network::PskMode;
use super::presence::Presence;
use super::rows::{Rows, rows};
use super::settings::{HostSettings, InterfaceSettings, Membership, Settings};
use super::spec::Section;

rows! {
    /// What only hosts say.
    pub(super) struct HostKeys, HostKeyRows {
        KEYS: {
            site: SiteName, Own, "The site of a host that is written under the top-level `hosts:`.";
            groups: Vec<GroupName>, Own, "Groups that it inherits from; a later one wins.";
            ssh: SshTarget, Own, "How ssh(1) reaches it; default: its name. ~/.ssh/config is honoured.";
            subnets: Vec<IpNet>, Own, "Prefixes behind this host beside its site's.";
            peers: Vec<Entry<HostName, OverrideSettings>>, Own, "Overrides for single peers; what is not here is derived.";
        }
    }
}

/// One managed machine.
#[derive(Debug, Clone)]
pub(super) struct HostMap {
    pub(super) keys: HostKeys,
    pub(super) presence: Presence,
    pub(super) settings: Settings,
}

impl Map for HostMap {
    const SECTION: &'static Section = &Section {
        what: "a host",
        id: "host",
        many: "hosts",
        keys: &[
            HostKeys::KEYS,
            Presence::PRESENCE,
            HostSettings::ROLE,
            Membership::MEMBERSHIP,
            InterfaceSettings::OWN,
            InterfaceSettings::TUNING,
            InterfaceSettings::LIFE,
        ],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self {
            keys: HostKeys::of(fields, sink),
            presence: Presence::of(fields, sink),
            settings: Settings::of(fields, sink),
        }
    }
}

rows! {
    /// What a host says about one of its peers instead of what would be derived.
    pub struct OverrideSettings, OverrideRows {
        KEYS: {
            allowed_ips: Option<Vec<IpNet>>, Own, "Replaces the derived AllowedIPs whole; the checker treats it as a suspect.";
            endpoint: Endpoint, Own, "Replaces the derived endpoint.";
            keepalive: Option<Keepalive>, Own, "Replaces the derived keepalive.";
            psk: PskMode, Own, "Whether this pair has a preshared key, whatever its network says.";
        }
    }
}

impl Map for OverrideSettings {
    const SECTION: &'static Section = &Section {
        what: "a peer override",
        id: "override",
        many: "overrides",
        keys: &[OverrideSettings::KEYS],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

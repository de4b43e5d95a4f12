//! Settings that hosts inherit: `defaults`, then groups in the order that a host lists them, then
//! the site's `defaults`, then the host; between `defaults` and groups come the network's own.
//!
//! A later value replaces an earlier one, lists too. Only hooks add up: inherited ones run first.

use std::net::IpAddr;

use crate::model::{
    Backend, Become, Endpoint, FwMark, Hook, HostName, InterfaceName, Keepalive, Located, Mtu,
    NetworkName, Port, RouteTable,
};

use super::declared::{Level, Place};
use super::fields::{Field, Fields, Sink, named, wrong_type};
use super::form::{Dns, Map, Read};
use super::inherit::{Inherits, Merged};
use super::node::Kind;
use super::rows::{Rows, rows};
use super::spec::{Form, Section, Shape};
use super::value;

rows! {
    /// What one level says about a host as a whole; of a host, what all its levels say.
    pub struct HostSettings, HostRows {
        ROLE: {
            r#become: Become, Replaced, "How the login user becomes root; default `auto`.";
            nat: bool, Replaced, "Its packets leave through a source NAT, so that nobody can begin a session with it unless it has an endpoint.";
            gateway: bool, Replaced, "It routes its site's subnets.";
            transit: bool, Replaced, "It forwards between its peers even where it is no hub.";
            exit: bool, Replaced, "It sends full-tunnel traffic on to the Internet.";
            masquerade: bool, Replaced, "Traffic that leaves the tunnel through it gets its address.";
            backend: Backend, Replaced, "What runs its tunnels; default `auto`.";
        }
    }
}

rows! {
    /// The networks that one level says a host is a member of.
    pub(super) struct Membership, MembershipRows {
        MEMBERSHIP: {
            networks: Vec<Member>, Merged, "The networks that it is a member of; may be left out where the file has one network.";
        }
    }
}

rows! {
    /// What one level says about tunnel interfaces; of an interface, what all its levels say.
    pub struct InterfaceSettings, InterfaceRows {
        OWN: {
            address: Option<Vec<IpAddr>>, Replaced, "Tunnel address, at most one of each family; what is left out is allocated once and pinned in fleet.lock.";
            interface: InterfaceName, Replaced, "Interface name where it differs from the network's.";
            endpoint: Endpoint, Replaced, "Where other sites reach it: host:port.";
            local_endpoint: Endpoint, Replaced, "Where hosts of its own site reach it: host:port.";
        }
        TUNING: {
            on_link: bool, Replaced, "Whether the network's whole prefix is on the interface; with false it gets /32 and /128 addresses, and is reached through AllowedIPs alone. Default true.";
            listen_port: Port, Replaced, "UDP port; default: that of the endpoint.";
            mtu: Mtu, Replaced, "MTU of the tunnel interface in bytes; default: derived from the underlay.";
            table: RouteTable, Replaced, "Routing table of its routes, as wg-quick's Table; default `auto`.";
            fwmark: Option<FwMark>, Replaced, "Mark of its encrypted packets; decimal or 0x….";
            dns: Vec<Dns>, Replaced, "DNS servers and search domains.";
            keepalive: Option<Keepalive>, Replaced, "PersistentKeepalive in seconds, or `off`; default: 25 where NAT needs it.";
        }
        LIFE: {
            full_tunnel: Option<HostName>, Replaced, "The host that everything is sent through.";
            pre_up: Vec<Hook>, Added, "Commands before the interface comes up; inherited ones run first. `%i` is the interface.";
            post_up: Vec<Hook>, Added, "Commands after the interface came up.";
            pre_down: Vec<Hook>, Added, "Commands before the interface goes down.";
            post_down: Vec<Hook>, Added, "Commands after the interface went down.";
        }
    }
}

/// What one level says about a host and its interfaces.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) host: HostSettings,
    pub(super) membership: Membership,
    pub(super) interface: InterfaceSettings,
}

impl Settings {
    /// What a level says whose section has these keys.
    pub(super) fn of(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self {
            host: HostSettings::of(fields, sink),
            membership: Membership::of(fields, sink),
            interface: InterfaceSettings::of(fields, sink),
        }
    }

    /// Takes what this level does not say from a lower one, but for interfaces.
    pub(super) fn inherit(&mut self, lower: &Self, level: Level) {
        self.host.inherit(&lower.host, level);
        self.membership.inherit(&lower.membership, level);
    }
}

/// `defaults` of the fleet or of a site.
#[derive(Debug, Clone)]
pub(super) struct Defaults(pub(super) Settings);

impl Map for Defaults {
    const SECTION: &'static Section = &Section {
        what: "defaults",
        id: "defaults",
        many: "defaults",
        keys: &[
            HostSettings::ROLE,
            Membership::MEMBERSHIP,
            InterfaceSettings::TUNING,
            InterfaceSettings::LIFE,
        ],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self(Settings::of(fields, sink))
    }
}

/// Settings that hosts inherit by name.
#[derive(Debug, Clone)]
pub(super) struct GroupMap(pub(super) Settings);

impl Map for GroupMap {
    const SECTION: &'static Section =
        &Section { what: "a group", id: "group", many: "groups", keys: Defaults::SECTION.keys };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self(Settings::of(fields, sink))
    }
}

/// What a host says about one of its interfaces.
#[derive(Debug, Clone)]
pub(super) struct MemberMap(InterfaceSettings);

impl Map for MemberMap {
    const SECTION: &'static Section = &Section {
        what: "a membership",
        id: "membership",
        many: "memberships",
        keys: &[InterfaceSettings::OWN, InterfaceSettings::TUNING, InterfaceSettings::LIFE],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self(InterfaceSettings::of(fields, sink))
    }
}

/// A network that a level names, and what it says about that interface.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Located<NetworkName>,
    pub(super) settings: InterfaceSettings,
}

impl Member {
    /// One of which nothing else is said.
    pub(super) fn bare(name: Located<NetworkName>) -> Self {
        Self { name, settings: InterfaceSettings::default() }
    }

    /// The same, for a host that has it from a level above its own.
    fn inherited(&self, level: Level) -> Self {
        let mut settings = InterfaceSettings::default();
        settings.inherit(&self.settings, level);
        Self { name: self.name.clone(), settings }
    }
}

impl Form for Vec<Member> {
    /// `None`: not written, which means the only network.
    type Value = Option<Self>;
    const SHAPE: Shape = Shape::NamesOr(MemberMap::SECTION);
}

impl Read for Vec<Member> {
    /// A list of names, or a map from names to settings.
    fn read(field: &Field<'_>, sink: &mut Sink) -> Self::Value {
        let members = match &field.node.kind {
            Kind::Map(_) => named(*field, MemberMap::SECTION.many, sink)
                .iter()
                .filter_map(|entry| {
                    let map = MemberMap::open(entry, sink);
                    let name = value::name(entry, sink)?;
                    let settings = map.map(|MemberMap(settings)| settings).unwrap_or_default();
                    Some(Member { name, settings })
                })
                .collect(),
            Kind::Seq(_) | Kind::Scalar { .. } => {
                value::parse_many(field, sink).into_iter().map(Member::bare).collect()
            }
            Kind::Null => {
                wrong_type(field, "`networks` is a list of names", sink);
                Vec::new()
            }
        };
        Some(members)
    }
}

impl Inherits<Option<Vec<Member>>> for Merged {
    fn inherit(higher: &mut Option<Vec<Member>>, lower: &Option<Vec<Member>>, level: Level) {
        let Some(lower) = lower else { return };
        let Some(higher) = higher else {
            *higher = Some(lower.iter().map(|member| member.inherited(level)).collect());
            return;
        };
        for member in higher {
            if let Some(same) = lower.iter().find(|l| l.name.value == member.name.value) {
                member.settings.inherit(&same.settings, level);
            }
        }
    }

    fn places(value: &Option<Vec<Member>>) -> Vec<Place> {
        value.iter().flatten().map(|member| Place::own(member.name.at)).collect()
    }
}

//! An unmanaged peer.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{Endpoint, HostName, Keepalive, Located, Mtu, NetworkName, PublicKey};

use super::fields::{Field, Fields, Sink};
use super::form::{Dns, Map, Read, form};
use super::network::PskMode;
use super::node::Kind;
use super::presence::Presence;
use super::rows::{Rows, rows};
use super::spec::{Form, Section, Shape};
use super::value;

rows! {
    /// Where an unmanaged peer is linked.
    pub(super) struct PeerLinks, PeerLinkRows {
        LINKS: {
            network: NetworkName, Own, "Its network; may be left out where the file has one.";
            via: Via, Required, "The hosts that it is linked to.";
        }
    }
}

rows! {
    /// The settings of an unmanaged peer.
    pub struct PeerSettings, PeerRows {
        SETTINGS: {
            full_tunnel: bool, Own, "It sends everything through its first `via`.";
            public_key: PublicKey, Own, "Its public key; where it is missing, the vault makes a pair and issues its configuration.";
            address: Option<Vec<IpAddr>>, Own, "Tunnel address, at most one of each family; otherwise allocated.";
            endpoint: Endpoint, Own, "Where it can be reached: host:port.";
            subnets: Vec<IpNet>, Own, "Prefixes behind it.";
            keepalive: Option<Keepalive>, Own, "Its keepalive, for the configuration that is issued.";
            dns: Vec<Dns>, Own, "DNS servers and search domains for the configuration that is issued.";
            mtu: Mtu, Own, "MTU for the configuration that is issued.";
            psk: PskMode, Own, "Whether it has a preshared key with each `via`; default: as its network says, and none for a peer with a `public_key`, which has to be told the key.";
        }
    }
}

/// An unmanaged peer.
#[derive(Debug, Clone)]
pub(super) struct PeerMap {
    pub(super) links: PeerLinks,
    pub(super) presence: Presence,
    pub(super) settings: PeerSettings,
}

impl Map for PeerMap {
    const SECTION: &'static Section = &Section {
        what: "an unmanaged peer",
        id: "peer",
        many: "peers",
        keys: &[PeerLinks::LINKS, Presence::PRESENCE, PeerSettings::SETTINGS],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self {
            links: PeerLinks::of(fields, sink),
            presence: Presence::of(fields, sink),
            settings: PeerSettings::of(fields, sink),
        }
    }
}

/// Names of hosts, at least one.
#[derive(Debug)]
pub(super) enum Via {}
form!(Via => Vec<Located<HostName>>, Shape::OneOrMany(&Shape::Name), via);

fn via(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<HostName>> {
    if matches!(&field.node.kind, Kind::Seq(hosts) if hosts.is_empty()) {
        sink.push(
            Finding::new(Code::MissingKey, "an unmanaged peer is linked to nobody", field.at)
                .help("name at least one host: `via: NAME`"),
        );
    }
    value::parse_many(field, sink)
}

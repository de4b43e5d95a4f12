//! A packet's way in data: its ends, what each hop does with it, and why it is lost.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{HostName, InterfaceName};

/// A packet that shows the finding: smallest addresses, one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Inner source address.
    pub source: IpAddr,
    /// Inner destination address.
    pub destination: IpAddr,
}

/// What one hop does with a witness packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hop {
    /// The host.
    pub host: HostName,
    /// The interface that the packet takes or arrives on, where there is one.
    pub interface: Option<InterfaceName>,
    /// The prefix that decided: a route or an `AllowedIPs` entry.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Prefix>"))]
    pub matched: Option<IpNet>,
    /// Whether it is the reply to the packet.
    pub reply: bool,
    /// What it does.
    pub action: HopAction,
    /// Whom it sends it to.
    pub to: Option<HostName>,
    /// Why the packet is lost there.
    pub cause: Option<Loss>,
    /// The same as a sentence without its subject, which is the host.
    pub text: String,
}

/// What a hop does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HopAction {
    /// Sends it to a peer.
    Send,
    /// Takes it: the address is its own.
    Deliver,
    /// Delivers it to a LAN.
    DeliverToLan,
    /// Sends it on to the Internet.
    DeliverToInternet,
    /// Loses it.
    Drop,
}

/// Why a packet is lost, or a flow cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// No tunnel leads to the destination.
    NoRoute,
    /// The operator adds the routes of the interface, so nothing is known of them.
    ForeignRoutes,
    /// No peer of the interface has the address.
    NoPeer,
    /// Neither end can begin the session.
    NoSession,
    /// The endpoint that leads to the session is private to another place.
    PrivateEndpoint,
    /// Both ends of the session are behind one NAT, and know each other by its outside.
    Hairpin,
    /// Only the peer can begin the session, and nothing makes it do so.
    WaitsForPeer,
    /// The receiver has the source on another peer, or on none.
    SourceRefused,
    /// The host does not forward the family.
    NotForwarded,
    /// The host is no exit to the Internet.
    NoExit,
    /// The packet comes back to a host that it has been at.
    RoutingLoop,
    /// Nothing masquerades the source, so no reply comes back.
    NotMasqueraded,
    /// A machine on a LAN takes the address for one of its LAN, and asks nobody to route it.
    OnLink,
    /// It ends where it was not to go.
    Misdelivered,
    /// No host has the source.
    NoSender,
    /// The host is not in the fleet.
    NoHost,
    /// The host does not have the address.
    NoAddress,
    /// No host delivers to the LAN.
    NoLan,
    /// What it would have to pass is taken to have failed.
    Failed,
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FlowEnd {
    /// A host or an unmanaged peer.
    Host {
        /// Its name.
        host: HostName,
    },
    /// LAN addresses that the fleet treats alike.
    Lan {
        /// One of them.
        address: IpAddr,
    },
    /// Addresses of the Internet.
    Internet,
    /// An address that nothing in the fleet has.
    Address {
        /// The address.
        address: IpAddr,
    },
}

impl fmt::Display for FlowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host } => write!(f, "`{host}`"),
            Self::Lan { address } => write!(f, "the LAN of {address}"),
            Self::Internet => f.write_str("the Internet"),
            Self::Address { address } => address.fmt(f),
        }
    }
}

/// Why a flow does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why the packet, or its reply, is lost.
    pub cause: Loss,
    /// The host that loses it, or that is not there; `None` where no host has to do with it.
    pub host: Option<HostName>,
    /// The same as a sentence.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

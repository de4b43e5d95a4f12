//! What is lost with each thing that fails, as a document.

use serde::Serialize;

use crate::finding::{FlowEnd, Reason, Witness};
use crate::model::{Document, HostName, Kind, Version};

/// What is lost with each thing that fails.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failures {
    /// `failures`.
    pub kind: Kind<Self>,
    /// Its version.
    pub version: Version<Self>,
    /// Flows that the file's shape implies and that work while nothing fails.
    pub flows: u64,
    /// What fails, the worst first: one of those that are alike.
    pub without: Vec<Without>,
}

impl Document for Failures {
    const KIND: &'static str = "failures";
    const VERSION: u32 = 1;
}

/// The fleet without one thing.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Without {
    /// What fails.
    pub failing: Failing,
    /// For how many things that are alike it stands, itself among them.
    pub count: usize,
    /// The hosts and peers for which it stands, where it is one.
    pub hosts: Vec<HostName>,
    /// Flows that begin or end at it, and are gone in any case.
    pub ends: u64,
    /// Other flows that are lost with it.
    pub lost: u64,
    /// Flows that survive.
    pub survive: u64,
    /// The flows that are lost, by kind; the largest first.
    pub flows: Vec<LostFlows>,
    /// How many kinds are not listed.
    pub more: usize,
}

/// Something that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Failing {
    /// A host or an unmanaged peer.
    Host {
        /// Its name.
        host: HostName,
        /// What it is for others.
        role: Role,
    },
    /// A link: its session.
    Link {
        /// One end.
        a: HostName,
        /// The other end.
        b: HostName,
        /// The network.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        network: String,
    },
    /// The uplink of a site.
    Uplink {
        /// The site.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        site: String,
    },
}

/// What a host is for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It passes packets on between its peers.
    Hub,
    /// It leads to LANs.
    Gateway,
    /// It leads to the Internet.
    Exit,
    /// None of these.
    Host,
    /// An unmanaged peer.
    Peer,
}

/// Flows that are lost alike.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostFlows {
    /// Where one of them begins.
    pub from: FlowEnd,
    /// Where it ends.
    pub to: FlowEnd,
    /// How many there are.
    pub flows: u64,
    /// Why it is lost.
    pub reason: Reason,
    /// A packet that shows it.
    pub witness: Witness,
}

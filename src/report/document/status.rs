//! What `wgfleet status --format json` prints.

use serde::Serialize;

use crate::model::{Document, HostName, Kind, Version, worded};
use crate::observed::Unanswered;
use crate::plan::LeftOut;
use crate::report::status::{Dropped, SessionStatus, Status};

/// The sessions of a fleet.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Status"))]
pub struct StatusDocument<'a> {
    /// `status`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// Sessions, in order of the file.
    sessions: &'a [SessionStatus],
    /// What interfaces dropped that belongs to no peer; those that dropped nothing are left out.
    dropped: &'a [Dropped],
    /// Hosts that could not be read.
    unreadable: Vec<Unreadable<'a>>,
    /// Hosts and peers that the inventory has and leaves out.
    left_out: Vec<Absent<'a>>,
}

/// A host or a peer that the inventory leaves out.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "LeftOutOfFleet"))]
struct Absent<'a> {
    /// Its name.
    name: &'a HostName,
    /// Why.
    reason: &'a LeftOut,
}

impl Document for StatusDocument<'_> {
    const KIND: &'static str = "status";
    const VERSION: u32 = 2;
}

/// A host that could not be read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Unreadable<'a> {
    /// The host.
    host: &'a HostName,
    /// Why.
    #[serde(serialize_with = "worded::serialize")]
    #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
    reason: &'a Unanswered,
}

impl<'a> StatusDocument<'a> {
    /// The sessions of a fleet.
    #[must_use]
    pub fn new(status: &'a Status) -> Self {
        let unreadable = status.unreadable.iter();
        let unreadable = unreadable.map(|(host, reason)| Unreadable { host, reason });
        let left_out = status.left_out.iter().map(|(name, reason)| Absent { name, reason });
        Self {
            left_out: left_out.collect(),
            kind: Kind::default(),
            version: Version::default(),
            sessions: &status.sessions,
            dropped: &status.dropped,
            unreadable: unreadable.collect(),
        }
    }
}

//! The keys that change with a group, and which sessions were alive before.

use std::collections::BTreeMap;

use super::job::Job;
use crate::model::PublicKey;
use crate::observed::ObservedHost;

/// Seconds after which a session counts as one that nobody used.
const LIVE: u64 = 180;

/// The keys that change, and what each becomes.
#[derive(Debug, Default)]
pub(super) struct Rekeyed(BTreeMap<PublicKey, PublicKey>);

impl Rekeyed {
    /// The keys that change with the jobs of a group.
    pub(super) fn of<'a, 'b: 'a>(jobs: impl Iterator<Item = &'a Job<'b>>) -> Self {
        Self(jobs.flat_map(changing).collect())
    }

    /// One more, of a host that has changed already.
    pub(super) fn and(mut self, old: Option<PublicKey>, new: PublicKey) -> Self {
        self.0.extend(old.map(|old| (old, new)));
        self
    }

    /// What a key becomes, where it changes.
    pub(super) fn changed(&self, key: &PublicKey) -> Option<PublicKey> {
        self.0.get(key).copied()
    }

    /// What a key is now.
    pub(super) fn now(&self, key: &PublicKey) -> PublicKey {
        self.changed(key).unwrap_or(*key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The keys of its own that a job changes.
pub(super) fn changing(job: &Job<'_>) -> Vec<(PublicKey, PublicKey)> {
    let interfaces = job.target.interfaces.iter().map(|interface| interface.desired);
    let keys = interfaces.filter_map(|wanted| {
        let old = job.observed.interfaces.get(&wanted.name)?.public_key?;
        (old != wanted.public_key).then_some((old, wanted.public_key))
    });
    keys.collect()
}

/// Whether a session was alive when its host was observed.
pub(super) fn alive(host: &ObservedHost, handshake: u64) -> bool {
    handshake > 0 && host.now.saturating_sub(handshake) < LIVE
}

//! How an operator wants a rollout to go.

use std::collections::BTreeSet;

use crate::model::HostName;

/// A part of the hosts that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// So many hosts.
    Hosts(u32),
    /// So many of a hundred, at least one.
    Percent(u8),
}

impl Part {
    /// How many hosts it is of `all`.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => usize::try_from(hosts).unwrap_or(usize::MAX).max(1),
            Self::Percent(percent) => (all * usize::from(percent)).div_ceil(100).max(1),
        }
    }
}

/// How an operator wants a rollout to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutSettings {
    /// Sizes of the first waves, the canary before all; what is left is the last one. `None`: one wave up
    /// to [`Self::ONE_WAVE`] hosts, otherwise one host, 10 %, and the rest.
    pub waves: Option<Vec<Part>>,
    /// Whom to change first: the hosts of each step, in order.
    pub order: Vec<BTreeSet<HostName>>,
}

impl RolloutSettings {
    /// Up to how many hosts there is one wave, unless the operator says otherwise.
    pub const ONE_WAVE: usize = 10;
    /// How many hosts may have to change together, unless the operator says otherwise.
    pub const MAX_GROUP: usize = 50;

    /// The sizes of the first waves of `all` hosts.
    pub(super) fn sizes(&self, all: usize) -> Vec<usize> {
        let standard = [Part::Hosts(1), Part::Percent(10)];
        let parts = match &self.waves {
            Some(parts) => parts.as_slice(),
            None if all <= Self::ONE_WAVE => &[],
            None => &standard,
        };
        parts.iter().map(|part| part.of(all)).collect()
    }
}

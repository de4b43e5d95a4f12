//! How an operator wants a rollout to go.

use std::collections::BTreeSet;

use crate::inventory::RolloutPolicy;
use crate::model::{HostName, Part};

/// How an operator wants a rollout to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutSettings {
    /// Sizes of the first waves, at least one host each; what is left is the last one. `None`: one wave up
    /// to [`Self::ONE_WAVE`] hosts, otherwise one host, 10 %, and the rest.
    pub waves: Option<Vec<Part>>,
    /// Who changes before all others, in a wave of their own.
    pub canary: BTreeSet<HostName>,
    /// Whom to change first: the hosts of each step, in order, each in waves of its own.
    pub order: Vec<BTreeSet<HostName>>,
    /// How many hosts may have to change together; `None`: [`Self::MAX_GROUP`].
    pub max_group: Option<usize>,
}

impl RolloutSettings {
    /// Up to how many hosts there is one wave, unless the operator says otherwise.
    pub const ONE_WAVE: usize = 10;
    /// How many hosts may have to change together, unless the operator says otherwise.
    pub const MAX_GROUP: usize = 50;

    /// The sizes of the first waves of `all` hosts, beside a canary that was named.
    pub(super) fn sizes(&self, all: usize) -> Vec<usize> {
        let standard = [Part::Hosts(1), Part::Percent(10)];
        let parts = match &self.waves {
            Some(parts) => parts.as_slice(),
            None if all <= Self::ONE_WAVE => &[],
            None if self.canary.is_empty() => &standard,
            None => &standard[1..],
        };
        parts.iter().map(|part| part.of(all).max(1)).collect()
    }
}

impl From<&RolloutPolicy> for RolloutSettings {
    fn from(policy: &RolloutPolicy) -> Self {
        Self {
            waves: (!policy.waves.is_empty()).then(|| policy.waves.clone()),
            canary: policy.canary.clone(),
            order: policy.order.clone(),
            max_group: policy.max_group,
        }
    }
}

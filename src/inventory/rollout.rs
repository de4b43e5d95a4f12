//! How an operator wants rollouts to go: `rollout:`.

use std::collections::BTreeSet;

use crate::model::{Forbidden, HostName, Part, Window};

use super::fields::{Fields, Sink};
use super::form::{AnyName, GroupSize, Map};
use super::rows::{Rows, rows};
use super::spec::Section;

rows! {
    /// How rollouts are to go.
    pub(super) struct RolloutKeys, RolloutRows {
        KEYS: {
            canary: Option<Vec<AnyName>>, Own, "Hosts, sites or groups that change first, in a wave of their own.";
            waves: Vec<Part>, Own, "Sizes of the first waves, as numbers of hosts or parts of all that change (`10%`); what is left is the last one. Default: up to 10 hosts in one wave, otherwise 1, 10% and the rest.";
            order: Option<Vec<AnyName>>, Own, "Hosts, sites or groups in the order in which they change, each in waves of its own; all others follow.";
            max_group: GroupSize, Own, "How many hosts may have to change together; default 50.";
            budget: Part, Own, "How many hosts may fail in one run before no further wave begins; default 0.";
            ask: bool, Own, "Whether `wgfleet apply` asks before each wave but the first.";
            windows: Vec<Window>, Own, "When waves may begin, as `22:00-04:00 Europe/Paris` or `mon-fri 22:00-04:00 UTC`; default any time.";
            forbid: Vec<Forbidden>, Own, "What no plan may do: restart, lost-flow, removal, hook; `wgfleet plan` and `apply` end with 3.";
        }
    }
}

impl Map for RolloutKeys {
    const SECTION: &'static Section =
        &Section { what: "a rollout", id: "rollout", many: "rollouts", keys: &[RolloutKeys::KEYS] };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self::of(fields, sink)
    }
}

/// How an operator wants rollouts to go; the default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// Who changes first, in a wave of their own.
    pub canary: BTreeSet<HostName>,
    /// Sizes of the first waves; empty: none were written.
    pub waves: Vec<Part>,
    /// Whom to change first: the hosts of each step, in order.
    pub order: Vec<BTreeSet<HostName>>,
    /// How many hosts may have to change together.
    pub max_group: Option<usize>,
    /// How many may fail before no further wave begins.
    pub budget: Option<Part>,
    /// Whether to ask before each wave but the first.
    pub ask: bool,
    /// When waves may begin; empty: at any time.
    pub windows: Vec<Window>,
    /// What no plan may do.
    pub forbid: Vec<Forbidden>,
}

//! Which hosts change together, and in which order: so that between two steps every flow works that works
//! before and after the whole.
//!
//! [`crate::check::hybrids`] finds the hosts that clash. What clashes is one group, which changes or rolls
//! back as one; and whatever groups have changed, flows work. So the order is free, and follows care:
//! few hosts first, those that others depend on late.

mod changing;
mod order;
mod settings;
mod wave;

pub use changing::changing;
pub use settings::RolloutSettings;
pub use wave::{Against, Coupling, Group, LostFlow, Rollout, TooLargeGroup, Wave, why};

use std::collections::HashMap;

use self::order::{Order, joined};
use crate::check::{Changing, Hybrids, Role, State, hybrids};
use crate::model::HostName;

/// The rollout of a change from one state of a fleet to another. `controller` is the host that the
/// controller's own path goes through.
#[must_use]
pub fn rollout(
    before: State<'_>,
    after: State<'_>,
    changing: &Changing,
    settings: &RolloutSettings,
    controller: Option<&HostName>,
) -> Rollout {
    let Hybrids { flows, clashes, waiting } = hybrids(before, after, changing);
    let changes = |name: &&HostName| changing.roles.get(*name) == Some(&Role::Changes);
    let in_file = after.inventory.hosts.iter().map(|host| &host.name.value);
    let hosts: Vec<HostName> = in_file.filter(changes).cloned().collect();
    let together = joined(&hosts, clashes.iter().map(|clash| clash.hosts.as_slice()));
    let mut groups: Vec<Group> = together
        .into_iter()
        .map(|hosts| Group { hosts: hosts.into_iter().cloned().collect(), couplings: Vec::new() })
        .collect();
    let of: HashMap<HostName, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(at, group)| group.hosts.iter().map(move |host| (host.clone(), at)))
        .collect();
    for clash in &clashes {
        if let Some(group) = of.get(&clash.a) {
            groups[*group].couplings.push(Coupling::of(clash));
        }
    }
    let order = Order::new(after.inventory, after.topology, settings, controller);
    let waves = order.waves(groups);
    let against = if waves.len() > 1 {
        waves
            .iter()
            .flat_map(|wave| order.against(wave.groups.iter().flat_map(|group| &group.hosts)))
            .collect()
    } else {
        Vec::new()
    };
    Rollout {
        waves,
        flows,
        lost: waiting.iter().map(LostFlow::of).collect(),
        against,
        max_group: settings.max_group,
    }
}

#[cfg(test)]
mod tests;

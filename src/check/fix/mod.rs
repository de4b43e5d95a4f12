//! Changes to the file that make a flow work: proposed from the cause, and kept only if the proof
//! of the changed file succeeds, and the change breaks nothing.

mod change;
mod harm;
mod proposals;
mod text;

use serde::Serialize;

use super::first::first;
use super::flow::Broken;
use super::flows;
use super::tables::Tables;
use crate::inventory::{Inventory, Reader, Selector};
use crate::topology::{self, Addresses, Topology};
use harm::{Harm, Judge};

/// Most proposals that are tried: each means to read and to prove the whole file again.
const TRIED: usize = 24;

/// A change to the file after which the flow works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fix {
    /// What it does, as a lower-case fragment.
    pub text: String,
    /// The change as a unified diff of the files, for patch(1) or `git apply` in the folder of the
    /// inventory.
    pub patch: String,
}

/// Finds a change after which every flow from `from` to `to` works: the first one that adds no finding, or
/// else the first that adds notes alone.
pub(super) fn find(
    inventory: &Inventory,
    topology: &Topology,
    addresses: &dyn Addresses,
    (from, to): (&Selector, &Selector),
    broken: &Broken,
) -> Option<Fix> {
    let sources =
        flows::expand(inventory, &inventory.index(), &Tables::new(inventory, topology), from);
    let proposals = proposals::proposals(inventory, topology, addresses, (broken, &sources));
    let mut judge = Judge::new(inventory, topology);
    let mut noted = None;
    for proposal in proposals.into_iter().take(TRIED) {
        let Some(texts) = text::apply(inventory, &proposal.edits) else { continue };
        let mut reader = Reader::at(inventory.now);
        for ((_, file), text) in inventory.sources.files().zip(&texts) {
            reader.add(file.path.clone(), text.clone());
        }
        let Some(changed) = reader.finish().inventory else { continue };
        let after = topology::build(&changed, addresses);
        let tables = Tables::new(&changed, &after);
        if first(&changed, &tables, from, to).broken.is_some() {
            continue;
        }
        let fix = || Fix { text: proposal.title.clone(), patch: text::patch(inventory, &texts) };
        match judge.harm(&changed, &after, &texts) {
            Harm::None => return Some(fix()),
            Harm::Notes => noted = noted.or_else(|| Some(fix())),
            Harm::Breaks => {}
        }
    }
    noted
}

//! A rotation of several hosts, one after the other: who is left, and which keys the vault may forget.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::asked::Asked;
use super::ledger::{Ledger, both, has_moved, went_well};
use super::read::Fleet;
use super::run::Run;
use super::survey::{Survey, tell_interrupted};
use super::turn::{Terms, Turns};
use super::unknown::refuse_unknown;
use super::{Advice, Context, Error, Kind};
use crate::event::{Ending, Notice};
use crate::journal::RunKind;
use crate::model::HostName;
use crate::plan::Plan;
use crate::remote::{Connect, Ssh};
use crate::topology::NodeKind;
use crate::vault::{Identities, KeyState, Vault};

/// Whose keys change.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those of these hosts.
    Named(&'a [HostName]),
    /// Those of all managed hosts; where a rotation of all was interrupted, those that are left.
    All,
    /// Those that are older than so many days.
    OlderThan(i64),
}

/// A rotation whose new keys are in the vault.
#[derive(Debug)]
pub struct Campaign<'a, C = Ssh> {
    context: &'a Context,
    fleet: &'a Fleet,
    vault: &'a mut Vault,
    identities: Identities,
    terms: Terms<'a, C>,
    names: Vec<HostName>,
    /// The hosts whose keys this run made.
    begun: Vec<HostName>,
}

/// The hosts to rotate, in order of the file.
///
/// # Errors
/// Where one is no managed host.
pub fn to_rotate(
    context: &Context,
    fleet: &Fleet,
    vault: &Vault,
    which: Which<'_>,
    now: Timestamp,
) -> Result<Vec<HostName>, Error> {
    let hosts = || fleet.inventory().hosts.iter().map(|host| host.name.value.clone());
    let index = vault.index();
    match which {
        Which::All => {
            let all: Vec<HostName> = hosts().collect();
            let left = remaining(vault, &all);
            if left.len() < all.len() {
                let done = all.len() - left.len();
                context.notice(Notice::Resuming { left: left.len(), done });
            }
            Ok(left)
        }
        Which::OlderThan(days) => {
            let old = index.older_than(days, now);
            let wanted = |name: &HostName| old.contains(name) || index.next(name).is_some();
            Ok(hosts().filter(wanted).collect())
        }
        Which::Named(names) => {
            refuse_unknown(&[fleet.inventory()], names, Asked::Rotate)?;
            Ok(hosts().filter(|name| names.contains(name)).collect())
        }
    }
}

impl<'a, C: Connect> Campaign<'a, C> {
    /// Puts the new keys into the vault; no host is touched.
    ///
    /// # Errors
    /// Where the vault cannot be opened or written.
    pub fn begin(
        context: &'a Context,
        fleet: &'a Fleet,
        vault: &'a mut Vault,
        terms: Terms<'a, C>,
        names: Vec<HostName>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        // Whoever does not have the passphrase makes no keys.
        let identities = context.identities_to_write(vault)?;
        forget_proven(vault)?;
        tell_interrupted(context, fleet, vault, &names);
        let before = vault.index().clone();
        let begun = vault.begin_rotation(&names, &identities, now)?;
        context.tell_upgrade(&before, vault);
        Ok(Self { context, fleet, vault, identities, terms, names, begun })
    }

    fn turns(&self) -> Turns<'_, C> {
        Turns {
            context: self.context,
            fleet: self.fleet,
            identities: &self.identities,
            terms: &self.terms,
        }
    }

    /// The hosts and their neighbours, and what is to be done, for somebody to look at.
    ///
    /// # Errors
    /// Where the hosts cannot be asked at all.
    pub async fn survey(&self) -> Result<(Survey<C>, Plan), Error> {
        let survey = self.turns().settled(self.vault, &self.names).await?;
        let plan = survey.plan()?;
        Ok((survey, plan))
    }

    /// How many hosts get a new key.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.names.len()
    }

    /// Refuses a plan that would leave hosts without one another, or whose files are too old.
    ///
    /// # Errors
    /// Where a host is down or blocked.
    pub fn may_begin(&self, plan: &Plan) -> Result<(), Error> {
        let peers: Vec<HostName> = strangers(self.fleet, &self.names).into_iter().collect();
        if !peers.is_empty() {
            self.context.notice(Notice::TellPeers { peers });
        }
        let down: Vec<&str> = plan
            .unreadable()
            .filter(|(host, _)| self.names.contains(host))
            .map(|(host, _)| host.as_str())
            .collect();
        if !down.is_empty() {
            return Err(Error::message(
                Kind::Unreadable,
                format!("cannot reach {} to change its key; nothing was touched", down.join(", ")),
            )
            .hint("bring them up, or name the hosts to rotate without them"));
        }
        let unreadable: Vec<String> = plan.unreadable().map(|(host, _)| host.to_string()).collect();
        if !unreadable.is_empty() && !self.terms.allow_unreachable {
            return Err(Error::message(
                Kind::Unreadable,
                format!(
                    "cannot reach {}, whose session with the host would end; nothing was touched",
                    unreadable.join(", ")
                ),
            )
            .advise(Advice::AllowUnreachable));
        }
        if plan.blocked().next().is_some() {
            return Err(Error::message(
                Kind::Findings,
                "some hosts are blocked; nothing was touched",
            ));
        }
        self.terms.overrides.refuse_older(plan)
    }

    /// Before the first host is touched.
    ///
    /// # Errors
    /// Where the lock file or the journal cannot be written.
    pub fn start(&self, survey: &mut Survey<C>) -> Result<Run, Error> {
        survey.begin(self.context, self.fleet, RunKind::Rotate)
    }

    /// Nothing was touched: the keys that this run made are not needed.
    ///
    /// # Errors
    /// Where the vault cannot be written.
    pub fn cancel(self) -> Result<(), Error> {
        self.vault.cancel_rotation(&self.begun)?;
        Ok(())
    }

    /// One turn after the other, until one fails; gives the outcomes of that one.
    ///
    /// # Errors
    /// Where a turn cannot be taken at all; `ledger` says what was done.
    pub async fn take_turns(
        &mut self,
        run: &Run,
        ledger: &mut Ledger,
    ) -> Result<Vec<Ending>, Error> {
        self.context.stop.heed();
        let taken = self.take_each_turn(run, ledger).await;
        run.end();
        taken
    }

    async fn take_each_turn(
        &mut self,
        run: &Run,
        ledger: &mut Ledger,
    ) -> Result<Vec<Ending>, Error> {
        for name in self.names.clone() {
            ledger.begin(&name);
            let mut first = None;
            loop {
                let outcomes = self.turns().turn(run, self.vault, &name).await?;
                if went_well(&outcomes) {
                    ledger.turn(&name, &outcomes);
                    break;
                }
                let is_second = first.is_some();
                let outcomes = both(first.unwrap_or_default(), outcomes);
                ledger.turn(&name, &outcomes);
                if is_second || !has_moved(&name, &outcomes) || self.context.stop.is_asked() {
                    return Ok(outcomes);
                }
                // The host keeps its new key: neighbours that did not follow are told once more.
                first = Some(outcomes);
            }
            self.vault.promote([&name])?;
            self.vault.retire([&name])?;
            ledger.proven(&name);
            self.context.notice(Notice::KeyProven { host: name });
        }
        Ok(Vec::new())
    }
}

/// Forgets the keys whose successors a run has proven, where it had no time to forget them.
fn forget_proven(vault: &mut Vault) -> Result<(), Error> {
    let index = vault.index();
    let proven: Vec<HostName> = index
        .names()
        .filter(|name| index.next(name).is_none())
        .filter(|name| index.generation(name, KeyState::Retired).is_some())
        .cloned()
        .collect();
    if !proven.is_empty() {
        vault.retire(&proven)?;
    }
    Ok(())
}

/// The hosts that a rotation of all still has to do: those whose turn has not come since the first of
/// the keys that wait was made; all where none waits.
fn remaining(vault: &Vault, all: &[HostName]) -> Vec<HostName> {
    let index = vault.index();
    let made = |name: &HostName, state| index.generation(name, state).map(|one| one.created);
    let Some(begun) = all.iter().filter_map(|name| made(name, KeyState::Next)).min() else {
        return all.to_vec();
    };
    all.iter()
        .filter(|name| {
            index.next(name).is_some()
                || made(name, KeyState::Current).is_none_or(|made| made < begun)
        })
        .cloned()
        .collect()
}

/// The unmanaged peers of the hosts: nobody logs in there to change the key that they know.
fn strangers(fleet: &Fleet, names: &[HostName]) -> BTreeSet<HostName> {
    let topology = &fleet.topology;
    let rotated = topology.nodes.iter().filter(|node| names.contains(&node.name));
    rotated
        .flat_map(|node| &node.interfaces)
        .flat_map(|id| &topology.interface(*id).peers)
        .map(|peer| topology.remote(peer))
        .filter(|node| matches!(node.kind, NodeKind::Unmanaged(_)))
        .map(|node| node.name.clone())
        .collect()
}

//! One host's turn in a rotation, and what it takes: the host, its neighbours, and how they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::carry_out::{job, read_helpers};
use super::login::Login;
use super::read::Fleet;
use super::records::Overrides;
use super::run::Run;
use super::survey::{Rotating, Scope, Survey};
use super::{Context, Error};
use crate::apply::{Conduct, GRACE, ROLLBACK_LIMIT, Rotation, rotate};
use crate::event::{Ending, Notice, Outcome, Reason};
use crate::model::HostName;
use crate::plan::HostState;
use crate::remote::{Connect, Host as _, Ssh};
use crate::topology::NodeKind;
use crate::vault::{Identities, Vault};

/// How often hosts are looked at while they roll back an unconfirmed change.
const POLL: Duration = Duration::from_secs(2);

/// How keys are changed.
#[derive(Debug)]
pub struct Terms<'a, C = Ssh> {
    /// How hosts are logged in to.
    pub login: &'a Login<C>,
    /// A folder with builds for hosts of other machines.
    pub binaries: Option<&'a Path>,
    /// What is done although hosts remember something else.
    pub overrides: &'a Overrides,
    /// Whether it goes on where a neighbour cannot be read.
    pub allow_unreachable: bool,
    /// After which a host rolls back an unconfirmed change.
    pub deadline: Duration,
}

/// What all turns of a rotation share.
#[derive(Debug)]
pub(super) struct Turns<'a, C> {
    pub(super) context: &'a Context,
    pub(super) fleet: &'a Fleet,
    pub(super) identities: &'a Identities,
    pub(super) terms: &'a Terms<'a, C>,
}

impl<C: Connect> Turns<'_, C> {
    /// All hosts, once those that an interrupted run has left armed have rolled back by themselves.
    pub(super) async fn settled(
        &self,
        vault: &Vault,
        names: &[HostName],
    ) -> Result<Survey<C>, Error> {
        let mut told = BTreeSet::new();
        let rounds =
            (self.terms.deadline + GRACE + ROLLBACK_LIMIT).as_secs().div_ceil(POLL.as_secs());
        for _ in 0..rounds {
            let survey = self.survey(vault, names).await?;
            let armed: BTreeSet<HostName> = survey
                .seen
                .iter()
                .filter(|(_, (seen, _))| seen.armed.is_some())
                .map(|(name, _)| name.clone())
                .collect();
            if armed.is_empty() {
                return Ok(survey);
            }
            survey.close().await;
            for name in armed {
                if told.insert(name.clone()) {
                    self.context.notice(Notice::WaitsForRollback { host: name });
                }
            }
            tokio::time::sleep(POLL).await;
        }
        self.survey(vault, names).await
    }

    /// The hosts, which are to get their next keys, and their neighbours as they are now.
    async fn survey(&self, vault: &Vault, names: &[HostName]) -> Result<Survey<C>, Error> {
        let limit = involved(self.fleet, names);
        let scope = Scope {
            login: self.terms.login,
            limit: &limit,
            binaries: self.terms.binaries,
            overrides: self.terms.overrides,
            without_identity: false,
        };
        let turn = names.iter().cloned().collect();
        let rotating = Rotating { vault, identities: self.identities, turn: &turn };
        Survey::take(self.context, scope, self.fleet, Some(rotating)).await
    }

    /// One host's turn.
    pub(super) async fn turn(
        &self,
        run: &Run,
        vault: &Vault,
        name: &HostName,
    ) -> Result<Vec<Ending>, Error> {
        let surveyed = self.survey(vault, std::slice::from_ref(name));
        let Some(survey) = self.context.stop.unless(surveyed, Duration::ZERO).await else {
            let reason = Reason::Interrupted;
            return Ok(vec![Ending::not_begun(name.clone(), Outcome::Skipped(reason))]);
        };
        let mut survey = survey?;
        let Some(new) = vault.index().next(name) else { return Ok(Vec::new()) };
        let old = vault.index().current(name).filter(|old| *old != new);
        let plan = survey.plan()?;
        // Since the review a host may have gone, or somebody may have armed another change.
        let missing = plan.hosts.iter().find_map(|other| {
            let reason = match &other.state {
                HostState::Unreadable(reason)
                    if other.host == *name || !self.terms.allow_unreachable =>
                {
                    Reason::Unanswered { reason: reason.clone() }
                }
                HostState::Blocked(reason) => Reason::Blocked { reason: reason.clone() },
                HostState::Unreadable(_) | HostState::Ready => return None,
            };
            Some(Ending::not_begun(other.host.clone(), Outcome::Skipped(reason)))
        });
        if let Some(missing) = missing {
            survey.close().await;
            return Ok(vec![missing]);
        }
        let helpers = Arc::new(read_helpers(&survey, &plan)?);
        let seen = std::mem::take(&mut survey.seen);
        let (mut observed, mut hosts) = (BTreeMap::new(), BTreeMap::new());
        for (name, (seen, host)) in seen {
            observed.insert(name.clone(), seen);
            hosts.insert(name, host);
        }
        let mut rotation = Rotation { host: None, neighbours: Vec::new(), old, new };
        let mut outcomes = Vec::new();
        for host_plan in &plan.hosts {
            let Some(connection) = hosts.remove(&host_plan.host) else { continue };
            if host_plan.changes.is_empty() {
                connection.close().await;
                outcomes.push(Ending::not_begun(host_plan.host.clone(), Outcome::Unchanged));
                continue;
            }
            let Some(job) = job(&survey, &observed, host_plan, &helpers)? else { continue };
            if host_plan.host == *name {
                rotation.host = Some((job, connection));
            } else {
                rotation.neighbours.push((job, connection));
            }
        }
        let neighbours = rotation.neighbours.iter().map(|(job, _)| job.plan.host.clone());
        let intent =
            &run.intend(vec![vec![std::iter::once(name.clone()).chain(neighbours).collect()]])?;
        // What ends the program from now on does not end it before anything was touched.
        self.fleet.has_changed.store(true, Ordering::Relaxed);
        let conduct = Conduct {
            // Handshakes with the new key prove more.
            probes: false,
            deadline: self.terms.deadline,
            parallel: self.terms.login.parallel,
            events: run.events(),
            stop: &self.context.stop,
            slept: &self.context.slept,
            lock: run.lock(),
        };
        let (connector, secrets) = (&*survey.connector, &survey.secrets);
        outcomes.extend(rotate(connector, intent, rotation, secrets, &conduct).await);
        Ok(outcomes)
    }
}

/// The hosts and all their managed neighbours.
fn involved(fleet: &Fleet, names: &[HostName]) -> Vec<HostName> {
    let topology = &fleet.topology;
    let mut all: BTreeSet<HostName> = names.iter().cloned().collect();
    for node in topology.nodes.iter().filter(|node| names.contains(&node.name)) {
        for id in &node.interfaces {
            for peer in &topology.interface(*id).peers {
                let remote = topology.remote(peer);
                if matches!(remote.kind, NodeKind::Host(_)) {
                    all.insert(remote.name.clone());
                }
            }
        }
    }
    all.into_iter().collect()
}

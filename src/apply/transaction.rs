//! A group of hosts whose changes only make sense together, as one transaction: all of them change, at
//! the same moment, or none does.
//!
//! Everything that can fail without a change is tried on every host first. Then each flips at a moment of
//! its own clock. Once all are seen to work all confirm, and only when the last one has done so does the
//! first one forget how to take its change back.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::blame::Blame;
use super::clock::HostClock;
use super::context::{BRIEF, Context};
use super::deadline::Deadline;
use super::flip::{Flip, flip};
use super::job::{Job, Logins};
use super::member::Member;
use super::prepare::{cancel, prepare};
use super::rekeyed::{Rekeyed, changing};
use super::settle::{release, roll_back, settle};
use super::verdict::{GRACE, Verdict};
use super::verify::verify;
use crate::desired::Secrets;
use crate::event::{Ending, Event, Outcome, Reason, Step};
use crate::model::HostName;
use crate::remote::Connect;

/// Confirming begins only where every timer has this left, or a third of a short deadline.
const MARGIN: Duration = Duration::from_secs(10);

/// From the decision to flip until hosts do: the words have to get there, and a shell has to start.
const LEAD: Duration = Duration::from_millis(500);

/// How long after the hosts whose own keys change their neighbours flip. Packets wait for a host that does
/// not know a key yet; what is sent with a key that is not known any more is lost.
const BEHIND: Duration = Duration::from_millis(100);

/// What is the same for all hosts of a group.
pub(super) struct Transaction<'a, C, S> {
    pub(super) context: &'a Context<'a, S>,
    pub(super) logins: &'a Logins<'a, C>,
    /// The keys that change.
    pub(super) keys: &'a Rekeyed,
}

impl<C: Connect, S: Secrets> Transaction<'_, C, S> {
    /// Changes all hosts of a group, or none; gives the outcome of each.
    pub(super) async fn run(&self, hosts: Vec<(Job<'_>, C::Host)>) -> Vec<Ending> {
        match self.prepared(hosts).await {
            Ok(members) => {
                let at = Instant::now() + lead(members.iter().map(|member| member.clock));
                self.flipped(members, at).await
            }
            Err(endings) => endings,
        }
    }

    /// All of them prepared, or none.
    async fn prepared<'a>(
        &self,
        hosts: Vec<(Job<'a>, C::Host)>,
    ) -> Result<Vec<Member<'a, C::Host>>, Vec<Ending>> {
        let tried = hosts.into_iter().map(|(job, host)| async {
            let since = self.context.events.now();
            let prepared = prepare(self.context, self.logins, &job, host).await;
            (job, since, prepared)
        });
        let tried = join_all(tried).await;
        let failed = tried.iter().find_map(|(job, _, prepared)| {
            let reason = prepared.as_ref().err()?.reason()?;
            Some(Blame::host(&job.plan.host, reason.clone()))
        });
        let failed = if self.context.stop.is_asked() {
            Some(Blame::run(Reason::Interrupted))
        } else {
            failed
        };
        let Some(blame) = failed else {
            let member = |(job, since, prepared): (_, _, Result<_, _>)| {
                let (host, clock) = prepared.ok()?;
                let (connection, unverified, proved) = (Some(host), Vec::new(), BTreeSet::new());
                Some(Member { job, since, connection, clock, unverified, proved })
            };
            return Ok(tried.into_iter().filter_map(member).collect());
        };
        let blame = &blame;
        let cancelled = tried.into_iter().map(|(job, since, prepared)| async move {
            let outcome = match prepared {
                Err(outcome) => outcome,
                Ok((host, _)) => {
                    // Nothing has changed there, whether it hears this or not.
                    cancel(&job, host).await;
                    Outcome::Failed(blame.of(&job.plan.host))
                }
            };
            job.ending(since, self.context.events.now(), outcome)
        });
        Err(join_all(cancelled).await)
    }

    async fn flipped(&self, members: Vec<Member<'_, C::Host>>, at: Instant) -> Vec<Ending> {
        let until = at + self.context.deadline;
        let deadline = &Deadline::at(until, self.context.slept);
        let flips = members.into_iter().map(|mut member| async {
            self.context.working(&member.job, Step::Applying);
            let follows = !self.keys.is_empty() && changing(&member.job).is_empty();
            let at = if follows { at + BEHIND + member.clock.bound } else { at };
            let flip = flip(self.logins, &mut member, at, until);
            let flip = self.context.stop.unless(flip, BRIEF).await;
            (member, flip.unwrap_or(Flip::Unclear(Reason::Interrupted)))
        });
        let flips = join_all(flips).await;
        for (member, flip) in &flips {
            if let Flip::Done { late } = flip {
                self.context.events.tell(Event::Flipped {
                    host: member.job.plan.host.clone(),
                    transaction: member.job.id.clone(),
                    late: *late,
                    bound: u64::try_from(member.clock.bound.as_millis()).unwrap_or(u64::MAX),
                });
            }
        }
        let failed = flips.iter().find_map(|(member, flip)| {
            Some(Blame::host(&member.job.plan.host, flip.reason()?.clone()))
        });
        let mut members: Vec<(Member<'_, C::Host>, Option<Outcome>)> =
            flips.into_iter().map(|(member, flip)| (member, flip.ended())).collect();
        let stop = self.context.stop;
        let proof = match failed {
            _ if stop.is_asked() => Err(Blame::run(Reason::Interrupted)),
            Some(blame) => Err(blame),
            None => {
                let verified = self.verified(&mut members, until, deadline);
                let verified = stop.unless(verified, Duration::ZERO).await;
                match verified {
                    Some(verified) => verified,
                    None => Err(Blame::run(Reason::Interrupted)),
                }
            }
        };
        if let Err(blame) = proof {
            return self.ended(roll_back(self.context, self.logins, members, &blame, until).await);
        }
        let members = members.into_iter().map(|(member, _)| member).collect();
        let settled =
            settle(self.context, self.logins, members, self.keys, (until, deadline)).await;
        let decided = settled.iter().find_map(|(member, verdict)| match verdict {
            Verdict::Stopped(reason) => Some(Blame::run(reason.clone())),
            verdict => Some(Blame::host(&member.job.plan.host, verdict.back()?.clone())),
        });
        if let Some(blame) = decided {
            let ended = |(member, verdict): (_, Verdict)| {
                let is_back = verdict.back().is_some();
                (member, is_back.then(|| verdict.outcome()))
            };
            let members = settled.into_iter().map(ended).collect();
            return self
                .ended(roll_back(self.context, self.logins, members, &blame, until + GRACE).await);
        }
        let released = settled.into_iter().map(|(mut member, verdict)| async {
            release(self.logins, &mut member).await;
            (member, verdict.outcome())
        });
        self.ended(join_all(released).await)
    }

    /// Every member works, and there is time to confirm.
    async fn verified(
        &self,
        members: &mut [(Member<'_, C::Host>, Option<Outcome>)],
        until: Instant,
        deadline: &Deadline,
    ) -> Result<(), Blame> {
        let last = until - MARGIN.min(self.context.deadline / 3);
        let seen = members.iter_mut().map(|(member, _)| async {
            let proof = verify(self.context, self.logins, member, self.keys, last).await;
            // Whatever it looked like: this is why.
            deadline.not_slept_through().map_err(Blame::run)?;
            proof.map_err(|reason| Blame::host(&member.job.plan.host, reason))
        });
        join_all(seen).await.into_iter().collect()
    }

    fn ended(&self, members: Vec<(Member<'_, C::Host>, Outcome)>) -> Vec<Ending> {
        let now = self.context.events.now();
        // What one end has seen of a session proves it to the other.
        let proved: BTreeSet<(HostName, HostName)> = members
            .iter()
            .flat_map(|(member, _)| {
                let host = &member.job.plan.host;
                member.proved.iter().map(move |peer| (peer.clone(), host.clone()))
            })
            .collect();
        let ending = |(mut member, outcome): (Member<'_, _>, _)| {
            let host = &member.job.plan.host;
            member.unverified.retain(|one| !proved.contains(&(host.clone(), one.peer.clone())));
            member.job.ending(member.since, now, outcome).unverified(member.unverified)
        };
        members.into_iter().map(ending).collect()
    }
}

fn lead(clocks: impl Iterator<Item = HostClock>) -> Duration {
    LEAD + clocks.map(|clock| clock.bound).max().unwrap_or_default() * 4
}

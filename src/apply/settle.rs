//! How a group that has flipped ends: all of it confirmed, or all of it rolled back.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::blame::Blame;
use super::context::Context;
use super::deadline::Deadline;
use super::job::Logins;
use super::member::Member;
use super::rekeyed::{Rekeyed, changing};
use super::verdict::{
    CALL_LIMIT, GRACE, Keeping, Patience, ROLLBACK_LIMIT, Verdict, keep, take_back,
};
use crate::event::{Outcome, Step};
use crate::remote::{Connect, Host};

/// Has all members confirm, each able to take it back until all have. Those whose own keys change come
/// first: a neighbour that has confirmed a new key proves that its host has it.
pub(super) async fn settle<'a, C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    members: Vec<Member<'a, C::Host>>,
    keys: &Rekeyed,
    until: (Instant, &Deadline),
) -> Vec<(Member<'a, C::Host>, Verdict)> {
    let (first, then): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|member| keys.is_empty() || !changing(&member.job).is_empty());
    let mut settled = hold(context, logins, first, until).await;
    if settled.iter().any(|(_, verdict)| verdict.ends_group()) {
        let left = then.into_iter().map(|member| (member, Verdict::Unasked));
        settled.extend(left);
    } else {
        settled.extend(hold(context, logins, then, until).await);
    }
    settled
}

async fn hold<'a, C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    members: Vec<Member<'a, C::Host>>,
    (until, deadline): (Instant, &Deadline),
) -> Vec<(Member<'a, C::Host>, Verdict)> {
    let asked = members.into_iter().map(|mut member| async {
        context.working(&member.job, Step::Confirming);
        let keeping = Keeping::Until(member.clock.word(until + GRACE));
        let patience = Patience::until(until, deadline);
        let Member { job, connection, .. } = &mut member;
        let verdict = keep(logins, job, connection, patience, &keeping, context.stop).await;
        (member, verdict)
    });
    join_all(asked).await
}

/// Rolls back all members that have not ended; each can be asked until `until`, and some after it.
pub(super) async fn roll_back<'a, C: Connect, S>(
    context: &Context<'_, S>,
    logins: &Logins<'_, C>,
    members: Vec<(Member<'a, C::Host>, Option<Outcome>)>,
    blame: &Blame,
    until: Instant,
) -> Vec<(Member<'a, C::Host>, Outcome)> {
    let back = members.into_iter().map(|(mut member, ended)| async {
        if let Some(outcome) = ended {
            return (member, outcome);
        }
        context.working(&member.job, Step::RollingBack);
        let reason = blame.of(&member.job.plan.host);
        let connection = member.connection.take();
        let outcome =
            take_back(logins, &member.job, connection, &reason, until + ROLLBACK_LIMIT).await;
        (member, outcome)
    });
    join_all(back).await
}

/// Tells a host that its whole group has confirmed; one that does not hear it forgets by itself how to take
/// its change back.
pub(super) async fn release<C: Connect>(logins: &Logins<'_, C>, member: &mut Member<'_, C::Host>) {
    let id = [member.job.id.as_str()];
    if let Some(host) = member.connection.take() {
        let told = host.run("release", &id, &[], CALL_LIMIT).await.is_ok();
        host.close().await;
        if told {
            return;
        }
    }
    if let Ok(host) = logins.connect(&member.job).await {
        let _ = host.run("release", &id, &[], CALL_LIMIT).await;
        host.close().await;
    }
}

//! Runs of this machine that were interrupted: what became of their hosts, and bringing each group to one state.
//!
//! The journal only says what was meant; what is, hosts say themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::live_keys::LiveKeys;
use super::login::Login;
use super::read::Fleet;
use super::{Context, Error, Kind};
use crate::desired::DesiredHost;
use crate::event::{Ending, Event, Outcome, Reason};
use crate::journal::{Past, PastState, close, past};
use crate::model::{HostName, Untrusted};
use crate::remote::{Answer, Believe, Connect, Fate, Host, RemoteError, Reply, Rollback};

/// How long a host may take to take a change back, or to confirm one.
const LIMIT: Duration = Duration::from_secs(90);

/// What is done with a run that was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Groups in which every host has confirmed go on; the others are rolled back.
    Resume,
    /// All that can be rolled back is, as whole groups.
    Abort,
}

/// The newest run of this machine that was interrupted and has hosts of which no end is known.
///
/// # Errors
/// Where the journals cannot be read.
pub fn unfinished(context: &Context, fleet: &Fleet) -> Result<Option<Past>, Error> {
    let Some(folder) = context.journal_folder(&fleet.inventory().fleet.value) else {
        return Ok(None);
    };
    let runs = past(&folder).map_err(|error| Error::new(Kind::Failed, error))?;
    let open = |run: &Past| run.state == PastState::Interrupted && !run.open.is_empty();
    Ok(runs.into_iter().rev().find(open))
}

/// Refuses to begin a run while one that was interrupted has waves that were not begun: somebody has to say
/// whether they are still wanted.
///
/// # Errors
/// [`Kind::Locked`].
pub fn refuse_unfinished(context: &Context, fleet: &Fleet) -> Result<(), Error> {
    let Some(run) = unfinished(context, fleet)?.filter(Past::has_more_waves) else {
        return Ok(());
    };
    let header = &run.header;
    let message = format!(
        "a rollout was interrupted and has waves that were not begun: run {} of {}, {}; nothing was touched",
        header.run, header.who, header.at
    );
    Err(Error::message(Kind::Locked, message).hint(
        "`wgfleet apply --resume` goes on with its plan; `wgfleet apply --abort` rolls back what is not confirmed, \
         and ends it",
    ))
}

/// Brings the hosts of a run that was interrupted to an end: each group to one state, as far as its hosts can still
/// go either way. Its journal says so afterwards.
///
/// # Errors
/// Where hosts give no answer: the run stays unfinished, and hosts whose timers have ended by then are told so the
/// next time.
pub async fn finish<C: Connect>(
    context: &Context,
    fleet: &Fleet,
    login: &Login<C>,
    run: &Past,
    course: Course,
) -> Result<Vec<Ending>, Error> {
    let vault = context.vault()?;
    let state = fleet.desired(&LiveKeys::current(vault.index()))?;
    let hosts: BTreeMap<&HostName, &DesiredHost> =
        state.hosts.iter().map(|host| (&host.name, host)).collect();
    let connector = &*login.connector;
    let groups = run
        .waves
        .iter()
        .flatten()
        .filter(|group| group.iter().any(|one| run.open.contains_key(one)));
    let finished = join_all(groups.map(|group| {
        let asked =
            group.iter().filter_map(|name| Some((*hosts.get(name)?, run.changes.get(name)?)));
        finish_group(connector, asked.collect(), course)
    }));
    let ended: BTreeMap<HostName, Result<Outcome, RemoteError>> =
        finished.await.into_iter().flatten().collect();
    let (mut endings, mut unread) = (Vec::new(), Vec::new());
    for name in run.open.keys() {
        let outcome = match ended.get(name) {
            // It was not begun.
            None => Outcome::Skipped(Reason::Interrupted),
            Some(Ok(outcome)) => outcome.clone(),
            Some(Err(error)) => {
                unread.push(format!("{name}: {error}"));
                continue;
            }
        };
        let ending = Ending {
            transaction: run.changes.get(name).cloned(),
            ..Ending::not_begun(name.clone(), outcome)
        };
        context.events.tell(Event::Ended { ending: ending.clone() });
        endings.push(ending);
    }
    if !unread.is_empty() {
        let message = format!(
            "what became of the change of some hosts is not known, so the run stays unfinished\n  {}",
            unread.join("\n  ")
        );
        return Err(Error::message(Kind::Unreadable, message)
            .hint("run the same command once they answer; their own timers roll back what is not confirmed"));
    }
    close(run, &endings, context.events.now()).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(endings)
}

/// One group: all of its hosts forward, or all of them back.
async fn finish_group<C: Connect>(
    connector: &C,
    hosts: Vec<(&DesiredHost, &String)>,
    course: Course,
) -> Vec<(HostName, Result<Outcome, RemoteError>)> {
    let asked = join_all(hosts.iter().map(|(host, id)| async move {
        let (name, ssh) = (&host.name, &host.ssh);
        let open = connector.connect(name, ssh, host.r#become, Believe::Configured).await?;
        let reply = open.run("fate", &[id], &[], LIMIT).await?;
        match reply.answer() {
            Answer::Fate(fate) => Ok((open, fate)),
            _ => Err(RemoteError::Host(reply.said().to_string())),
        }
    }));
    let asked = asked.await;
    let fates: Vec<Fate> = asked.iter().flatten().map(|(_, fate)| *fate).collect();
    let forward = goes_forward(&fates, asked.len(), course);
    let done = join_all(hosts.iter().zip(asked).map(|((host, id), asked)| async move {
        let outcome = match asked {
            Ok((open, fate)) => {
                let outcome = move_on(&open, id, fate, forward).await;
                open.close().await;
                outcome
            }
            Err(error) => Err(error),
        };
        (host.name.clone(), outcome)
    }));
    done.await
}

/// Whether a group goes forward. A host that has the change for good takes the others along; without one, nobody
/// has to be asked to go forward who has not confirmed.
fn goes_forward(fates: &[Fate], hosts: usize, course: Course) -> bool {
    let confirmed = |fate: &Fate| matches!(fate, Fate::Held | Fate::Kept);
    let all = fates.len() == hosts && fates.iter().all(confirmed);
    fates.contains(&Fate::Kept) || (course == Course::Resume && all)
}

async fn move_on(
    host: &impl Host,
    id: &str,
    fate: Fate,
    forward: bool,
) -> Result<Outcome, RemoteError> {
    let verb = match (fate, forward) {
        (Fate::Kept, _) => return Ok(Outcome::Applied),
        (Fate::Gone, _) => return Ok(Outcome::RolledBack(Reason::Interrupted)),
        (Fate::Held, true) => "release",
        (Fate::Armed, true) => "confirm",
        (Fate::Prepared, _) | (Fate::Held | Fate::Armed, false) => "revert",
    };
    let reply: Reply = host.run(verb, &[id], &[], LIMIT).await?;
    match reply.answer() {
        Answer::Released | Answer::Confirmed => Ok(Outcome::Applied),
        Answer::NotForNextBoot { what } => {
            Ok(Outcome::NotForNextBoot(Reason::NotForNextBoot { what }))
        }
        Answer::RolledBack(Rollback::Verified) => Ok(Outcome::RolledBack(Reason::Interrupted)),
        Answer::RolledBack(rollback) => Ok(Outcome::Unknown(Reason::RollbackSaid {
            reason: Box::new(Reason::Interrupted),
            said: Untrusted::new(rollback.to_string()),
        })),
        // Its timer was faster.
        Answer::Gone => match host.run("fate", &[id], &[], LIMIT).await?.answer() {
            Answer::Fate(Fate::Kept) => Ok(Outcome::Applied),
            Answer::Fate(Fate::Gone) => Ok(Outcome::RolledBack(Reason::Interrupted)),
            _ => Err(RemoteError::Host(reply.said().to_string())),
        },
        _ => Err(RemoteError::Host(reply.said().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_goes_where_all_of_it_can_go() {
        use Course::{Abort, Resume};
        use Fate::{Armed, Gone, Held, Kept, Prepared};
        for (fates, hosts, course, forward) in [
            (&[Armed, Armed][..], 2, Resume, false),
            (&[Prepared, Prepared], 2, Resume, false),
            (&[Held, Armed], 2, Resume, false),
            (&[Held, Held], 2, Resume, true),
            (&[Held, Held], 2, Abort, false),
            // One host gives no answer.
            (&[Held], 2, Resume, false),
            (&[Kept, Held], 2, Resume, true),
            (&[Kept, Held], 2, Abort, true),
            (&[Kept, Armed, Gone], 3, Abort, true),
            (&[Held, Gone], 2, Resume, false),
        ] {
            assert_eq!(goes_forward(fates, hosts, course), forward, "{fates:?} {course:?}");
        }
    }
}

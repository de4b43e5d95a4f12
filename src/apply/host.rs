//! Changing one host: push, stage, arm, do, and confirm over a new connection.

use std::sync::Arc;
use std::time::Duration;

use super::Job;
use super::before::same;
use crate::desired::Secrets;
use crate::event::{Event, Sink};
use crate::plan::{Change, Payload};
use crate::remote::{Connector, Host, RemoteError, describe, observe_host};

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_mins(5);

/// How long a word with a host may take.
const SHORT_LIMIT: Duration = Duration::from_secs(20);

/// How often a host that is on its way back is looked at, a second apart.
const WAY_BACK: u32 = 20;

/// How a host's change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Unchanged,
    /// Done, and confirmed over a new connection.
    Applied,
    /// Not begun: the host could not be read, or its change cannot be made.
    Skipped(String),
    /// Failed before anything changed.
    Failed(String),
    /// Failed or not confirmed, taken back, and seen to be back.
    RolledBack(String),
    /// Nobody knows: the connection broke and the host takes the change back by itself.
    Unknown(String),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E: std::error::Error + 'static> {
    /// The vault does not have what the host needs.
    #[error("failed to get a key")]
    Secret(#[source] E),
}

/// Changes one host: pushes, does and confirms.
pub(super) async fn apply_host<S: Secrets>(
    context: &Context<'_, S>,
    job: &Job<'_>,
    host: Host,
) -> Outcome {
    match perform(context, job, host).await {
        Ok(()) => confirm(context, job).await,
        Err(outcome) => outcome,
    }
}

/// What every step of every host needs.
pub(super) struct Context<'a, S> {
    pub(super) connector: &'a Connector,
    pub(super) secrets: &'a S,
    /// How long a host keeps an unconfirmed change.
    pub(super) deadline: Duration,
    pub(super) sink: &'a Arc<dyn Sink>,
}

impl<S> Context<'_, S> {
    pub(super) fn working(&self, job: &Job<'_>, what: &str) {
        self.sink.event(Event::Working { host: job.plan.host.clone(), what: what.to_owned() });
    }
}

/// Pushes what is to be pushed, stages and does the change; it is armed afterwards.
pub(super) async fn perform<S: Secrets>(
    context: &Context<'_, S>,
    job: &Job<'_>,
    host: Host,
) -> Result<(), Outcome> {
    let host = awake(context, job, host).await?;
    push(context, job, &host).await?;
    let compiled =
        Payload::compile(job.plan, &job.target, job.rendered, job.observed, context.secrets);
    let payload =
        compiled.map_err(|error| Outcome::Failed(describe(&ApplyError::Secret(error))))?.encode();
    context.working(job, "applying");
    let seconds = context.deadline.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let reply = host.run("apply", &words, payload.as_bytes(), context.deadline).await;
    host.close().await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Err(settle(context, job, &describe(&error)).await),
    };
    let stdout = shown(&reply.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    Err(match lines.as_slice() {
        ["done"] => return Ok(()),
        [failed, "reverted"] if failed.starts_with("failed ") => {
            Outcome::RolledBack(failed["failed ".len()..].to_owned())
        }
        [failed, rest, ..] if failed.starts_with("failed ") => {
            Outcome::Unknown(format!("{failed}; the way back failed too: {rest}"))
        }
        [failed] if failed.starts_with("failed 0 ") => {
            Outcome::Failed(failed["failed 0 ".len()..].to_owned())
        }
        [busy] if busy.starts_with("busy ") => Outcome::Failed(format!(
            "another change ({}) is armed there; wait until it is confirmed or has gone back",
            &busy["busy ".len()..]
        )),
        _ => settle(context, job, &said(&reply.stdout, &reply.stderr)).await,
    })
}

/// A connection that was not used for long, because somebody read the plan or other hosts came
/// first, has ended by itself: then there is another, before anything is sent.
async fn awake<S>(context: &Context<'_, S>, job: &Job<'_>, host: Host) -> Result<Host, Outcome> {
    if host.is_awake().await {
        return Ok(host);
    }
    let desired = job.target.desired;
    let again = context.connector.connect(&desired.ssh, desired.r#become).await;
    again.map_err(|error| Outcome::Failed(describe(&error)))
}

async fn push<S: Secrets>(
    context: &Context<'_, S>,
    job: &Job<'_>,
    host: &Host,
) -> Result<(), Outcome> {
    for change in &job.plan.changes {
        let Change::PushAgent { machine, digest } = change else { continue };
        context.working(job, "pushing wgfleet");
        let binary = job.agents.get(machine);
        let binary =
            binary.ok_or_else(|| Outcome::Failed(format!("there is no binary for {machine}")))?;
        let words = [machine.as_str(), &digest.to_string()];
        let reply = host.run("agent", &words, binary, PUSH_LIMIT).await;
        let reply = reply.map_err(|error| Outcome::Failed(describe(&error)))?;
        if reply.stdout.trim() != "done" {
            return Err(Outcome::Failed(said(&reply.stdout, &reply.stderr)));
        }
    }
    Ok(())
}

/// Confirms over a new connection after looking at the host again.
pub(super) async fn confirm<S>(context: &Context<'_, S>, job: &Job<'_>) -> Outcome {
    context.working(job, "confirming");
    let connector = context.connector;
    let limit = SHORT_LIMIT;
    let mut connected = false;
    let attempt = async {
        let host = connector.connect(&job.target.desired.ssh, job.target.desired.r#become).await?;
        connected = true;
        let seen = observe_host(&host, &job.look).await?;
        if let Err(reason) = healthy(job, &seen) {
            let reply = host.run("revert", &[&job.id], &[], limit).await?;
            host.close().await;
            return Ok(match reply.stdout.trim() {
                "reverted" => Outcome::RolledBack(reason),
                "gone" => look_back(context, job, &reason).await,
                other => {
                    let other = said(other, &reply.stderr);
                    Outcome::Unknown(format!("{reason}; the way back: {other}"))
                }
            });
        }
        let reply = host.run("confirm", &[&job.id], &[], limit).await?;
        host.close().await;
        Ok::<_, RemoteError>(match reply.stdout.trim() {
            "confirmed" => Outcome::Applied,
            "gone" => look_back(context, job, "the deadline passed before it was confirmed").await,
            other => Outcome::Unknown(said(other, &reply.stderr)),
        })
    };
    match attempt.await {
        Ok(outcome) => outcome,
        Err(error) => {
            let what = if connected { "did not hold" } else { "could not be made" };
            let reason = format!("a new connection {what} after the change: {}", describe(&error));
            settle(context, job, &reason).await
        }
    }
}

/// What must hold before a change is kept: every interface is there and up, with the right key.
pub(super) fn healthy(job: &Job<'_>, seen: &crate::observed::ObservedHost) -> Result<(), String> {
    for interface in &job.target.interfaces {
        let name = &interface.desired.name;
        let live = seen.interfaces.get(name).ok_or_else(|| format!("{name} is not there"))?;
        if !live.up {
            return Err(format!("{name} is not up"));
        }
        if live.public_key != Some(interface.desired.public_key) {
            return Err(format!("{name} has another key"));
        }
        if live.peers.len() != interface.desired.peers.len() {
            return Err(format!(
                "{name} has {} of {} peers",
                live.peers.len(),
                interface.desired.peers.len()
            ));
        }
    }
    Ok(())
}

/// Waits until the host's own timer has taken the change back, and looks.
async fn settle<S>(context: &Context<'_, S>, job: &Job<'_>, reason: &str) -> Outcome {
    tokio::time::sleep(context.deadline + Duration::from_secs(2)).await;
    look_back(context, job, reason).await
}

/// Says what a host has whose change is not armed any more, once it is not on its way back either.
async fn look_back<S>(context: &Context<'_, S>, job: &Job<'_>, reason: &str) -> Outcome {
    let connector = context.connector;
    let look = async {
        let host = connector.connect(&job.target.desired.ssh, job.target.desired.r#become).await?;
        let mut seen = observe_host(&host, &job.look).await?;
        for _ in 0..WAY_BACK {
            if seen.armed.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            seen = observe_host(&host, &job.look).await?;
        }
        host.close().await;
        Ok::<_, RemoteError>(seen)
    };
    match look.await {
        Ok(seen) if seen.armed.is_none() && same(job.observed, &seen) => {
            Outcome::RolledBack(reason.to_owned())
        }
        Ok(_) => Outcome::Unknown(format!("{reason}; run `wgfleet plan` to see what it has now")),
        Err(error) => {
            Outcome::Unknown(format!("{reason}; it still cannot be read: {}", describe(&error)))
        }
    }
}

/// What a host said, as a line that can be shown to a person.
pub(super) fn said(stdout: &str, stderr: &str) -> String {
    let text = shown(&format!("{stdout} {stderr}").replace('\n', " "));
    let text = text.trim();
    if text.is_empty() { "it ended without a word".to_owned() } else { text.to_owned() }
}

/// A host's text without what a terminal would obey; a few lines, each of some length.
fn shown(text: &str) -> String {
    // Controls, and marks that turn the direction of what follows.
    let plain = |c: char| match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    let line = |line: &str| line.chars().take(400).map(plain).collect::<String>();
    text.lines().take(8).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_host_says() {
        let hostile = "failed 1 x: \u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\r\nreverted\n";
        assert_eq!(shown(hostile), "failed 1 x: ?]0;owned???2J\nreverted");
        assert_eq!(shown("done\n"), "done");
        assert_eq!(said("a\nb\u{1b}[1m\n", ""), "a b?[1m");
        assert_eq!(said(&"x".repeat(9000), "").len(), 400);
        assert_eq!(said("\n", " "), "it ended without a word");
    }
}

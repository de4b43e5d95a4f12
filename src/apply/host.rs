//! Changing one host: push, stage, arm, do, and confirm over a new connection.

use std::sync::Arc;
use std::time::Duration;

use super::{Job, Payload};
use crate::desired::Secrets;
use crate::event::{Event, Sink};
use crate::plan::Change;
use crate::remote::{Connector, Host, RemoteError, observe_host};

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_mins(5);

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

/// Changes one host.
pub(super) async fn apply_host<S: Secrets>(
    connector: &Connector,
    job: &Job<'_>,
    host: Host,
    secrets: &S,
    deadline: Duration,
    sink: &Arc<dyn Sink>,
) -> Outcome {
    let working = |what: &str| {
        sink.event(Event::Working { host: job.plan.host.clone(), what: what.to_owned() });
    };
    for change in &job.plan.changes {
        if let Change::PushAgent { machine, digest } = change {
            working("pushing wgfleet");
            let Some(binary) = job.agents.get(machine) else {
                return Outcome::Failed(format!("there is no binary for {machine}"));
            };
            let words = [machine.as_str(), &digest.to_string()];
            match host.run("agent", &words, binary, PUSH_LIMIT).await {
                Ok(reply) if reply.stdout.trim() == "done" => {}
                Ok(reply) => return Outcome::Failed(said(&reply.stdout, &reply.stderr)),
                Err(error) => return Outcome::Failed(crate::remote::describe(&error)),
            }
        }
    }
    let compiled = Payload::compile(job.plan, &job.target, job.rendered, job.observed, secrets);
    let payload = match compiled {
        Ok(payload) => payload,
        Err(error) => {
            return Outcome::Failed(crate::remote::describe(&ApplyError::Secret(error)));
        }
    };
    working("applying");
    let seconds = deadline.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let limit = deadline;
    let reply = host.run("apply", &words, payload.encode().as_bytes(), limit).await;
    host.close().await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            return settle(connector, job, &crate::remote::describe(&error), deadline).await;
        }
    };
    let lines: Vec<&str> = reply.stdout.lines().collect();
    match lines.as_slice() {
        ["done"] => {}
        [failed, "reverted"] if failed.starts_with("failed ") => {
            return Outcome::RolledBack(failed["failed ".len()..].to_owned());
        }
        [failed, rest, ..] if failed.starts_with("failed ") => {
            return Outcome::Unknown(format!("{failed}; the way back failed too: {rest}"));
        }
        [failed] if failed.starts_with("failed 0 ") => {
            return Outcome::Failed(failed["failed 0 ".len()..].to_owned());
        }
        [busy] if busy.starts_with("busy ") => {
            return Outcome::Failed(format!(
                "another change ({}) is armed there; wait until it is confirmed or has gone back",
                &busy["busy ".len()..]
            ));
        }
        _ => {
            let text = said(&reply.stdout, &reply.stderr);
            return settle(connector, job, &text, deadline).await;
        }
    }
    working("confirming");
    confirm(connector, job, deadline).await
}

/// Confirms over a new connection after looking at the host again.
async fn confirm(connector: &Connector, job: &Job<'_>, deadline: Duration) -> Outcome {
    let limit = Duration::from_secs(20);
    let attempt = async {
        let host = connector.connect(&job.target.desired.ssh, job.target.desired.r#become).await?;
        let seen = observe_host(&host, &job.look).await?;
        if let Err(reason) = healthy(job, &seen) {
            let reply = host.run("revert", &[&job.id], &[], limit).await?;
            host.close().await;
            return Ok(match reply.stdout.trim() {
                "reverted" => Outcome::RolledBack(reason),
                other => Outcome::Unknown(format!("{reason}; the way back: {other}")),
            });
        }
        let reply = host.run("confirm", &[&job.id], &[], limit).await?;
        host.close().await;
        Ok::<_, RemoteError>(match reply.stdout.trim() {
            "confirmed" => Outcome::Applied,
            "gone" => Outcome::RolledBack("the deadline passed before it was confirmed".to_owned()),
            other => Outcome::Unknown(said(other, &reply.stderr)),
        })
    };
    match attempt.await {
        Ok(outcome) => outcome,
        Err(error) => {
            let reason = format!(
                "a new connection could not be made after the change: {}",
                crate::remote::describe(&error)
            );
            settle(connector, job, &reason, deadline).await
        }
    }
}

/// What must hold before a change is kept: every interface is there and up, with the right key.
fn healthy(job: &Job<'_>, seen: &crate::observed::ObservedHost) -> Result<(), String> {
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
async fn settle(connector: &Connector, job: &Job<'_>, reason: &str, deadline: Duration) -> Outcome {
    tokio::time::sleep(deadline + Duration::from_secs(2)).await;
    let look = async {
        let host = connector.connect(&job.target.desired.ssh, job.target.desired.r#become).await?;
        let seen = observe_host(&host, &job.look).await?;
        host.close().await;
        Ok::<_, RemoteError>(seen)
    };
    match look.await {
        Ok(seen) if seen.armed.is_none() && same(job, &seen) => {
            Outcome::RolledBack(reason.to_owned())
        }
        Ok(_) => Outcome::Unknown(format!("{reason}; run `wgfleet plan` to see what it has now")),
        Err(error) => Outcome::Unknown(format!(
            "{reason}; it still cannot be read: {}",
            crate::remote::describe(&error)
        )),
    }
}

/// Whether the host has again what it had before the change, traffic aside.
fn same(job: &Job<'_>, seen: &crate::observed::ObservedHost) -> bool {
    let before = job.observed;
    let settings = |host: &crate::observed::ObservedHost| {
        let peers = |live: &crate::observed::ObservedInterface| -> Vec<_> {
            let kept = |(key, peer): (_, &crate::observed::ObservedPeer)| {
                (key, peer.allowed_ips.clone(), peer.keepalive)
            };
            live.peers.clone().into_iter().map(|(key, peer)| kept((key, &peer))).collect()
        };
        host.interfaces
            .iter()
            .map(|(name, live)| {
                (
                    name.clone(),
                    live.public_key,
                    live.addresses.clone(),
                    live.routes.clone(),
                    peers(live),
                )
            })
            .collect::<Vec<_>>()
    };
    settings(before) == settings(seen) && before.files == seen.files
}

fn said(stdout: &str, stderr: &str) -> String {
    let text: String = format!("{stdout} {stderr}").chars().take(400).collect();
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    if text.is_empty() { "it ended without a word".to_owned() } else { text.to_owned() }
}

//! Changing one host: push, stage, arm, do, and confirm over a new connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Job;
use super::before::differences;
use super::verdict::{self, Logins, Patience, ROLLBACK_LIMIT};
use crate::desired::{DesiredPeer, Secrets};
use crate::event::{Event, Sink};
use crate::model::{PublicKey, Untrusted, mask};
use crate::observed::ObservedPeer;
use crate::plan::{Change, Payload};
use crate::remote::{Host, describe, observe_host};

/// Most things that one message names.
const NAMED: usize = 8;

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_mins(5);

/// How a host's change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Unchanged,
    /// Done, and confirmed over a new connection.
    Applied,
    /// Confirmed and live, but what the next boot reads could not be written: what of it.
    NotForNextBoot(String),
    /// Not begun: the host was not any more what the plan saw; what moved.
    Moved(String),
    /// Not begun: the host could not be read, or its change cannot be made.
    Skipped(String),
    /// Failed before anything changed.
    Failed(String),
    /// Failed or not confirmed, taken back, and seen to be back.
    RolledBack(String),
    /// Nobody knows: the connection broke, and the host rolls the change back by itself.
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
    logins: &Logins<'_>,
    job: &Job<'_>,
    host: Host,
) -> Outcome {
    if let Err(unarmed) = perform(context, logins, job, host).await {
        return unarmed;
    }
    context.working(job, "confirming");
    let deadline = Instant::now() + context.deadline;
    verdict::keep(logins, job, None, Patience::until(deadline)).await.outcome()
}

/// What every step of every host needs.
pub(super) struct Context<'a, S> {
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
    logins: &Logins<'_>,
    job: &Job<'_>,
    host: Host,
) -> Result<(), Outcome> {
    let host = awake(logins, job, host).await?;
    push(context, job, &host).await?;
    let compiled =
        Payload::compile(job.plan, &job.target, job.rendered, job.observed, context.secrets);
    let mut payload =
        compiled.map_err(|error| Outcome::Failed(describe(&ApplyError::Secret(error))))?;
    if let Some(digest) = job.observed.digest {
        payload.expecting(job.look.stdin(), digest);
    }
    payload.recording(&job.record.fleet, job.record.to_text());
    let payload = payload.encode();
    context.working(job, "applying");
    let seconds = context.deadline.as_secs().to_string();
    let words = [job.id.as_str(), &seconds];
    let reply = host.run("apply", &words, payload.as_bytes(), context.deadline).await;
    host.close().await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Err(roll_back(context, logins, job, &describe(&error)).await),
    };
    let stdout = shown(&reply.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    Err(match lines.as_slice() {
        ["done"] => return Ok(()),
        [failed, "reverted"] if failed.starts_with("failed ") => {
            Outcome::RolledBack(failed["failed ".len()..].to_owned())
        }
        [failed, rest, ..] if failed.starts_with("failed ") => {
            Outcome::Unknown(format!("{failed}; the rollback failed too: {rest}"))
        }
        [failed] if failed.starts_with("failed 0 ") => {
            Outcome::Failed(failed["failed 0 ".len()..].to_owned())
        }
        [busy] if busy.starts_with("busy ") => Outcome::Failed(format!(
            "another change ({}) is armed there; wait until it is confirmed or rolled back",
            &busy["busy ".len()..]
        )),
        [moved] if moved.starts_with("moved ") => Outcome::Moved(what_moved(logins, job).await),
        _ => roll_back(context, logins, job, &said(&reply.stdout, &reply.stderr)).await,
    })
}

/// The answer to `apply` did not arrive: the host is told to roll back, and what it has is observed.
async fn roll_back<S>(
    context: &Context<'_, S>,
    logins: &Logins<'_>,
    job: &Job<'_>,
    reason: &str,
) -> Outcome {
    context.working(job, "rolling back");
    let until = Instant::now() + context.deadline + ROLLBACK_LIMIT;
    verdict::take_back(logins, job, None, reason, until).await
}

/// Names what of a host is not any more what the plan saw.
async fn what_moved(logins: &Logins<'_>, job: &Job<'_>) -> String {
    let look = async {
        let host = logins.connect(job).await?;
        let seen = observe_host(&host, &job.look).await;
        host.close().await;
        seen
    };
    let moved = match look.await {
        Ok(seen) => differences(job.observed, &seen),
        Err(_) => Vec::new(),
    };
    if moved.is_empty() {
        return "it changed after the plan was made".to_owned();
    }
    let named: Vec<&str> = moved.iter().take(NAMED).map(String::as_str).collect();
    let more = if moved.len() > NAMED { ", …" } else { "" };
    format!("after the plan was made somebody changed {}{more}", named.join(", "))
}

/// A connection that was not used for long, because somebody read the plan or other hosts came
/// first, has ended by itself: then there is another, before anything is sent.
async fn awake(logins: &Logins<'_>, job: &Job<'_>, host: Host) -> Result<Host, Outcome> {
    if host.is_awake().await {
        return Ok(host);
    }
    let again = logins.connect(job).await;
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
        peers(&interface.desired.peers, &live.peers).map_err(|what| format!("{name} {what}"))?;
    }
    Ok(())
}

/// Compares the peers of an interface by key; says which are missing and which nobody wants.
fn peers(
    desired: &BTreeMap<PublicKey, DesiredPeer>,
    live: &BTreeMap<PublicKey, ObservedPeer>,
) -> Result<(), String> {
    let missing = desired.iter().filter(|(key, _)| !live.contains_key(key));
    let missing: Vec<String> = missing.map(|(_, peer)| peer.name.to_string()).collect();
    let unwanted = live.keys().filter(|key| !desired.contains_key(key));
    let unwanted: Vec<String> = unwanted.map(|key| format!("public key {key}")).collect();
    let list = |names: &[String]| {
        let more = if names.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
    };
    match (missing.is_empty(), unwanted.is_empty()) {
        (true, true) => Ok(()),
        (false, true) => Err(format!("lacks {}", list(&missing))),
        (true, false) => Err(format!("has peers that are not wanted: {}", list(&unwanted))),
        (false, false) => Err(format!(
            "lacks {}, and has peers that are not wanted: {}",
            list(&missing),
            list(&unwanted)
        )),
    }
}

/// What a host said, as a line that can be shown to a person.
pub(super) fn said(stdout: &str, stderr: &str) -> String {
    let text = shown(&mask(&format!("{stdout} {stderr}")).replace('\n', " "));
    let text = text.trim();
    if text.is_empty() { "it ended without a word".to_owned() } else { text.to_owned() }
}

/// A host's text as it may be shown: a few lines, each of some length.
fn shown(text: &str) -> String {
    let line = |line: &str| Untrusted::new(line.chars().take(400).collect::<String>()).to_string();
    // Masked first: a key may have several lines, and of one that is cut nobody knows what it was.
    let text = mask(text);
    text.lines().take(8).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::observed::ObservedPsk;

    #[test]
    fn as_many_wrong_peers_as_right_ones_are_not_the_right_ones() {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let peer = |name: &str| DesiredPeer {
            name: name.parse().unwrap(),
            endpoint: None,
            allowed_ips: [].into(),
            keepalive: None,
            psk_epoch: None,
        };
        let seen = || ObservedPeer {
            psk: ObservedPsk::None,
            endpoint: None,
            allowed_ips: BTreeSet::new(),
            latest_handshake: 0,
            received: 0,
            sent: 0,
            keepalive: None,
        };
        let desired = [(key(1), peer("hub")), (key(2), peer("b7"))].into();
        let live = |keys: &[u8]| keys.iter().map(|byte| (key(*byte), seen())).collect();
        assert_eq!(peers(&desired, &live(&[1, 2])), Ok(()));
        assert_eq!(peers(&desired, &live(&[1])), Err("lacks b7".to_owned()));
        let unwanted = format!("has peers that are not wanted: public key {}", key(3));
        assert_eq!(peers(&desired, &live(&[1, 2, 3])), Err(unwanted.clone()));
        assert_eq!(peers(&desired, &live(&[1, 3])), Err(format!("lacks b7, and {unwanted}")));
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_host_says() {
        let hostile = "failed 1 x: \u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\r\nreverted\n";
        assert_eq!(shown(hostile), "failed 1 x: \\u{1b}]0;owned\\u{7}\\u{202e}\\u{9b}2J\nreverted");
        assert_eq!(shown("done\n"), "done");
        assert_eq!(said("a\nb\u{1b}[1m\n", ""), "a b\\u{1b}[1m");
        assert_eq!(said(&"x".repeat(9000), "").len(), 400);
        assert_eq!(said("\n", " "), "it ended without a word");
    }
}

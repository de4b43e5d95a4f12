//! Whether a host keeps a change: asked until it has said so, for as long as that can matter.
//!
//! A rotation hangs on one host's word. An answer that was lost is none: the host is looked at again,
//! and what it has decides.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Job;
use super::before::same;
use super::host::{Outcome, healthy, said};
use crate::observed::ObservedHost;
use crate::remote::{Connector, Host, RemoteError, describe, observe_host};

/// How long a word with a host may take.
const WORD_LIMIT: Duration = Duration::from_secs(20);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// New connections, so many at a time: each costs both ends a key exchange.
#[derive(Debug)]
pub(super) struct Logins<'a> {
    connector: &'a Connector,
    free: Semaphore,
}

impl<'a> Logins<'a> {
    pub(super) fn new(connector: &'a Connector, parallel: usize) -> Self {
        Self { connector, free: Semaphore::new(parallel.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    pub(super) async fn connect(&self, job: &Job<'_>) -> Result<Host, RemoteError> {
        // The semaphore is never closed.
        let _login = self.free.acquire().await;
        let desired = job.target.desired;
        self.connector.connect(&desired.ssh, desired.r#become).await
    }
}

/// What became of an armed change.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The host keeps it, though perhaps not for its next boot.
    Kept(Outcome),
    /// The host has what it had before, or is on its way there.
    Back(Outcome),
    /// The host was told to keep it, and nobody knows whether it heard that.
    Open(Outcome),
}

impl Verdict {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Kept(outcome) | Self::Back(outcome) | Self::Open(outcome) => outcome,
        }
    }
}

/// Has a host keep its change, if it is healthy; through `connection` while that lasts.
pub(super) async fn keep(
    logins: &Logins<'_>,
    job: &Job<'_>,
    mut connection: Option<Host>,
    until: Instant,
) -> Verdict {
    let mut told = false;
    loop {
        let host = match connection.take() {
            Some(host) => Ok(host),
            None => logins.connect(job).await,
        };
        let answer = match host {
            Ok(host) => {
                let answer = ask_to_keep(job, &host, &mut told).await;
                host.close().await;
                answer
            }
            Err(error) => Err(error),
        };
        let why = match answer {
            Ok(Some(verdict)) => return verdict,
            Ok(None) => {
                // Another claimed the change first: it is on its way back.
                told = false;
                "the deadline passed before it was confirmed".to_owned()
            }
            Err(error) => describe(&error),
        };
        if Instant::now() >= until {
            let outcome = Outcome::Unknown(format!("it was not seen to keep the change: {why}"));
            return if told { Verdict::Open(outcome) } else { Verdict::Back(outcome) };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `None`: it is on its way back.
async fn ask_to_keep(
    job: &Job<'_>,
    host: &Host,
    told: &mut bool,
) -> Result<Option<Verdict>, RemoteError> {
    let seen = observe_host(host, &job.look).await?;
    let armed = seen.armed.as_deref() == Some(job.id.as_str());
    if armed && let Err(reason) = healthy(job, &seen) {
        return Ok(ask_back(job, host, &reason).await?.map(Verdict::Back));
    }
    if seen.armed.is_none() && !took(job, &seen) {
        return Ok(Some(Verdict::Back(back(job, &seen, "it went back before it was confirmed"))));
    }
    *told = true;
    let reply = host.run("confirm", &[&job.id], &[], WORD_LIMIT).await?;
    Ok(match reply.stdout.trim() {
        "confirmed" => Some(Verdict::Kept(Outcome::Applied)),
        text if text.starts_with("confirmed") => {
            Some(Verdict::Kept(Outcome::Unknown(said(text, &reply.stderr))))
        }
        "gone" => {
            let seen = observe_host(host, &job.look).await?;
            match &seen.armed {
                Some(_) => None,
                // The word arrived before, and only its answer was lost.
                None if took(job, &seen) => Some(Verdict::Kept(Outcome::Applied)),
                None => Some(Verdict::Back(back(
                    job,
                    &seen,
                    "the deadline passed before it was confirmed",
                ))),
            }
        }
        other => return Err(RemoteError::Host(said(other, &reply.stderr))),
    })
}

/// Has a host take its change back; through `connection` while that lasts.
pub(super) async fn take_back(
    logins: &Logins<'_>,
    job: &Job<'_>,
    mut connection: Option<Host>,
    reason: &str,
    until: Instant,
) -> Outcome {
    loop {
        let host = match connection.take() {
            Some(host) => Ok(host),
            None => logins.connect(job).await,
        };
        let answer = match host {
            Ok(host) => {
                let answer = ask_back(job, &host, reason).await;
                host.close().await;
                answer
            }
            Err(error) => Err(error),
        };
        let late = Instant::now() >= until;
        match answer {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if late => {
                return Outcome::Unknown(format!("{reason}; it is still on its way back"));
            }
            Err(error) if late => {
                let why = describe(&error);
                return Outcome::Unknown(format!("{reason}; it cannot be read: {why}"));
            }
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `None`: it is on its way back.
async fn ask_back(
    job: &Job<'_>,
    host: &Host,
    reason: &str,
) -> Result<Option<Outcome>, RemoteError> {
    let reply = host.run("revert", &[&job.id], &[], WORD_LIMIT).await?;
    Ok(match reply.stdout.trim() {
        "reverted" => Some(Outcome::RolledBack(reason.to_owned())),
        "gone" => {
            let seen = observe_host(host, &job.look).await?;
            seen.armed.is_none().then(|| back(job, &seen, reason))
        }
        other => {
            let other = said(other, &reply.stderr);
            Some(Outcome::Unknown(format!("{reason}; the way back: {other}")))
        }
    })
}

/// What a host has whose change is not armed any more.
fn back(job: &Job<'_>, seen: &ObservedHost, reason: &str) -> Outcome {
    if same(job.observed, seen) {
        Outcome::RolledBack(reason.to_owned())
    } else {
        Outcome::Unknown(format!("{reason}; run `wgfleet plan` to see what it has now"))
    }
}

/// Whether a host has the keys that the change was to bring, its own and its peers'.
fn took(job: &Job<'_>, seen: &ObservedHost) -> bool {
    job.target.interfaces.iter().all(|interface| {
        let desired = interface.desired;
        seen.interfaces.get(&desired.name).is_some_and(|live| {
            live.public_key == Some(desired.public_key)
                && live.peers.keys().eq(desired.peers.keys())
        })
    })
}

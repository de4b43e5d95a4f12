//! Looking at hosts: one round trip each, all in parallel.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::{Connector, Host, RemoteError};
use crate::event::{Event, Notice, Sink, Stage};
use crate::model::{Become, FingerprintKey, HostName, InterfaceName, SshTarget, Untrusted, mask};
use crate::observed::{ObservedHost, parse};

/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_mins(1);

/// What is asked of a host.
#[derive(Debug, Clone)]
pub struct Look {
    /// The host.
    pub name: HostName,
    /// How ssh(1) reaches it.
    pub ssh: SshTarget,
    /// How the login user becomes root.
    pub r#become: Become,
    /// Key of the fingerprints of its files, and of the digest of all that is seen.
    pub key: FingerprintKey,
    /// The interfaces that the inventory gives it.
    pub interfaces: Vec<InterfaceName>,
    /// How many peers they have together; by that the host's answer is limited.
    pub peers: usize,
}

/// The most bytes that a host may answer with, and the most on top of that for each of its peers.
const MOST_BYTES: usize = 16 << 20;
const MOST_BYTES_OF_A_PEER: usize = 4 << 10;

/// The most bytes that it may tell of one file, and on top of that for each of its peers; a rendered
/// file has at most as many.
const MOST_TEXT: usize = 1 << 20;
const MOST_TEXT_OF_A_PEER: usize = 1 << 10;

impl Look {
    /// What the verb `observe` reads: the fingerprint key, which is a secret, the interfaces, and
    /// how much of a file is told.
    #[must_use]
    pub fn stdin(&self) -> Zeroizing<String> {
        let mut stdin = Zeroizing::new(String::with_capacity(128 + self.interfaces.len() * 32));
        let _ = writeln!(stdin, "{}", *self.key.expose_hex());
        for interface in &self.interfaces {
            let _ = writeln!(stdin, "interface {interface}");
        }
        let _ = writeln!(stdin, "text {}", MOST_TEXT + MOST_TEXT_OF_A_PEER * self.peers);
        stdin
    }

    fn most(&self) -> u64 {
        (MOST_BYTES + MOST_BYTES_OF_A_PEER * self.peers) as u64
    }
}

/// A host that was looked at, and the connection it was looked at through.
#[derive(Debug)]
pub struct Observing {
    /// The host.
    pub name: HostName,
    /// What was seen, or why nothing was.
    pub seen: Result<(ObservedHost, Host), RemoteError>,
}

/// Looks at one host through a connection.
///
/// # Errors
/// [`RemoteError`]; an answer that is not whole counts as none.
pub async fn observe_host(host: &Host, look: &Look) -> Result<ObservedHost, RemoteError> {
    let stdin = look.stdin();
    let reply = host.run_up_to("observe", &[], stdin.as_bytes(), LOOK_LIMIT, look.most()).await?;
    if !reply.status.success() {
        let text = if reply.stderr.is_empty() { reply.status.to_string() } else { reply.stderr };
        return Err(RemoteError::Host(text));
    }
    Ok(parse(&reply.stdout)?.keyed(&look.key))
}

/// Looks at all hosts, at most `parallel` logins at a time; the answer is in order of the question.
pub async fn observe_all(
    connector: &Arc<Connector>,
    looks: Vec<Look>,
    parallel: usize,
    sink: &Arc<dyn Sink>,
) -> Vec<Observing> {
    sink.event(Event::Begin { stage: Stage::Observe, hosts: looks.len() });
    // Logins cost both ends a key exchange; more at a time only queue on the controller's cores.
    let logins = Arc::new(Semaphore::new(parallel.max(1)));
    let mut tasks = JoinSet::new();
    let names: Vec<HostName> = looks.iter().map(|look| look.name.clone()).collect();
    for (index, look) in looks.into_iter().enumerate() {
        let (connector, logins, sink) =
            (Arc::clone(connector), Arc::clone(&logins), Arc::clone(sink));
        tasks.spawn(async move {
            let _login = logins.acquire_owned().await;
            let event = Event::Working { host: look.name.clone(), what: "connecting".to_owned() };
            sink.event(event);
            let seen = async {
                let host = connector.connect(&look.name, &look.ssh, look.r#become).await?;
                let seen = observe_host(&host, &look).await?;
                Ok((seen, host))
            };
            let seen = seen.await;
            sink.event(match &seen {
                Ok(_) => Event::Done { host: look.name.clone(), outcome: "read".to_owned() },
                Err(error) => Event::Failed { host: look.name.clone(), reason: describe(error) },
            });
            (index, seen)
        });
    }
    let mut all: Vec<Option<_>> = (0..names.len()).map(|_| None).collect();
    while let Some(joined) = tasks.join_next().await {
        if let Ok((index, seen)) = joined {
            all[index] = Some(seen);
        }
    }
    if let Err(error) = connector.save_logins().await {
        sink.event(Event::Notice { notice: Notice::LoginsNotKept { why: describe(&error) } });
    }
    sink.event(Event::End { stage: Stage::Observe });
    // A task that broke is a host that was not read, never one that is forgotten.
    let broken = || Err(RemoteError::Host("wgfleet's own task for it broke".to_owned()));
    let observing =
        |(name, seen): (_, Option<_>)| Observing { name, seen: seen.unwrap_or_else(broken) };
    names.into_iter().zip(all).map(observing).collect()
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = std::iter::successors(Some(error), |error| error.source())
        .map(|error| {
            let text = mask(&error.to_string()).replace('\n', " ").trim().to_owned();
            Untrusted::new(text).to_string()
        })
        .collect();
    texts.dedup();
    texts.join(": ")
}

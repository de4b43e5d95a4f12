//! Looking at hosts: one round trip each, all in parallel.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::describe::describe;
use super::{Connect, Host as _, Look, RemoteError};
use crate::event::{Event, Notice, Sink, Stage};
use crate::model::HostName;
use crate::observed::ObservedHost;

/// A host that was looked at, and the connection it was looked at through.
#[derive(Debug)]
pub struct Observing<H> {
    /// The host.
    pub name: HostName,
    /// What was seen, or why nothing was.
    pub seen: Result<(ObservedHost, H), RemoteError>,
}

/// Looks at all hosts, at most `parallel` logins at a time; the answer is in order of the question.
pub async fn observe_all<C: Connect>(
    connector: &Arc<C>,
    looks: Vec<Look>,
    parallel: usize,
    sink: &Arc<dyn Sink>,
) -> Vec<Observing<C::Host>> {
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
                let seen = host.observe(&look).await?;
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
    if let Err(error) = connector.remember().await {
        sink.event(Event::Notice { notice: Notice::LoginsNotKept { why: describe(&error) } });
    }
    sink.event(Event::End { stage: Stage::Observe });
    // A task that broke is a host that was not read, never one that is forgotten.
    let broken = || Err(RemoteError::Host("wgfleet's own task for it broke".to_owned()));
    let observing =
        |(name, seen): (_, Option<_>)| Observing { name, seen: seen.unwrap_or_else(broken) };
    names.into_iter().zip(all).map(observing).collect()
}

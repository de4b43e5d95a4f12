//! Looking at hosts: one round trip each, all in parallel.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::describe::describe;
use super::{Connect, Host as _, ObserveRequest, RemoteError};
use crate::event::{Event, Notice, Stage, Step};
use crate::model::HostName;
use crate::observed::ObservedHost;
use crate::sys::Events;

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
    requests: Vec<ObserveRequest>,
    parallel: usize,
    events: &Events,
) -> Vec<Observing<C::Host>> {
    events.tell(Event::Begin { stage: Stage::Observe, hosts: requests.len() });
    // Logins cost both ends a key exchange; more at a time only queue on the controller's cores.
    let logins = Arc::new(Semaphore::new(parallel.max(1)));
    let mut tasks = JoinSet::new();
    let names: Vec<HostName> = requests.iter().map(|request| request.name.clone()).collect();
    for (index, request) in requests.into_iter().enumerate() {
        let (connector, logins, events) =
            (Arc::clone(connector), Arc::clone(&logins), events.clone());
        tasks.spawn(async move {
            let _login = logins.acquire_owned().await;
            events.tell(Event::Working {
                host: request.name.clone(),
                transaction: None,
                step: Step::Connecting,
            });
            let seen = async {
                let ObserveRequest { name, ssh, r#become, believe, .. } = &request;
                let host = connector.connect(name, ssh, *r#become, *believe).await?;
                let seen = host.observe(&request).await?;
                Ok((seen, host))
            };
            let seen: Result<_, RemoteError> = seen.await;
            events.tell(match &seen {
                Ok(_) => Event::Read { host: request.name },
                Err(error) => Event::Unread { host: request.name, reason: error.into() },
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
        events.tell(Event::Notice { notice: Notice::LoginsNotKept { why: describe(&error) } });
    }
    events.tell(Event::End { stage: Stage::Observe });
    // A task that broke is a host that was not read, never one that is forgotten.
    let broken = || Err(RemoteError::Host("wgfleet's own task for it broke".to_owned()));
    let observing =
        |(name, seen): (_, Option<_>)| Observing { name, seen: seen.unwrap_or_else(broken) };
    names.into_iter().zip(all).map(observing).collect()
}

//! Hosts that are logged in to: each tells its files and what runs, keys included.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::gathered::{Gathered, Unreached};
use crate::adopt;
use crate::event::{Event, Stage};
use crate::fleet::{Context, Error, Kind};
use crate::model::{Become, HostName, SshTarget};
use crate::remote::{Believe, Connect, Host as _, RemoteError, Ssh};

/// How long a host may take to tell.
const LIMIT: Duration = Duration::from_mins(1);
/// The most bytes that it may tell.
const MOST_BYTES: u64 = 32 << 20;

/// Logs in to hosts with the system's ssh(1), at most so many at a time, and takes what they tell.
///
/// # Errors
/// Where ssh(1) cannot be run at all; a host that cannot be read is none.
pub async fn read_hosts(
    context: &Context,
    targets: &[SshTarget],
    parallel: usize,
    patience: Duration,
) -> Result<Gathered, Error> {
    let ssh = Ssh::new(context.ssh_config.clone(), patience)
        .map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(read_through(context, &Arc::new(ssh), targets, parallel).await)
}

async fn read_through<C: Connect>(
    context: &Context,
    connector: &Arc<C>,
    targets: &[SshTarget],
    parallel: usize,
) -> Gathered {
    context.events.tell(Event::Begin { stage: Stage::Observe, hosts: targets.len() });
    let logins = Arc::new(Semaphore::new(parallel.max(1)));
    let asked = targets.iter().map(|target| {
        let (connector, logins) = (Arc::clone(connector), Arc::clone(&logins));
        async move {
            let _login = logins.acquire_owned().await;
            let name = adopt::host_name(target.host());
            let told = ask(&*connector, &name, target).await;
            context.events.tell(match &told {
                Ok(_) => Event::Read { host: name },
                Err(error) => Event::Unread { host: name, reason: error.into() },
            });
            (target, told)
        }
    });
    let all = futures_util::future::join_all(asked).await;
    context.events.tell(Event::End { stage: Stage::Observe });
    let mut gathered = Gathered::default();
    for (target, told) in all {
        let why = match told {
            Ok(text) => match adopt::told(target, &text) {
                Some(read) => {
                    gathered.hosts.push(read.host);
                    gathered.remarks.extend(read.remarks);
                    continue;
                }
                None => "its answer is not whole".to_owned(),
            },
            Err(error) => crate::remote::describe(&error),
        };
        gathered.unreached.push(Unreached { target: target.clone(), why });
    }
    gathered
}

async fn ask<C: Connect>(
    connector: &C,
    name: &HostName,
    target: &SshTarget,
) -> Result<Zeroizing<String>, RemoteError> {
    let host = connector.connect(name, target, Become::Auto, Believe::Configured).await?;
    let answer = tokio::time::timeout(LIMIT, host.call("adopt", &[], &[], MOST_BYTES)).await;
    let reply = answer.map_err(|_| RemoteError::Timeout(LIMIT.as_secs()))??;
    host.close().await;
    let text = Zeroizing::new(reply.stdout);
    if reply.status.success() {
        return Ok(text);
    }
    let said = if reply.stderr.is_empty() { reply.status.to_string() } else { reply.stderr };
    Err(RemoteError::Host(said))
}

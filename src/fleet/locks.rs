//! The locks of hosts: who has them, and taking them away.

use futures_util::StreamExt as _;

use super::asked::Asked;
use super::live_keys::LiveKeys;
use super::login::Login;
use super::read::Fleet;
use super::survey::chosen;
use super::unknown::refuse_unknown;
use super::{Context, Error};
use crate::desired::DesiredHost;
use crate::event::LockState;
use crate::model::HostName;
use crate::observed::Unanswered;
use crate::remote::{Answer, Believe, Connect, Host as _, RemoteError};

/// How long a host may take to say it.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// Who has the locks of hosts; `names` are these hosts, all of the fleet where there is none.
///
/// # Errors
/// Where one of them is no host of the fleet, or the vault's index cannot be read.
pub async fn locks<C: Connect>(
    context: &Context,
    fleet: &Fleet,
    names: &[HostName],
    login: &Login<C>,
) -> Result<Vec<(HostName, LockState)>, Error> {
    ask(context, fleet, names, login, "holder").await
}

/// Takes the locks of hosts away from whoever has them; not where a change is armed.
///
/// # Errors
/// Those of [`locks`].
pub async fn break_locks<C: Connect>(
    context: &Context,
    fleet: &Fleet,
    names: &[HostName],
    login: &Login<C>,
) -> Result<Vec<(HostName, LockState)>, Error> {
    ask(context, fleet, names, login, "break").await
}

async fn ask<C: Connect>(
    context: &Context,
    fleet: &Fleet,
    names: &[HostName],
    login: &Login<C>,
    verb: &'static str,
) -> Result<Vec<(HostName, LockState)>, Error> {
    refuse_unknown(&[fleet.inventory()], names, Asked::Limit)?;
    let vault = context.vault()?;
    let state = fleet.desired(&LiveKeys::current(vault.index()))?;
    let asked = chosen(&state, names).into_iter().map(|host| async move {
        let told = ask_one(&*login.connector, host, verb).await;
        let told = told.unwrap_or_else(|error| LockState::Unread(Unanswered::from(&error)));
        (host.name.clone(), told)
    });
    Ok(futures_util::stream::iter(asked).buffered(login.parallel.max(1)).collect().await)
}

async fn ask_one<C: Connect>(
    connector: &C,
    host: &DesiredHost,
    verb: &str,
) -> Result<LockState, RemoteError> {
    let (name, ssh) = (&host.name, &host.ssh);
    let open = connector.connect(name, ssh, host.r#become, Believe::Configured).await?;
    let reply = open.run(verb, &[], &[], LIMIT).await;
    open.close().await;
    let reply = reply?;
    match reply.answer() {
        Answer::Free | Answer::Gone => Ok(LockState::Free),
        Answer::Released => Ok(LockState::Broken),
        Answer::Locked { by } => Ok(LockState::Locked(*by)),
        Answer::Busy { change } => Ok(LockState::Armed(change)),
        _ => Err(RemoteError::Host(reply.said().to_string())),
    }
}

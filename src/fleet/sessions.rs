//! The sessions of a fleet, as its hosts say; files are not compared, and no vault is opened.

use std::collections::BTreeMap;

use super::asked::Asked;
use super::live_keys::LiveKeys;
use super::login::Login;
use super::read::{Fleet, names};
use super::survey::{chosen, request};
use super::unknown::refuse_unknown;
use super::{Context, Error};
use crate::desired::DesiredState;
use crate::model::{FingerprintKey, HostName, PublicKey};
use crate::observed::{ObservedHost, Unanswered};
use crate::remote::{Connect, Host as _, observe_all};

/// What hosts say of their sessions.
#[derive(Debug)]
pub struct Sessions {
    /// The fleet as it is wanted, with the keys that are in use.
    pub state: DesiredState,
    /// Every name by every key that it has or had.
    pub names: BTreeMap<PublicKey, HostName>,
    /// The hosts that answered.
    pub seen: Vec<(HostName, ObservedHost)>,
    /// The others, with the reasons.
    pub unread: BTreeMap<HostName, Unanswered>,
}

impl Sessions {
    /// Asks the hosts; all where `limit` is empty.
    ///
    /// # Errors
    /// Where `limit` names no host, or nobody can log in anywhere.
    pub async fn read<C: Connect>(
        context: &Context,
        fleet: &Fleet,
        limit: &[HostName],
        login: &Login<C>,
    ) -> Result<Self, Error> {
        refuse_unknown(&[fleet.inventory()], limit, Asked::Limit)?;
        let vault = context.vault()?;
        let mut keys = LiveKeys::current(vault.index());
        let mut state = fleet.desired(&keys)?;
        let names = names(&state, &vault);
        let requests = chosen(&state, limit);
        let requests =
            requests.into_iter().map(|host| request(host, FingerprintKey::public())).collect();
        let observed =
            observe_all(&login.connector, requests, login.parallel, &context.events).await;
        let (mut hosts, mut seen, mut unread) = (Vec::new(), Vec::new(), BTreeMap::new());
        for observing in observed {
            match observing.seen {
                Ok((host, connection)) => {
                    seen.push((observing.name, host));
                    hosts.push(connection.close());
                }
                Err(error) => drop(unread.insert(observing.name, Unanswered::from(&error))),
            }
        }
        futures_util::future::join_all(hosts).await;
        if keys.learn(&seen.iter().map(|(name, host)| (name, host)).collect::<Vec<_>>()) {
            state = fleet.desired(&keys)?;
        }
        Ok(Self { state, names, seen, unread })
    }
}

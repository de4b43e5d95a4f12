//! What one host is to get, and the logins that bring it there.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::event::{Ending, Outcome};
use crate::model::{Become, HostName, Moment, SshTarget};
use crate::observed::{ObservedHost, Record};
use crate::plan::{HostPlan, RenderedHost, Target};
use crate::remote::{Believe, Connect, ObserveRequest, RemoteError};

/// One host's share of a plan.
#[derive(Debug)]
pub struct Job<'a> {
    /// Names the change on the host: letters, digits and `-`.
    pub id: String,
    /// What is to be done.
    pub plan: &'a HostPlan,
    /// What it is to have.
    pub target: Target<'a>,
    /// Its rendered files.
    pub rendered: &'a RenderedHost,
    /// What it had when the plan was made.
    pub observed: &'a ObservedHost,
    /// What it keeps about this change once it has confirmed it.
    pub record: Record,
    /// How to observe it again.
    pub request: ObserveRequest,
    /// Binaries that can be pushed, compressed with gzip, by `uname -m`.
    pub helpers: Arc<BTreeMap<String, Vec<u8>>>,
}

impl Job<'_> {
    /// What became of it, which was begun at `begun`.
    pub(super) fn ending(&self, begun: Moment, ended: Moment, outcome: Outcome) -> Ending {
        Ending {
            host: self.plan.host.clone(),
            transaction: Some(self.id.clone()),
            begun: Some(begun),
            ended: Some(ended),
            outcome,
            unverified: Vec::new(),
        }
    }
}

/// New connections, so many at a time: each costs both ends a key exchange.
#[derive(Debug)]
pub(super) struct Logins<'a, C> {
    connector: &'a C,
    free: Semaphore,
}

impl<'a, C: Connect> Logins<'a, C> {
    pub(super) fn new(connector: &'a C, parallel: usize) -> Self {
        Self { connector, free: Semaphore::new(parallel.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    pub(super) async fn connect(&self, job: &Job<'_>) -> Result<C::Host, RemoteError> {
        let desired = job.target.desired;
        self.connect_to(&desired.name, &desired.ssh, desired.r#become).await
    }

    pub(super) async fn connect_to(
        &self,
        name: &HostName,
        ssh: &SshTarget,
        r#become: Become,
    ) -> Result<C::Host, RemoteError> {
        // The semaphore is never closed.
        let _login = self.free.acquire().await;
        self.connector.connect(name, ssh, r#become, Believe::Configured).await
    }
}

//! How the hosts of a fleet are logged in to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::read::Fleet;
use super::{Context, Error, Kind};
use crate::model::{HostName, SshTarget};
use crate::remote::{LastLogins, Ssh};

/// How the hosts of a fleet are logged in to.
#[derive(Debug)]
pub struct Login<C = Ssh> {
    /// What opens hosts.
    pub connector: Arc<C>,
    /// How many at a time.
    pub parallel: usize,
    /// Where each host was logged in to last, as far as this controller remembers.
    pub last: BTreeMap<HostName, SshTarget>,
}

impl Login {
    /// With the system's ssh(1); `patience` is how long a connection may take to come up.
    ///
    /// # Errors
    /// Where ssh(1) cannot be given what it needs, or what earlier logins left cannot be read.
    pub fn ssh(
        context: &Context,
        fleet: &Fleet,
        parallel: usize,
        patience: Duration,
    ) -> Result<Self, Error> {
        let ssh = Ssh::new(context.ssh_config.clone(), patience)
            .map_err(|error| Error::new(Kind::Failed, error))?;
        // Without a home nothing can be kept: then each login is the first one.
        let Some(path) = context.state_file("logins", &fleet.inventory().fleet.value) else {
            return Ok(Self { connector: Arc::new(ssh), parallel, last: BTreeMap::new() });
        };
        let logins = LastLogins::open(&path).map_err(|error| {
            let hint = format!("remove {} if nothing else has written it", path.display());
            Error::new(Kind::Failed, error).hint(hint)
        })?;
        let last = logins.hosts();
        Ok(Self { connector: Arc::new(ssh.comparing(logins)), parallel, last })
    }
}

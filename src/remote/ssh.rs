//! Logging in to hosts: as the user's `ssh_config` says, paced, and again where an sshd is busy.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::gate::{Gates, Kind, Passage};
use super::logins::LastLogins;
use super::refusal::Refusal;
use super::route::Route;
use super::settings::{HostKeys, SshSettings, config_for_jumps, words};
use super::ssh_host::{Launch, SshHost};
use super::{Believe, Connect, RemoteError};
use crate::model::{Become, HostName, SshTarget, Untrusted};
use crate::sys::{FileError, Mode, RunFolder, write_atomic};

/// The longest path of a folder that a control socket fits into: a socket's has at most 108 bytes,
/// and ssh(1) adds to it while it makes one.
const LONGEST_FOLDER: usize = 55;

/// Time before a login that was refused is tried again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Opens hosts with the system's ssh(1).
#[derive(Debug)]
pub struct Ssh {
    /// Configuration file for ssh(1).
    config: Option<PathBuf>,
    /// Folder of the control sockets; gone with the connector.
    control: RunFolder,
    /// How long a connection may take to come up; a login with all its attempts takes three times
    /// that at most, not counting what it waits for others.
    patience: Duration,
    gates: Gates,
    logins: Option<LastLogins>,
    settings: Mutex<HashMap<SshTarget, Arc<OnceCell<Arc<SshSettings>>>>>,
    /// Configurations for jump hosts, by their text.
    configs: Mutex<HashMap<String, PathBuf>>,
}

impl Ssh {
    /// Prepares connections; `config` replaces ~/.ssh/config.
    ///
    /// # Errors
    /// Where no private folder for the control sockets can be made.
    pub fn new(config: Option<PathBuf>, patience: Duration) -> Result<Self, RemoteError> {
        let control = RunFolder::new(LONGEST_FOLDER).map_err(RemoteError::Folder)?;
        Ok(Self {
            config,
            control,
            patience,
            gates: Gates::default(),
            logins: None,
            settings: Mutex::default(),
            configs: Mutex::default(),
        })
    }

    /// Believes no new key of a host that was logged in to elsewhere, whatever `ssh_config` says.
    #[must_use]
    pub fn comparing(self, logins: LastLogins) -> Self {
        Self { logins: Some(logins), ..self }
    }

    /// How a target is reached, as the user's configuration says.
    async fn route(&self, target: &SshTarget) -> Result<Route, RemoteError> {
        let own = self.settings(target).await?;
        let mut route = Route::to(target, &own);
        // From the host outwards: the jump hosts of the first jump host come from its own settings.
        while let Some(list) = route.next() {
            let mut settings = Vec::with_capacity(list.len());
            for jump in &list {
                settings.push(self.settings(jump).await?);
            }
            route.through(&list, &settings);
        }
        Ok(route)
    }

    /// The configuration file for a login: the user's, or behind jump hosts one of the run's own,
    /// written once for each text.
    fn config_for(&self, route: &Route) -> Result<Option<PathBuf>, RemoteError> {
        if route.jumps().is_empty() {
            return Ok(self.config.clone());
        }
        let jumps: Vec<_> = route.jumps().iter().map(|hop| (&hop.target, hop.keys)).collect();
        let own = match self.config.as_deref() {
            Some(path) if path != Path::new("none") => Some(std::path::absolute(path)?),
            other => other.map(Path::to_owned),
        };
        let seconds = self.patience.as_secs().max(1);
        let Some(text) = config_for_jumps(&jumps, own.as_deref(), seconds) else {
            return Ok(self.config.clone());
        };
        let mut configs = self.configs.lock();
        if let Some(path) = configs.get(&text) {
            return Ok(Some(path.clone()));
        }
        let name = format!("{}-config{}", RunFolder::CONTENT, configs.len());
        let path = self.control.path().join(name);
        write_atomic(&path, text.as_bytes(), Mode::Private)
            .map_err(|error| RemoteError::Io(std::io::Error::other(error)))?;
        configs.insert(text, path.clone());
        Ok(Some(path))
    }

    /// What the user's configuration makes of a target; asked once for each.
    async fn settings(&self, target: &SshTarget) -> Result<Arc<SshSettings>, RemoteError> {
        let cell = Arc::clone(self.settings.lock().entry(target.clone()).or_default());
        cell.get_or_try_init(|| self.ask_settings(target)).await.map(Arc::clone)
    }

    async fn ask_settings(&self, target: &SshTarget) -> Result<Arc<SshSettings>, RemoteError> {
        let mut ssh = Command::new("ssh");
        ssh.arg("-G");
        if let Some(config) = &self.config {
            ssh.arg("-F").arg(config);
        }
        ssh.args(words(target)).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(self.patience * 3, ssh.output())
            .await
            .map_err(|_| RemoteError::Timeout((self.patience * 3).as_secs()))??;
        let refused = || {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            RemoteError::Connect(Untrusted::new(said.chars().take(600).collect::<String>()))
        };
        if !output.status.success() {
            return Err(refused());
        }
        let settings = SshSettings::parse(&String::from_utf8_lossy(&output.stdout));
        Ok(Arc::new(settings.ok_or_else(refused)?))
    }
}

impl Connect for Ssh {
    type Host = SshHost;
    type Room = Option<Passage>;

    /// Logs in. A login that an sshd refuses before it has said who it is, as it does when too many
    /// come at a time, is tried again, and fewer come at a time.
    ///
    /// # Errors
    /// [`RemoteError::Connect`] with ssh's own words, [`RemoteError::HostKey`] with what to run, or
    /// [`RemoteError::Timeout`].
    async fn connect(
        &self,
        name: &HostName,
        target: &SshTarget,
        r#become: Become,
        believe: Believe,
    ) -> Result<SshHost, RemoteError> {
        let mut route = self.route(target).await?;
        if believe == Believe::Known {
            route.believe_known();
        }
        let moved = self.logins.as_ref().and_then(|logins| logins.moved(name, target));
        let moved = moved.filter(|_| route.keys == HostKeys::New);
        let config = self.config_for(&route)?;
        // The host's own sshd speaks once all jump hosts have been logged in to.
        let hops = u32::try_from(route.hops.len()).unwrap_or(1);
        let launch = Launch {
            target,
            r#become,
            config: config.as_deref(),
            keys: if moved.is_some() { HostKeys::Known } else { route.keys },
            patience: self.patience * hops,
            control: self.control.path(),
        };
        let limit = self.patience * 3;
        let mut pause = FIRST_PAUSE;
        // What others take before it is no time of its own.
        let mut spent = Duration::ZERO;
        loop {
            let passage = self.gates.enter(&route.gates, Kind::Login).await;
            let begun = Instant::now();
            let started = tokio::time::timeout(limit, launch.start())
                .await
                .map_err(|_| RemoteError::Timeout(limit.as_secs()))??;
            let log = match started {
                Ok(host) => {
                    passage.accepted();
                    if let Some(logins) = &self.logins {
                        logins.went_well(name, target);
                    }
                    return Ok(host);
                }
                Err(log) => log,
            };
            let own = self.config.as_deref().map(Path::to_string_lossy);
            match Refusal::of(&log, &route.hops, own.as_deref(), moved.as_ref()) {
                Refusal::HostKey(text) => return Err(RemoteError::HostKey(Untrusted::new(text))),
                Refusal::Other(text) => return Err(RemoteError::Connect(Untrusted::new(text))),
                Refusal::Busy(text) => {
                    passage.refused();
                    drop(passage);
                    spent += begun.elapsed() + pause;
                    if spent >= limit {
                        let text = format!("{text} (tried for {} s)", limit.as_secs());
                        return Err(RemoteError::Connect(Untrusted::new(text)));
                    }
                }
            }
            tokio::time::sleep(scattered(pause, name)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn room(&self, target: &SshTarget) -> Option<Passage> {
        // A route that cannot be read is the login's to tell.
        let route = self.route(target).await.ok()?;
        Some(self.gates.enter(&route.shared, Kind::Change).await)
    }

    async fn remember(&self) -> Result<(), FileError> {
        match &self.logins {
            Some(logins) => logins.save().await,
            None => Ok(()),
        }
    }
}

/// A pause that differs from host to host, so that those who were refused together do not come
/// together again.
fn scattered(pause: Duration, name: &HostName) -> Duration {
    let mut hash = DefaultHasher::new();
    (name.as_str(), pause).hash(&mut hash);
    let percent = u32::try_from(hash.finish() % 50).unwrap_or(0) + 50;
    pause * percent / 100
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pauses_differ_and_are_never_longer() {
        let names = (0..50).map(|i| format!("h{i}").parse::<HostName>().unwrap());
        let pauses: BTreeSet<Duration> =
            names.map(|name| scattered(Duration::from_secs(1), &name)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
        assert!(pauses.iter().all(|pause| (500..=1000).contains(&pause.as_millis())));
    }
}

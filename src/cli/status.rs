//! `wgfleet status`: the fleet's sessions by name.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::fleet::{Fleet, names};
use super::live_keys::LiveKeys;
use super::survey::{LimitArgs, LoginArgs, chosen};
use super::{CommandError, CommandResult, Exit, Format, Global, runtime};
use crate::event::Sink;
use crate::model::FingerprintKey;
use crate::remote::{Connector, Look, describe, observe_all};
use crate::report;
use crate::report::progress::Progress;
use crate::report::status::Status;
use crate::vault::Vault;

/// Show the sessions of the fleet by name: handshakes, endpoints, traffic. Needs no identity.
///
/// fresh: a handshake within 180 s. idle: none, and nothing asked for one. late: none, though a
/// keepalive should have brought one. never: there was none since the interface came up.
/// The embedded tunnel also says what it dropped since it started, by cause.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wgfleet status
  wgfleet status --limit b7
  wgfleet status --format json | jq '.sessions[] | select(.state == \"late\")'")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    login: LoginArgs,
}

impl StatusArgs {
    pub(super) fn run(self, global: &Global) -> CommandResult {
        let fleet = Fleet::load(global)?;
        let vault = Vault::open(&super::vault::folder(&global.file))?;
        let mut keys = LiveKeys::current(vault.index());
        let mut state = fleet.desired(&keys)?;
        let names = names(&state, &vault);
        let looks = chosen(&state, &self.limit.limit)?
            .into_iter()
            .map(|host| Look {
                name: host.name.clone(),
                ssh: host.ssh.clone(),
                r#become: host.r#become,
                // Files are not compared here.
                key: FingerprintKey::public(),
                interfaces: host.interfaces.iter().map(|own| own.name.clone()).collect(),
                peers: host.interfaces.iter().map(|own| own.peers.len()).sum(),
            })
            .collect();
        let patience = Duration::from_secs(self.login.connect_timeout.max(1));
        let connector = Connector::new(global.ssh_config.clone(), patience)
            .map_err(|error| CommandError::new(Exit::Failed, &error))?;
        let connector = Arc::new(connector);
        let sink: Arc<dyn Sink> = Arc::new(Progress::new(global.quiet));
        let mut status = Status::default();
        runtime()?.block_on(async {
            let observed = observe_all(&connector, looks, self.login.parallel, &sink).await;
            let mut hosts = Vec::new();
            let mut answers = Vec::new();
            for observing in observed {
                match observing.seen {
                    Ok((seen, host)) => {
                        answers.push((observing.name, seen));
                        hosts.push(host.close());
                    }
                    Err(error) => {
                        status.unreadable.insert(observing.name, describe(&error));
                    }
                }
            }
            futures_util::future::join_all(hosts).await;
            if keys.learn(&answers.iter().map(|(name, seen)| (name, seen)).collect::<Vec<_>>()) {
                state = fleet.desired(&keys)?;
            }
            for (name, seen) in &answers {
                status.add(&state, &names, name, seen);
            }
            Ok::<(), CommandError>(())
        })?;
        let text = match global.format {
            Format::Human => report::status::human(&status),
            Format::Json => report::json::pretty(&status)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?,
        };
        super::write_stdout(text.as_bytes())?;
        Ok(if status.unreadable.is_empty() { Exit::Done } else { Exit::Unreadable })
    }
}

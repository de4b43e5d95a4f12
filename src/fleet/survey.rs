//! Looking at the fleet and making the plan: what `plan`, `apply` and `rotate` share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::asked::Asked;
use super::live_keys::LiveKeys;
use super::login::Login;
use super::opened::Opened;
use super::provenance::{newer, provenance};
use super::read::{Fleet, names};
use super::records::{Overrides, Records};
use super::removed::Removed;
use super::run::Run;
use super::unknown::refuse_unknown;
use super::{Context, Error, Kind};
use crate::desired::{DesiredHost, DesiredState};
use crate::event::Notice;
use crate::journal::RunKind;
use crate::model::{FingerprintKey, HostName, PlanKey, PublicKey};
use crate::observed::{ObservedHost, Unanswered};
use crate::plan::{
    HelperSource, HostPlan, HostState, KeptLink, Newer, Obstacle, Plan, Provenance, Remains,
    RenderedHost, clash, diff_host, record, resolve,
};
use crate::remote::{Believe, Connect, Host as _, ObserveRequest, Ssh, observe_all};
use crate::sys::{Events, read_elf};
use crate::vault::{Identities, Vault};

/// What is pushed: a program of its own beside wgfleet, with what runs on hosts alone.
const HELPER: &str = "wgfleet-helper";

/// The most bytes that a binary may have.
pub(super) const BINARY_LIMIT: u64 = 256 << 20;

/// What a survey is about.
#[derive(Debug)]
pub struct Scope<'a, C = Ssh> {
    /// How hosts are logged in to.
    pub login: &'a Login<C>,
    /// The hosts; all where it is empty.
    pub limit: &'a [HostName],
    /// A folder with builds for hosts of other machines.
    pub binaries: Option<&'a Path>,
    /// What is done although hosts remember something else.
    pub overrides: &'a Overrides,
    /// Whether it goes on without an identity, with secrets that are not compared.
    pub without_identity: bool,
}

/// The fleet as it is wanted and as it is, and the plan between the two.
pub struct Survey<C: Connect = Ssh> {
    pub(super) state: DesiredState,
    pub(super) secrets: Opened,
    pub(super) rendered: BTreeMap<HostName, RenderedHost>,
    pub(super) requests: BTreeMap<HostName, ObserveRequest>,
    pub(super) seen: BTreeMap<HostName, (ObservedHost, C::Host)>,
    pub(super) unread: BTreeMap<HostName, Unanswered>,
    /// What hosts keep about this fleet's last change.
    pub(super) records: Records,
    /// Hosts whose machines are not to be taken for them, with the reasons.
    pub(super) strangers: BTreeMap<HostName, Obstacle>,
    /// Who asks, and from which state of the files.
    pub(super) provenance: Provenance,
    /// Hosts that were changed from newer files.
    pub(super) newer: Vec<Newer>,
    pub(super) names: BTreeMap<PublicKey, HostName>,
    /// Whoever the vault has keys of.
    pub(super) keyed: BTreeSet<HostName>,
    /// What is known of the machines of hosts that the inventory no longer has.
    pub(super) remains: BTreeMap<HostName, Remains>,
    pub(super) helpers: HelperSource,
    pub(super) binaries: BTreeMap<String, PathBuf>,
    /// Links that keep their old values.
    pub(super) kept: Vec<KeptLink>,
    /// Whether sessions are to be proved by traffic once hosts have changed.
    pub(super) probes: bool,
    pub(super) connector: Arc<C>,
    pub(super) events: Events,
}

/// A rotation under way, for which the vault was opened before.
#[derive(Debug, Clone, Copy)]
pub struct Rotating<'a> {
    pub vault: &'a Vault,
    pub identities: &'a Identities,
    /// The hosts that get their next key.
    pub turn: &'a BTreeSet<HostName>,
}

impl<C: Connect> Survey<C> {
    /// Why a plan cannot be carried out; `Locked` where all that it takes is to wait.
    #[must_use]
    pub fn blocked(&self, plan: &Plan) -> Option<Kind> {
        let armed =
            |name: &HostName| self.seen.get(name).is_some_and(|(seen, _)| seen.armed.is_some());
        plan.blocked().next()?;
        let waits = plan.blocked().all(|(name, _)| armed(name));
        Some(if waits { Kind::Locked } else { Kind::Findings })
    }

    /// Logs in to the hosts and observes them.
    ///
    /// # Errors
    /// Where the vault cannot be used, a file cannot be rendered, or ssh(1) cannot be run at all; a host that
    /// cannot be read is none.
    pub async fn take(
        context: &Context,
        scope: Scope<'_, C>,
        fleet: &Fleet,
        rotating: Option<Rotating<'_>>,
    ) -> Result<Self, Error> {
        let removed = match (&rotating, context.vault()) {
            (None, Ok(vault)) => Removed::of(fleet, vault.index(), scope.limit),
            _ => Removed::default(),
        };
        let limit = scope.limit.iter().filter(|name| !removed.has(name));
        let limit: Vec<HostName> = limit.cloned().collect();
        refuse_unknown(&[fleet.inventory()], &limit, Asked::Limit)?;
        refuse_unknown(&[fleet.inventory()], &scope.overrides.replace, Asked::Replace)?;
        if let Some(Rotating { vault, identities, turn }) = rotating {
            let keys = LiveKeys::new(vault.index(), turn);
            let secrets = vault.unlock(identities).into();
            return Self::of(context, scope, fleet, vault, secrets, keys, removed).await;
        }
        let (vault, secrets) = if scope.without_identity {
            Fleet::unlock_if_possible(context)?
        } else {
            Fleet::unlock(context)?
        };
        tell_interrupted(context, fleet, &vault, &[]);
        let keys = LiveKeys::current(vault.index());
        Self::of(context, scope, fleet, &vault, secrets, keys, removed).await
    }

    async fn of(
        context: &Context,
        scope: Scope<'_, C>,
        fleet: &Fleet,
        vault: &Vault,
        secrets: Opened,
        mut keys: LiveKeys<'_>,
        mut removed: Removed,
    ) -> Result<Self, Error> {
        let mut state = fleet.desired(&keys)?;
        let mut rendered = fleet.render(&chosen(&state, scope.limit), &secrets)?;
        let requests: BTreeMap<HostName, ObserveRequest> = chosen(&state, scope.limit)
            .into_iter()
            .filter_map(|host| {
                let key = rendered.get(&host.name)?.key.clone();
                Some((host.name.clone(), request(host, key)))
            })
            .collect();
        let connector = Arc::clone(&scope.login.connector);
        let events = context.events.clone();
        let parallel = scope.login.parallel;
        let mut asked: Vec<ObserveRequest> = requests.values().cloned().collect();
        asked.extend(removed.at_last_logins(&scope.login.last));
        let (observed, former) = observe_all(&connector, asked, parallel, &events)
            .await
            .into_iter()
            .partition::<Vec<_>, _>(|observing| requests.contains_key(&observing.name));
        removed.learn(&state.fleet, former).await;
        let (mut seen, mut unread) = (BTreeMap::new(), BTreeMap::new());
        for observing in observed {
            match observing.seen {
                Ok(pair) => drop(seen.insert(observing.name, pair)),
                Err(error) => drop(unread.insert(observing.name, Unanswered::from(&error))),
            }
        }
        let answers: Vec<_> = seen.iter().map(|(name, (host, _))| (name, host)).collect();
        if keys.learn(&answers) {
            state = fleet.desired(&keys)?;
            rendered = fleet.render(&chosen(&state, scope.limit), &secrets)?;
        }
        let names = names(&state, vault);
        let hosts = || {
            let hosts = state.hosts.iter();
            hosts.filter_map(|host| Some((host, &seen.get(&host.name)?.0)))
        };
        let moved = &fleet.inventory().moved;
        let records =
            Records::of(&state.fleet, moved, hosts().map(|(host, seen)| (&host.name, seen)));
        let strangers = records.strangers(&state.fleet, hosts(), &names, scope.overrides)?;
        let asked = removed.at_commits(context, &state.fleet, &records);
        if !asked.is_empty() {
            let former = observe_all(&connector, asked, parallel, &events).await;
            removed.learn(&state.fleet, former).await;
        }
        let provenance = provenance(fleet);
        let mut survey = Self {
            newer: newer(fleet, &provenance, records.of_themselves()),
            records,
            strangers,
            provenance,
            state,
            secrets,
            rendered,
            requests,
            seen,
            unread,
            names,
            keyed: vault.index().names().cloned().collect(),
            remains: removed.remains(),
            helpers: HelperSource::default(),
            binaries: BTreeMap::new(),
            kept: Vec::new(),
            probes: !scope.overrides.no_probe,
            connector,
            events,
        };
        if survey.needs_helper() {
            survey.find_helpers(scope.binaries);
        }
        survey.keep_links(fleet, &scope.overrides.left_out, vault)?;
        Ok(survey)
    }

    /// The hosts that were asked for, in order of the file.
    pub fn hosts(&self) -> impl Iterator<Item = &DesiredHost> {
        self.state.hosts.iter().filter(|host| self.requests.contains_key(&host.name))
    }

    fn needs_helper(&self) -> bool {
        self.hosts().any(|host| {
            let pair = self.seen.get(&host.name).zip(self.rendered.get(&host.name));
            pair.is_some_and(|((seen, _), rendered)| resolve(host, rendered, seen).helper)
        })
    }

    /// Looks for builds that could be pushed: the helper beside the running program or, where it lies
    /// there alone, the program itself; then those of the folder, helpers first.
    fn find_helpers(&mut self, folder: Option<&Path>) {
        self.helpers.hint = match folder {
            Some(folder) => format!("put its wgfleet-helper into {}", folder.display()),
            None => "name a folder of release binaries with --binaries".to_owned(),
        };
        let own: Vec<PathBuf> = std::env::current_exe().into_iter().collect();
        let helper = own.iter().map(|program| program.with_file_name(HELPER));
        let mut candidates: Vec<PathBuf> = helper.chain(own.iter().cloned()).collect();
        if let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) {
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            let whole = |path: &Path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                !name.starts_with(HELPER)
            };
            paths.sort_by_key(|path| (whole(path), path.clone()));
            candidates.extend(paths.into_iter().filter(|path| path.is_file()));
        }
        for path in candidates {
            let Ok(bytes) = crate::sys::read_limited(&path, BINARY_LIMIT) else { continue };
            let Some(elf) = read_elf(&bytes).filter(|elf| elf.is_static) else { continue };
            let machine = elf.machine.to_owned();
            let digest = crate::sys::sha256(&bytes);
            self.helpers.builds.entry(machine.clone()).or_insert(digest);
            self.binaries.entry(machine).or_insert(path);
        }
    }

    /// The plan of one host.
    pub(super) fn host_plan(&self, host: &DesiredHost) -> Result<HostPlan, Error> {
        let name = &host.name;
        let pair = self.seen.get(name).zip(self.rendered.get(name));
        let Some(((seen, _), rendered)) = pair else {
            let reason = self.unread.get(name).cloned().unwrap_or_default();
            let mut plan = HostPlan::unreadable(host, reason.clone());
            // It was reached, and somebody has to install something.
            if matches!(reason, Unanswered::LackingTools { .. }) {
                plan.state = HostState::Blocked(Obstacle::Unobserved { reason });
            }
            return Ok(plan);
        };
        let target = resolve(host, rendered, seen);
        let mut plan = diff_host(&target, seen, &self.helpers, &self.names);
        let (fleet, made) = (&self.state.fleet, &self.provenance);
        let kept = self.records.kept(name);
        plan.tell_drift(&target, rendered, seen, kept);
        let before = (kept, &plan.changes[..]);
        let wanted = record(fleet, &target, rendered, seen, made, String::new(), before);
        plan.keep_record(kept, &wanted, self.secrets.state());
        let another = clash(fleet, host, seen).filter(|_| !plan.changes.is_empty());
        if let Some(why) = self.strangers.get(name).cloned().or(another) {
            plan.refuse(why);
        }
        plan.bind(&target, rendered, seen, &self.secrets)?;
        Ok(plan)
    }

    /// The plan of the fleet.
    ///
    /// # Errors
    /// Where the vault has no such secret.
    pub fn plan(&self) -> Result<Plan, Error> {
        let hosts: Vec<&DesiredHost> = self.hosts().collect();
        let hosts: Result<_, _> = hosts.into_par_iter().map(|host| self.host_plan(host)).collect();
        let hosts = hosts?;
        let plan = Plan::new(self.state.fleet.clone(), hosts);
        let secrets = self.secrets.state();
        Ok(Plan { secrets, newer: self.newer.clone(), kept: self.kept.clone(), ..plan })
    }

    /// The key of the MAC of a saved plan; `None` where it compares no secrets.
    ///
    /// # Errors
    /// Why the file of the secret that it is derived from does not open.
    pub fn plan_key(&self) -> Result<Option<PlanKey>, Error> {
        Ok(self.secrets.plan_key()?)
    }

    /// Before the first host is touched: what is changed from now on is newer than any other copy of
    /// the files, and who changes it is written down.
    ///
    /// # Errors
    /// Where the lock file or the journal cannot be written.
    pub(super) fn begin(
        &mut self,
        context: &Context,
        fleet: &Fleet,
        kind: RunKind,
    ) -> Result<Run, Error> {
        fleet.count_run(context, &self.provenance, self.records.generation())?;
        self.provenance.generation = fleet.generation();
        Run::begin(context, &self.state.fleet, kind, &self.provenance)
    }

    /// Ends all connections.
    pub async fn close(self) {
        let closing = self.seen.into_values().map(|(_, host)| host.close());
        futures_util::future::join_all(closing).await;
    }
}

/// Says whose rotation was interrupted and is not being finished: nothing else moves these hosts on.
pub(super) fn tell_interrupted(
    context: &Context,
    fleet: &Fleet,
    vault: &Vault,
    finished: &[HostName],
) {
    let hosts: BTreeSet<&HostName> =
        fleet.inventory().hosts.iter().map(|host| &host.name.value).collect();
    let interrupted: Vec<HostName> = LiveKeys::interrupted(vault.index())
        .filter(|name| hosts.contains(name) && !finished.contains(name))
        .cloned()
        .collect();
    if !interrupted.is_empty() {
        context.notice(Notice::HalfRotated { hosts: interrupted });
    }
}

/// What a host is asked for; `key` keys the fingerprints of its files.
pub(super) fn request(host: &DesiredHost, key: FingerprintKey) -> ObserveRequest {
    ObserveRequest {
        name: host.name.clone(),
        ssh: host.ssh.clone(),
        r#become: host.r#become,
        believe: Believe::Configured,
        key,
        interfaces: host.interfaces.iter().map(|own| own.name.clone()).collect(),
        peers: host.interfaces.iter().map(|own| own.peers.len()).sum(),
    }
}

/// The hosts that were asked for, in order of the file; all where none is named.
pub(super) fn chosen<'a>(state: &'a DesiredState, limit: &[HostName]) -> Vec<&'a DesiredHost> {
    let limit: BTreeSet<&HostName> = limit.iter().collect();
    state.hosts.iter().filter(|host| limit.is_empty() || limit.contains(&host.name)).collect()
}

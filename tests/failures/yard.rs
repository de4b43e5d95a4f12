//! A fleet of three hosts that are played, with its files and its vault.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use wgfleet::apply::ROLLBACK_LIMIT;
use wgfleet::event::{Ending, Outcome, Told};
use wgfleet::fleet::{
    Context, Error, Fleet, Keyring, Login, Overrides, Pace, Scope, Survey, carry_out,
};
use wgfleet::model::{FleetName, HostName};
use wgfleet::observed::Record;
use wgfleet::plan::{Group, Plan, Rollout, Wave};
use wgfleet::sys::{Events, Stop, SystemClock};
use wgfleet::vault::{Identities, PluginPrompts, Unattended, Vault, identity};

use crate::scripted::connect::Scripted;
use crate::scripted::machine::Machine;
use crate::scripted::network::{Fault, Nap, Network, Trouble};
use crate::scripted::state::State;

/// The hosts.
pub(crate) const HOSTS: [&str; 3] = ["a", "b", "c"];

/// After which a host rolls back an unconfirmed change.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// What was there before.
const OLD: &str = "\
fleet: failures
networks:
  n0: { interface: wg0, prefixes: [10.7.0.0/24], links: mesh, psk: pairwise }
hosts:
  a: { networks: { n0: { address: 10.7.0.1, endpoint: \"192.0.2.1:51820\" } } }
  b: { networks: { n0: { address: 10.7.0.2, endpoint: \"192.0.2.2:51820\" } } }
  c: { nat: true, networks: { n0: { address: 10.7.0.3 } } }
";

/// What is wanted: another LAN, MTU and keepalive.
const NEW: &str = "\
fleet: failures
networks:
  n0: { interface: wg0, prefixes: [10.7.0.0/24], links: mesh, psk: pairwise }
hosts:
  a: { subnets: [172.16.1.0/24], masquerade: false, networks: { n0: { address: 10.7.0.1, endpoint: \"192.0.2.1:51820\" } } }
  b: { networks: { n0: { address: 10.7.0.2, endpoint: \"192.0.2.2:51820\", mtu: 1380 } } }
  c: { nat: true, networks: { n0: { address: 10.7.0.3, keepalive: 20 } } }
";

/// Which of its files a fleet is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum File {
    Old,
    New,
}

/// The identity that opens the vault.
struct Ring(Identities);

impl Keyring for Ring {
    fn identities(&self, _: &FleetName) -> Result<Identities, Error> {
        Ok(self.0.clone())
    }

    fn prompts(&self) -> Arc<dyn PluginPrompts> {
        Arc::new(Unattended)
    }

    fn is_empty(&self, _: &FleetName) -> bool {
        false
    }
}

/// A folder with the fleet's files and vault.
pub(crate) struct Yard {
    folder: TempDir,
    identities: Identities,
    overrides: Overrides,
    /// Asks its runs to stop.
    pub(crate) stop: Stop,
    /// How long the machine that they run on has slept.
    pub(crate) slept: Nap,
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().expect("a name")
}

pub(crate) fn moment() -> Timestamp {
    "2026-11-22T13:00:00Z".parse().expect("a moment")
}

impl Yard {
    /// A fleet whose hosts have keys.
    pub(crate) fn new() -> Self {
        let folder = folder();
        let path = folder.path();
        let file = path.join("identity.txt");
        let recipient = identity::create(&file, path, None, moment()).expect("an identity");
        let fleet = "failures".parse().expect("a name");
        let vault = Vault::create(&path.join("vault"), &fleet, &[recipient], moment());
        let identities = Identities::load(&[file], &Unattended).expect("an identity");
        let names = HOSTS.map(host);
        vault.expect("a vault").ensure_keys(&names, &identities, moment()).expect("keys");
        std::fs::write(path.join("old.yaml"), OLD).expect("a file");
        std::fs::write(path.join("new.yaml"), NEW).expect("a file");
        Self {
            folder,
            identities,
            overrides: Overrides::default(),
            stop: Stop::default(),
            slept: Nap::default(),
        }
    }

    /// The same with a copy of its files.
    pub(crate) fn copy(&self) -> Self {
        let folder = folder();
        copy(self.folder.path(), folder.path());
        let (identities, overrides) = (self.identities.clone(), Overrides::default());
        Self { folder, identities, overrides, stop: Stop::default(), slept: Nap::default() }
    }

    /// The same with runs of its own to stop.
    pub(crate) fn stopping(&self) -> Self {
        Self { stop: Stop::default(), slept: Nap::default(), ..self.copy() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    pub(crate) fn context(&self, file: File) -> Context {
        let name = match file {
            File::Old => "old.yaml",
            File::New => "new.yaml",
        };
        Context {
            file: self.folder.path().join(name),
            lock: None,
            include_from: Vec::new(),
            now: None,
            // Runs leave the lock file alone.
            locked: true,
            ssh_config: None,
            state: Some(self.path().join("state")),
            keyring: Arc::new(Ring(self.identities.clone())),
            events: Events::new(Arc::new(|_: Told| ()), Arc::new(SystemClock)),
            stop: self.stop.clone(),
            slept: self.slept.meter(),
            overrun: |_, _| (),
        }
    }

    pub(crate) fn fleet(&self, file: File) -> Fleet {
        let reading = Fleet::read(&self.context(file)).expect("it can be read");
        reading.fleet.unwrap_or_else(|| panic!("{:?}", reading.findings))
    }

    /// Makes the hosts what a file says; the plan, and how it ended.
    pub(crate) async fn apply(
        &self,
        fleet: &Fleet,
        file: File,
        login: &Login<Scripted>,
    ) -> Result<(Plan, Vec<Ending>), Error> {
        self.change(fleet, file, login, false).await
    }

    /// The same, all of them together or none.
    pub(crate) async fn apply_together(
        &self,
        fleet: &Fleet,
        file: File,
        login: &Login<Scripted>,
    ) -> Result<(Plan, Vec<Ending>), Error> {
        self.change(fleet, file, login, true).await
    }

    /// Either of these.
    pub(crate) async fn change(
        &self,
        fleet: &Fleet,
        file: File,
        login: &Login<Scripted>,
        together: bool,
    ) -> Result<(Plan, Vec<Ending>), Error> {
        let group = Group { hosts: HOSTS.map(host).into(), couplings: Vec::new() };
        let waves = vec![Wave { groups: vec![group] }];
        let rollout = together.then(|| Rollout { waves, ..Rollout::default() });
        self.carried(fleet, file, login, rollout, &Pace::default()).await
    }

    /// The same in waves of one host each.
    pub(crate) async fn apply_in_turn(
        &self,
        fleet: &Fleet,
        file: File,
        login: &Login<Scripted>,
        pace: &Pace<'_>,
    ) -> Result<(Plan, Vec<Ending>), Error> {
        let alone = |name| Group { hosts: vec![host(name)], couplings: Vec::new() };
        let waves = HOSTS.map(|name| Wave { groups: vec![alone(name)] }).into();
        let rollout = Rollout { waves, ..Rollout::default() };
        self.carried(fleet, file, login, Some(rollout), pace).await
    }

    /// The same, all of them together or each alone.
    async fn carried(
        &self,
        fleet: &Fleet,
        file: File,
        login: &Login<Scripted>,
        rollout: Option<Rollout>,
        pace: &Pace<'_>,
    ) -> Result<(Plan, Vec<Ending>), Error> {
        let scope = Scope {
            login,
            limit: &[],
            binaries: None,
            overrides: &self.overrides,
            without_identity: false,
        };
        let context = self.context(file);
        let survey = Survey::take(&context, scope, fleet, None).await?;
        let mut plan = survey.plan()?;
        plan.rollout = rollout;
        let outcomes =
            carry_out(&context, fleet, survey, &plan, DEADLINE, login.parallel, pace).await?;
        Ok((plan, outcomes))
    }
}

/// A folder in memory, where there is one: a vault waits for its disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a folder")
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            std::fs::create_dir(&to).expect("a folder");
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a copy");
        }
    }
}

/// Runs something in time that passes as soon as nothing else is to be done.
pub(crate) fn play<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(Box::pin(work))
}

/// Logins to hosts that are played.
pub(crate) fn login(network: Network) -> Login<Scripted> {
    Login { connector: Arc::new(Scripted::new(network)), parallel: 32, last: BTreeMap::new() }
}

/// What `work` comes to, if it comes to an end.
pub(crate) async fn bounded<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    timeout(limit, work).await.unwrap_or_else(|_| panic!("{what}: it waits for ever"))
}

/// Waits until every timer has ended, with nothing going wrong any more.
pub(crate) async fn settle(login: &Login<Scripted>) {
    login.connector.network().calm();
    sleep(DEADLINE * 2 + ROLLBACK_LIMIT).await;
    let now = login.connector.now();
    for name in HOSTS {
        login.connector.network().machine(name, now);
    }
}

/// What a host has, without its record and what moves by itself.
pub(crate) fn had(machine: &Machine) -> State {
    let mut state = machine.state.clone().settled();
    state.files.retain(|path, _| !path.starts_with("/var/lib/wgfleet/"));
    for (_, text) in state.files.values_mut() {
        // Of what the disk had no room for, a later run cannot know what was there before.
        let lines = text.lines().filter(|line| !line.starts_with("# before wgfleet: "));
        *text = lines.flat_map(|line| [line, "\n"]).collect();
    }
    state
}

/// The id of the last change that a host has confirmed.
pub(crate) fn recorded(machine: &Machine) -> Option<String> {
    let fleet = "failures".parse().expect("a name");
    let (_, text) = machine.state.files.get(Record::path(&fleet).as_str())?;
    Some(Record::parse(&fleet, text).expect("a record").transaction)
}

/// The machines after `file` was applied to what they had.
pub(crate) fn applied(yard: &Yard, start: Network, file: File) -> Network {
    let fleet = yard.fleet(file);
    play(async {
        let login = login(start);
        let (_, outcomes) = yard.apply(&fleet, file, &login).await.expect("it is applied");
        let is_done = outcomes.iter().all(|one| one.outcome == Outcome::Applied);
        assert!(is_done, "{outcomes:?}");
        settle(&login).await;
        login.connector.network().clone()
    })
}

/// The machines after the new file was applied while `a` could not be read: it goes on with what it has, and
/// so do the links of the others with it.
pub(crate) fn kept(yard: &Yard, start: &Network) -> Network {
    let fleet = yard.fleet(File::New);
    let down = Fault { host: "a".to_owned(), at: 0, trouble: Trouble::Before };
    play(async {
        let login = login(start.failing(&[down]));
        let run = yard.apply(&fleet, File::New, &login);
        let (plan, _) = run.await.expect("it is applied");
        assert_eq!(plan.kept.len(), 2, "{:?}", plan.kept);
        settle(&login).await;
        login.connector.network().clone()
    })
}

/// What a host is to have: what is wanted, or where `a` could not be read all of that but what their link
/// keeps.
pub(crate) fn wanted<'n>(
    name: &str,
    (new, kept): (&'n Network, &'n Network),
    a_is_down: bool,
) -> &'n Machine {
    let network = if a_is_down && name != "a" { kept } else { new };
    &network.machines[name]
}

/// Whether `a` was left out, because it could not be read.
pub(crate) fn is_down(endings: &[Ending]) -> bool {
    let skipped = |one: &Ending| matches!(one.outcome, Outcome::Skipped(_));
    endings.iter().any(|one| one.host.as_str() == "a" && skipped(one))
}

/// All ways in which the calls from `first` on can fail, one at a time.
pub(crate) fn singles(host: &str, calls: &[String], first: usize) -> Vec<Fault> {
    let faults = calls.iter().enumerate().skip(first).flat_map(|(at, verb)| {
        let troubles = Trouble::ALL.into_iter().filter(|trouble| trouble.befalls(verb));
        troubles.map(move |trouble| Fault { host: host.to_owned(), at, trouble })
    });
    faults.collect()
}

/// Some pairs of calls that fail, to whichever hosts: always the same ones.
pub(crate) fn pairs(faults: &[Fault], count: usize) -> impl Iterator<Item = [Fault; 2]> {
    let pick = |number: usize| faults[number % faults.len()].clone();
    let pairs = (0..count).map(move |number| [pick(number * 7919), pick(number * 104_729 + 11)]);
    pairs.filter(|[one, two]| (&one.host, one.at) != (&two.host, two.at))
}

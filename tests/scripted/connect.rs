//! Connections to hosts that are played, in tokio's time.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wgfleet::model::{Become, HostName, SshTarget, Untrusted};
use wgfleet::remote::{Answer, Believe, Connect, Host, RemoteError, Reply};

use super::machine::moment;
use super::network::{Login, Network, Trouble};

/// How long a login takes.
const LOGIN: Duration = Duration::from_millis(200);

/// How long a login to a host that is not there is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a word takes from one end to the other.
const WAY: Duration = Duration::from_millis(50);

/// How long the operations of a change take.
const WORK: Duration = Duration::from_secs(1);

/// After which ssh(1) gives up a connection that is silent.
const SILENCE: Duration = Duration::from_secs(15);

/// Longer than anybody waits for an answer.
const NEVER: Duration = Duration::from_hours(1);

/// Opens hosts that are played.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    network: Arc<Mutex<Network>>,
    start: Instant,
    /// How many seconds have passed in which the controller slept.
    slept: Arc<AtomicU64>,
}

impl Scripted {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            network: Arc::new(Mutex::new(network)),
            start: Instant::now(),
            slept: Arc::default(),
        }
    }

    pub(crate) fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that has passed.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_secs(self.slept.load(Ordering::Relaxed))
    }

    fn is_there(&self, host: &str) -> bool {
        self.network().is_there(host, self.now())
    }

    /// What befalls the next call to a host, and what that does to the host.
    fn next(&self, host: &str, verb: &str) -> Option<Trouble> {
        let now = self.now();
        let mut network = self.network();
        let trouble = network.next(host, verb);
        self.slept.fetch_add(network.strike_if_due(host, now), Ordering::Relaxed);
        let trouble = trouble?;
        match trouble {
            Trouble::Gone => network.lose(host),
            Trouble::Cut => network.cut(host, now),
            Trouble::Busy => {
                network.machine(host, now).armed_by_another(now + Duration::from_secs(20));
            }
            Trouble::Full(full) => network.machine(host, now).full = Some(full),
            _ => {}
        }
        Some(trouble)
    }
}

impl Connect for Scripted {
    type Host = ScriptedHost;
    type Room = ();

    async fn connect(
        &self,
        name: &HostName,
        target: &SshTarget,
        _: Become,
        believe: Believe,
    ) -> Result<ScriptedHost, RemoteError> {
        let (host, target) = (name.to_string(), target.to_string());
        self.network().logins.push(Login { host, target, believe });
        let refused = |why: &str| Err(RemoteError::Connect(Untrusted::new(why.to_owned())));
        match self.next(name.as_str(), "connect") {
            Some(Trouble::Before) => {
                sleep(LOGIN).await;
                return refused("Connection closed by remote host");
            }
            Some(Trouble::Slow) => {
                sleep(PATIENCE * 3).await;
                return Err(RemoteError::Timeout(30));
            }
            _ => {}
        }
        if !self.is_there(name.as_str()) {
            sleep(PATIENCE).await;
            return refused("Connection timed out");
        }
        sleep(LOGIN).await;
        let cuts = self.network().cuts(name.as_str());
        Ok(ScriptedHost { scripted: self.clone(), name: name.to_string(), cuts })
    }

    async fn room(&self, _: &SshTarget) {}
}

/// A host that is played.
#[derive(Debug)]
pub(crate) struct ScriptedHost {
    scripted: Scripted,
    name: String,
    /// How often it had lost its power when the connection came up.
    cuts: usize,
}

impl ScriptedHost {
    fn is_open(&self) -> bool {
        self.scripted.is_there(&self.name) && self.scripted.network().cuts(&self.name) == self.cuts
    }
}

impl Host for ScriptedHost {
    async fn call(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &[u8],
        _: u64,
    ) -> Result<Reply, RemoteError> {
        let trouble = self.scripted.next(&self.name, verb);
        let broken = || Err(RemoteError::Broken("broken pipe".into()));
        if !self.is_open() {
            sleep(SILENCE).await;
            return broken();
        }
        sleep(WAY).await;
        if trouble == Some(Trouble::Before) {
            return broken();
        }
        let call = Call {
            verb: verb.to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            stdin: String::from_utf8_lossy(stdin).into_owned(),
            late: trouble == Some(Trouble::Late),
        };
        // A host goes on with what it has heard of, whoever waits for it.
        let answer = tokio::spawn(call.at(self.scripted.clone(), self.name.clone()));
        if trouble == Some(Trouble::Within) {
            return broken();
        }
        let Ok(stdout) = answer.await else { return broken() };
        match trouble {
            Some(Trouble::After) => return broken(),
            Some(Trouble::Slow) => sleep(NEVER).await,
            _ => sleep(WAY).await,
        }
        if !self.is_open() {
            sleep(SILENCE).await;
            return broken();
        }
        Ok(Reply { stdout, stderr: String::new(), status: ExitStatus::from_raw(0) })
    }

    async fn is_awake(&self) -> bool {
        let trouble = self.scripted.next(&self.name, "awake");
        trouble.is_none() && self.is_open()
    }

    async fn close(self) {}
}

/// What a host has to do.
struct Call {
    verb: String,
    words: Vec<String>,
    stdin: String,
    late: bool,
}

impl Call {
    /// Does it.
    async fn at(self, scripted: Scripted, host: String) -> String {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        if let ("flip", [id, at, until]) = (self.verb.as_str(), &words[..]) {
            return self.flip(&scripted, &host, (id, at, until)).await;
        }
        let ["apply", id, limit] =
            [self.verb.as_str()].into_iter().chain(words.iter().copied()).collect::<Vec<_>>()[..]
        else {
            if self.late {
                let prepares = self.verb == "prepare";
                sleep(Duration::from_secs(if prepares { 65 } else { 25 })).await;
            }
            let now = scripted.now();
            let mut network = scripted.network();
            let machine = network.machine(&host, now);
            let answer = machine.answer(now, &self.verb, &words, &self.stdin);
            machine.full = None;
            return answer;
        };
        if self.late {
            let limit = limit.parse().unwrap_or_default();
            sleep(Duration::from_secs(limit) + Duration::from_secs(5)).await;
        }
        let now = scripted.now();
        let armed = scripted.network().machine(&host, now).arm(now, id, limit, &self.stdin);
        if let Err(refused) = armed {
            scripted.network().machine(&host, now).full = None;
            return format!("{refused}\n");
        }
        sleep(WORK).await;
        let now = scripted.now();
        let mut network = scripted.network();
        let machine = network.machine(&host, now);
        let answer = machine.work(now, id);
        machine.full = None;
        format!("{answer}\n")
    }

    /// Does what was prepared, at the moment of the host's clock.
    async fn flip(
        &self,
        scripted: &Scripted,
        host: &str,
        (id, at, until): (&str, &str, &str),
    ) -> String {
        if self.late {
            sleep(Duration::from_secs(25)).await;
        }
        sleep(moment(at).saturating_sub(scripted.now())).await;
        let now = scripted.now();
        let flipped = scripted.network().machine(host, now).flip(now, id, at, until);
        let late = match flipped {
            Ok(late) => late,
            Err(refused) => return format!("{refused}\n"),
        };
        sleep(WORK).await;
        let now = scripted.now();
        let mut network = scripted.network();
        let machine = network.machine(host, now);
        let answer = match machine.work(now, id) {
            Answer::Done => Answer::Flipped { late },
            failed => failed,
        };
        machine.full = None;
        format!("{answer}\n")
    }
}

//! Some hosts, the sessions between them, and what goes wrong on the way to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wgfleet::remote::Believe;
use wgfleet::sys::{Slept, Stop};

use super::machine::{Full, Machine, seconds};

/// How long a handshake takes.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// How long a machine takes to start again.
const BOOT: Duration = Duration::from_secs(20);

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection breaks before the host has heard of it.
    Before,
    /// The connection breaks while the host is at it, and the host goes on.
    Within,
    /// The connection breaks before the host's answer is there.
    After,
    /// The host's answer comes when nobody waits for it any more.
    Slow,
    /// The host hears of it when nobody waits for it any more.
    Late,
    /// Somebody else arms a change there just before.
    Busy,
    /// From now on nobody reaches the host.
    Gone,
    /// The host loses its power just before, and boots.
    Cut,
    /// Its disk is full.
    Full(Full),
}

impl Trouble {
    /// All that there is.
    pub(crate) const ALL: [Self; 11] = [
        Self::Before,
        Self::Within,
        Self::After,
        Self::Slow,
        Self::Late,
        Self::Busy,
        Self::Gone,
        Self::Cut,
        Self::Full(Full::Stage),
        Self::Full(Full::Operations),
        Self::Full(Full::Keep),
    ];

    /// Whether it can befall a call.
    pub(crate) fn befalls(self, verb: &str) -> bool {
        match (self, verb) {
            // Nothing leaves the controller for that.
            (_, "awake") => self == Self::Before,
            // A login is there or not.
            (Self::Within | Self::After | Self::Late, "connect") => false,
            (Self::Full(Full::Keep), _) => matches!(verb, "confirm" | "hold"),
            (Self::Full(Full::Stage), _) => matches!(verb, "apply" | "prepare"),
            (Self::Full(Full::Operations), _) => matches!(verb, "apply" | "flip"),
            _ => true,
        }
    }

    /// Whether the host can be asked again afterwards, and is what it was.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Before | Self::Within | Self::After | Self::Slow | Self::Late)
    }
}

/// One call that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// To which host.
    pub(crate) host: String,
    /// Which of all calls to it, from 0.
    pub(crate) at: usize,
    /// How.
    pub(crate) trouble: Trouble,
}

/// A login that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) believe: Believe,
}

/// How long the machine that controls them has slept, while its own waiting stood still.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nap(Arc<AtomicU64>);

impl Nap {
    pub(crate) fn meter(&self) -> Slept {
        let seconds = Arc::clone(&self.0);
        Slept::told_by(move || Duration::from_secs(seconds.load(Ordering::Relaxed)))
    }
}

/// Some hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) machines: BTreeMap<String, Machine>,
    /// Since when two ends would take each other's packets, by their public keys.
    agreed: BTreeMap<(String, String), Duration>,
    faults: Vec<Fault>,
    /// The verbs of all calls to each host.
    pub(crate) calls: BTreeMap<String, Vec<String>>,
    /// All logins that were tried.
    pub(crate) logins: Vec<Login>,
    /// The call at which a run is told to stop.
    stop: Option<(String, usize, Stop)>,
    /// When it was.
    pub(crate) stopped: Option<Duration>,
    /// The call at which the controller falls asleep, and for how long.
    nap: Option<(String, usize, Nap, u64)>,
    /// How long it has slept.
    pub(crate) slept: Duration,
    /// The verb at which another run takes a host.
    stolen: Option<(String, String, String)>,
    gone: BTreeSet<String>,
    /// When a machine that lost its power is there again.
    boots: BTreeMap<String, Duration>,
    /// How often each lost its power.
    cuts: BTreeMap<String, usize>,
}

impl Network {
    /// Machines with nothing on them.
    pub(crate) fn of(names: &[&str]) -> Self {
        let machines = names.iter().map(|name| ((*name).to_owned(), Machine::new(name)));
        Self { machines: machines.collect(), ..Self::default() }
    }

    /// The same with calls that fail.
    pub(crate) fn failing(&self, faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), ..self.clone() }
    }

    /// Nothing more goes wrong, and calls are counted anew.
    pub(crate) fn calm(&mut self) {
        self.faults.clear();
        self.calls.clear();
        self.gone.clear();
        self.boots.clear();
    }

    /// What befalls the next call to a host.
    pub(crate) fn next(&mut self, host: &str, verb: &str) -> Option<Trouble> {
        let calls = self.calls.entry(host.to_owned()).or_default();
        let at = calls.len();
        calls.push(verb.to_owned());
        let fault = self.faults.iter().find(|fault| fault.host == host && fault.at == at)?;
        Some(fault.trouble).filter(|trouble| trouble.befalls(verb))
    }

    /// A run is told to stop at some call to a host.
    pub(crate) fn stop_at(&mut self, host: &str, at: usize, stop: Stop) {
        self.stop = Some((host.to_owned(), at, stop));
    }

    /// Another run takes the lock of a host just before it is told something.
    pub(crate) fn steal_at(&mut self, host: &str, verb: &str, run: &str) {
        self.stolen = Some((host.to_owned(), verb.to_owned(), run.to_owned()));
    }

    /// The controller falls asleep at some call to a host.
    pub(crate) fn sleep_at(&mut self, host: &str, at: usize, nap: &Nap, seconds: u64) {
        self.nap = Some((host.to_owned(), at, nap.clone(), seconds));
    }

    /// Does so, where the newest call is that one.
    /// Gives for how many seconds the controller sleeps.
    pub(crate) fn strike_if_due(&mut self, host: &str, now: Duration) -> u64 {
        let calls = self.calls.get(host).map_or(0, Vec::len);
        let due = |(name, at, _): &mut (String, usize, Stop)| name == host && calls == *at + 1;
        if let Some((.., stop)) = self.stop.take_if(due) {
            stop.ask();
            self.stopped = Some(now);
        }
        let verb = self.calls.get(host).and_then(|calls| calls.last()).cloned();
        let due = |(name, at, _): &mut (String, String, String)| {
            name == host && Some(&*at) == verb.as_ref()
        };
        if let Some((_, _, run)) = self.stolen.take_if(due) {
            self.machine(host, now).locked_by(&run, now + Duration::from_mins(5));
        }
        let due = |(name, at, ..): &mut (String, usize, Nap, u64)| name == host && calls == *at + 1;
        if let Some((_, _, nap, seconds)) = self.nap.take_if(due) {
            nap.0.fetch_add(seconds, Ordering::Relaxed);
            self.slept += Duration::from_secs(seconds);
            return seconds;
        }
        0
    }

    /// Nobody reaches a host any more.
    pub(crate) fn lose(&mut self, host: &str) {
        self.gone.insert(host.to_owned());
    }

    /// A host loses its power.
    pub(crate) fn cut(&mut self, host: &str, now: Duration) {
        self.machine(host, now).cut();
        self.boots.insert(host.to_owned(), now + BOOT);
        *self.cuts.entry(host.to_owned()).or_default() += 1;
    }

    /// How often a host has lost its power: no connection outlives that.
    pub(crate) fn cuts(&self, host: &str) -> usize {
        self.cuts.get(host).copied().unwrap_or_default()
    }

    /// Whether a host can be reached.
    pub(crate) fn is_there(&self, host: &str, now: Duration) -> bool {
        !self.gone.contains(host) && self.boots.get(host).is_none_or(|boot| *boot <= now)
    }

    /// A machine as it is now.
    pub(crate) fn machine(&mut self, host: &str, now: Duration) -> &mut Machine {
        self.pass(now);
        self.machines.entry(host.to_owned()).or_insert_with(|| Machine::new(host))
    }

    /// What happens by itself until `now`: timers end, and ends that agree shake hands.
    fn pass(&mut self, now: Duration) {
        for machine in self.machines.values_mut() {
            machine.pass(now);
        }
        let pairs = self.pairs();
        let agreed: BTreeSet<_> = pairs.iter().map(|(_, _, keys)| keys.clone()).collect();
        self.agreed.retain(|keys, _| agreed.contains(keys));
        for (host, interface, keys) in pairs {
            let since = *self.agreed.entry(keys.clone()).or_insert(now);
            if now >= since + HANDSHAKE
                && let Some(machine) = self.machines.get_mut(&host)
            {
                machine.shaken.insert((interface, keys.1), seconds(now));
            }
        }
    }

    /// The ends that would take each other's packets: host, interface, own key and the other's.
    fn pairs(&self) -> Vec<(String, String, (String, String))> {
        let ends = || {
            self.machines.iter().flat_map(|(host, machine)| {
                machine.state.interfaces.iter().map(move |(name, own)| (host, name, own))
            })
        };
        let mut found = Vec::new();
        for (host, name, own) in ends().filter(|(.., own)| own.up) {
            for (_, _, other) in ends().filter(|(.., other)| other.up) {
                let (Some(one), Some(two)) = (&own.public, &other.public) else { continue };
                let (Some(there), Some(here)) = (own.peers.get(two), other.peers.get(one)) else {
                    continue;
                };
                if there.psk == here.psk {
                    found.push((host.clone(), name.clone(), (one.clone(), two.clone())));
                }
            }
        }
        found
    }
}

//! Paces logins, so that an sshd which many of them pass does not refuse any.
//!
//! sshd(8) counts the connections that have not logged in yet; with its default `MaxStartups`
//! (10:30:100) it refuses some from the tenth on. A gate stands before each such sshd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Logins at a time that pass one sshd: below the ten from which it refuses by default, with room for
/// others who log in there.
const MOST_LOGINS: usize = 8;

/// Logins that went well after which one more at a time is tried.
const GOOD_LOGINS: usize = 20;

/// What passes a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A login, until it is done.
    Login,
    /// A change of a host, until it is confirmed or rolled back. There are as many of them at a time
    /// as logins, so that a confirming login never waits for others'.
    Change,
}

/// What an sshd takes at a time.
#[derive(Debug)]
struct Gate {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    /// Logins at a time.
    limit: usize,
    logins: usize,
    changes: usize,
    /// Logins that went well since `limit` was set.
    good: usize,
    /// How often `limit` was lowered: the refusals of one burst lower it once.
    era: u64,
}

impl Gate {
    fn new() -> Self {
        let state = State { limit: MOST_LOGINS, logins: 0, changes: 0, good: 0, era: 0 };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }

    fn try_enter(&self, kind: Kind) -> Option<u64> {
        let mut state = self.state.lock();
        let limit = state.limit;
        let count = state.count(kind);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(state.era)
    }

    async fn enter(self: Arc<Self>, kind: Kind) -> Pass {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on nothing that is freed is missed.
            freed.as_mut().enable();
            if let Some(era) = self.try_enter(kind) {
                return Pass { gate: Arc::clone(&self), kind, era };
            }
            freed.await;
        }
    }
}

impl State {
    fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Login => &mut self.logins,
            Kind::Change => &mut self.changes,
        }
    }
}

/// Somebody behind a gate; dropped, it makes room.
#[derive(Debug)]
struct Pass {
    gate: Arc<Gate>,
    kind: Kind,
    era: u64,
}

impl Drop for Pass {
    fn drop(&mut self) {
        *self.gate.state.lock().count(self.kind) -= 1;
        self.gate.freed.notify_waiters();
    }
}

/// A way through all gates of a route; dropped, it makes room.
#[derive(Debug)]
#[must_use]
pub struct Passage(Vec<Pass>);

impl Passage {
    /// The login went well: after many, the gates take one more at a time.
    pub(super) fn accepted(&self) {
        for pass in &self.0 {
            let mut state = pass.gate.state.lock();
            state.good += 1;
            if state.good >= GOOD_LOGINS && state.limit < MOST_LOGINS {
                (state.limit, state.good) = (state.limit + 1, 0);
                drop(state);
                pass.gate.freed.notify_waiters();
            }
        }
    }

    /// An sshd refused the connection: half as many at a time, once for each burst.
    pub(super) fn refused(&self) {
        for pass in &self.0 {
            let mut state = pass.gate.state.lock();
            if state.era == pass.era {
                state.limit = (state.limit.min(state.logins) / 2).max(1);
                (state.good, state.era) = (0, state.era + 1);
            }
        }
    }
}

/// All gates of a run, by what they stand before.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<BTreeMap<String, Arc<Gate>>>);

impl Gates {
    /// Waits until there is room behind each of `gates`, named by what they stand before.
    pub(super) async fn enter(&self, gates: &BTreeSet<String>, kind: Kind) -> Passage {
        let mut passes = Vec::with_capacity(gates.len());
        // Always in the same order, so that nobody waits for one another.
        for name in gates {
            let gate = {
                let mut all = self.0.lock();
                Arc::clone(all.entry(name.clone()).or_insert_with(|| Arc::new(Gate::new())))
            };
            passes.push(gate.enter(kind).await);
        }
        Passage(passes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gates(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn is_full(all: &Gates, names: &BTreeSet<String>, kind: Kind) -> bool {
        tokio::time::timeout(Duration::from_millis(20), all.enter(names, kind)).await.is_err()
    }

    async fn some(all: &Gates, names: &BTreeSet<String>, kind: Kind, count: usize) -> Vec<Passage> {
        let mut passages = Vec::new();
        for _ in 0..count {
            passages.push(all.enter(names, kind).await);
        }
        passages
    }

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn a_gate_takes_so_many_and_what_leaves_makes_room() {
        run(async {
            let all = Gates::default();
            let (one, two) = (gates(&["jump", "a"]), gates(&["jump", "b"]));
            let first = some(&all, &one, Kind::Login, MOST_LOGINS - 1).await;
            let second = some(&all, &two, Kind::Login, 1).await;
            assert!(is_full(&all, &one, Kind::Login).await);
            // Changes are counted apart.
            let jump = gates(&["jump"]);
            let changes = some(&all, &jump, Kind::Change, MOST_LOGINS).await;
            assert!(is_full(&all, &jump, Kind::Change).await);
            drop((first, second));
            assert!(!is_full(&all, &one, Kind::Login).await);
            drop(changes);
        });
    }

    #[test]
    fn a_burst_of_refusals_halves_once_and_good_logins_bring_it_back() {
        run(async {
            let (all, jump) = (Gates::default(), gates(&["jump"]));
            let burst = some(&all, &jump, Kind::Login, MOST_LOGINS).await;
            burst.iter().for_each(Passage::refused);
            drop(burst);
            let half = some(&all, &jump, Kind::Login, MOST_LOGINS / 2).await;
            assert!(is_full(&all, &jump, Kind::Login).await);
            for _ in 0..GOOD_LOGINS {
                half[0].accepted();
            }
            assert!(!is_full(&all, &jump, Kind::Login).await, "one more");
            drop(half);
            // It never becomes none, whatever happens.
            for _ in 0..9 {
                all.enter(&jump, Kind::Login).await.refused();
            }
            drop(all.enter(&jump, Kind::Login).await);
        });
    }

    #[test]
    fn opposite_routes_do_not_wait_for_one_another() {
        run(async {
            let all = Gates::default();
            let (one, two) = (gates(&["a", "b"]), gates(&["b", "a"]));
            let taken = some(&all, &one, Kind::Login, MOST_LOGINS - 1).await;
            let through = async |names: &BTreeSet<String>| {
                for _ in 0..50 {
                    let passage = all.enter(names, Kind::Login).await;
                    tokio::task::yield_now().await;
                    drop(passage);
                }
            };
            tokio::time::timeout(Duration::from_secs(5), async {
                tokio::join!(through(&one), through(&two))
            })
            .await
            .unwrap();
            drop(taken);
        });
    }
}

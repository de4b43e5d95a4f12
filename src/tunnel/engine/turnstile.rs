//! One at a time through the entrance, all at once inside, and out in the order they came.
//!
//! Threads that share a queue read it one after the other, encrypt side by side, and pass on what
//! they made in the order in which it was read. Nothing moves from one thread to another: each keeps
//! its own buffers, and all that is exchanged is a number for each read.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How often a thread looks whether it is its turn before it sleeps: about as long as waking it
/// would take.
const LOOKS: u32 = 128;

/// Where the threads of one queue take turns.
///
/// Its locks are outside of all others: whoever waits here holds none.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    /// The number of the next ticket.
    entrance: Mutex<u64>,
    /// The number of the ticket whose turn it is; only changed under the lock of `exit`.
    turn: AtomicU64,
    exit: Mutex<()>,
    passed: Condvar,
}

/// When what needs an order may be done.
pub(super) trait Turn {
    /// Waits until everything that was read earlier is done.
    fn wait(&mut self);
}

/// The only thread of a queue: it is always its turn.
pub(super) struct Alone;

impl Turn for Alone {
    fn wait(&mut self) {}
}

/// The right to read; nobody else has it meanwhile.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    turnstile: &'t Turnstile,
    next: MutexGuard<'t, u64>,
}

/// A place in the order. When it is dropped, however that comes, the next one has its turn; if
/// earlier ones are not done yet, it waits for them first.
#[derive(Debug)]
pub(super) struct Ticket<'t> {
    turnstile: &'t Turnstile,
    number: u64,
}

impl Turnstile {
    /// Waits until nobody else reads.
    pub(super) fn enter(&self) -> Entry<'_> {
        Entry { turnstile: self, next: self.entrance.lock() }
    }

    /// Waits for the turn of a number.
    fn wait(&self, number: u64) {
        let is_up = || self.turn.load(Ordering::Acquire) == number;
        for _ in 0..LOOKS {
            if is_up() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut exit = self.exit.lock();
        while !is_up() {
            self.passed.wait(&mut exit);
        }
    }
}

impl<'t> Entry<'t> {
    /// Lets the next thread read, and takes a place behind all who left before.
    pub(super) fn leave(mut self) -> Ticket<'t> {
        let number = *self.next;
        *self.next += 1;
        Ticket { turnstile: self.turnstile, number }
    }
}

impl Turn for Entry<'_> {
    /// Until the entry is left, nobody comes later.
    fn wait(&mut self) {
        self.turnstile.wait(*self.next);
    }
}

impl Turn for Ticket<'_> {
    fn wait(&mut self) {
        self.turnstile.wait(self.number);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.wait();
        let exit = self.turnstile.exit.lock();
        self.turnstile.turn.store(self.number + 1, Ordering::Release);
        drop(exit);
        // All of them: who of the few waits for this number is not known.
        self.turnstile.passed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// What a thread does with what it read.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Works for so long, then waits for its turn.
        Work(u32),
        /// Does what it has to do while it is still inside.
        Inside,
        /// Leaves without having waited.
        GiveUp,
        Panic,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0_u32..3000).prop_map(Step::Work),
            2 => Just(Step::Inside),
            1 => Just(Step::GiveUp),
            1 => Just(Step::Panic),
        ]
    }

    /// Takes the steps with so many threads; gives the numbers of those that came to their turn.
    fn run(steps: &[Step], threads: usize) -> Vec<usize> {
        let turnstile = Turnstile::default();
        let (source, out) = (Mutex::new(steps.iter().enumerate()), Mutex::new(Vec::new()));
        let once = || -> bool {
            let mut entry = turnstile.enter();
            let Some((number, step)) = source.lock().next() else { return false };
            if matches!(step, Step::Inside) {
                entry.wait();
                out.lock().push(number);
                return true;
            }
            let mut ticket = entry.leave();
            match step {
                Step::Work(looks) => (0..*looks).for_each(|_| std::hint::spin_loop()),
                Step::GiveUp | Step::Inside => return true,
                // Without the hook, which would print.
                Step::Panic => std::panic::resume_unwind(Box::new("as it was told")),
            }
            ticket.wait();
            out.lock().push(number);
            true
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| while catch_unwind(AssertUnwindSafe(once)).unwrap_or(true) {});
            }
        });
        assert_eq!(turnstile.turn.load(Ordering::Relaxed), *turnstile.entrance.lock());
        out.into_inner()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever some of them do, the others come out in their order, and none is missing.
        #[test]
        fn who_comes_first_leaves_first(
            steps in proptest::collection::vec(step(), 0..400),
            threads in 1_usize..6,
        ) {
            let expected: Vec<_> = steps
                .iter()
                .enumerate()
                .filter(|(_, step)| matches!(step, Step::Work(_) | Step::Inside))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(run(&steps, threads), expected);
        }
    }

    #[test]
    fn a_panic_while_reading_takes_no_number() {
        let turnstile = Turnstile::default();
        let read = || {
            let _entry = turnstile.enter();
            std::panic::resume_unwind(Box::new("as it was told"));
        };
        assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
        let mut ticket = turnstile.enter().leave();
        ticket.wait();
        assert_eq!(ticket.number, 0);
    }
}

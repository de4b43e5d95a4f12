//! A run that is told to end in the middle: by Ctrl-C, by a CI job that is cancelled, or because its
//! terminal is gone.

use std::io::Write as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CommandError, CommandResult, Exit};
use crate::sys::{Stop, ignores_hangup};

/// Does `work` until SIGINT, SIGTERM or SIGHUP comes. Work that heeds `stop` then rolls back what is not
/// confirmed, and says how it went; a second signal leaves that to the hosts' timers. Other work ends at
/// once. `hint` says how to go on.
pub(super) async fn stoppable(
    work: impl Future<Output = CommandResult>,
    stop: &Stop,
    hint: &str,
) -> CommandResult {
    let mut signals = Signals::heard()?;
    let mut work = Box::pin(work);
    tokio::select! {
        done = &mut work => return done,
        () = signals.next() => {}
    }
    if !stop.is_heeded() {
        return Err(nothing_touched());
    }
    // Whoever hung up does not read it.
    let _ = writeln!(
        anstream::stderr(),
        "interrupted: rolling back what is not confirmed; interrupt again to leave that to the hosts' timers"
    );
    stop.ask();
    tokio::select! {
        done = &mut work => done,
        () = signals.next() => Err(CommandError::message(
            Exit::Interrupted,
            "interrupted twice; hosts whose change was not confirmed roll it back by themselves",
        )
        .hint(hint)),
    }
}

/// Does work that changes no host until a signal comes.
pub(super) async fn before_anything<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let mut signals = Signals::heard()?;
    tokio::select! {
        done = work => done,
        () = signals.next() => Err(nothing_touched()),
    }
}

fn nothing_touched() -> CommandError {
    CommandError::message(Exit::Interrupted, "interrupted; nothing was touched")
}

/// The signals that end a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` for a run that is to go on without its terminal, as below nohup(1).
    hangup: Option<Signal>,
}

impl Signals {
    fn heard() -> std::io::Result<Self> {
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

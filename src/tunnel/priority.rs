//! Who goes first where processors are busy.
//!
//! The threads that receive from peers, and the one for packets that must not wait, run before
//! whatever else wants a processor, as the kernel's own network code does: what they leave lying
//! becomes a queue, and each packet of it a delay. Threads inherit the nice value of the one that
//! starts them, so the process is raised while it may, and threads for streams step back.

use rustix::process::{getpriority_process, setpriority_process};

/// The nice value of such a thread.
const NICE: i32 = -10;

/// Raises this thread and those that it will start, unless somebody has said how nice it shall be.
/// Where it is not allowed, nothing but delay suffers.
pub(super) fn raise() {
    if getpriority_process(None) == Ok(0)
        && let Err(error) = setpriority_process(None, NICE)
    {
        tracing::debug!("no thread goes before others: {error}");
    }
}

/// Takes this thread back to where processes are.
pub(super) fn step_back() {
    let is_raised = getpriority_process(None).is_ok_and(|nice| nice < 0);
    if is_raised && let Err(error) = setpriority_process(None, 0) {
        tracing::debug!("a thread for streams goes before others: {error}");
    }
}

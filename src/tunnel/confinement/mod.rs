//! What the process of a tunnel gives up before its first packet, for good.
//!
//! By then the interface and the socket are there, and what is left to do needs little: new UDP
//! sockets with their mark and port, answers to wg(8), and two files to be removed in the end. Each
//! thread that is started afterwards inherits what is left; so this is done while there is only one.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls;
mod capabilities;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::time::ClockId;

use super::priority;

/// Keys stay out of core files, of the swap's dumps and of other users' debuggers. Before any key
/// is there.
///
/// # Errors
/// Where the system refuses, which it has no reason to.
pub(super) fn guard_secrets() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

/// What the process can still reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only what is in the folder; it is the root now.
    Folder,
    /// Every file, as before.
    Everything,
}

/// Leaves this thread, and those that it starts, with what a running tunnel needs: `folder` for a
/// root, two capabilities, and the system calls of a list.
///
/// A process that was started with less than root has goes on with what it was given, and a kernel
/// without seccomp goes without: both are told at debug level.
///
/// # Errors
/// Where capabilities cannot be given up, which needs no privilege.
pub(super) fn confine(folder: &Path) -> io::Result<Reach> {
    look_up();
    priority::raise();
    let reach = enter(folder);
    capabilities::give_up()?;
    rustix::thread::set_no_new_privs(true)?;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if let Err(error) = filter::install() {
        tracing::debug!("system calls are not filtered: {error}");
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    tracing::debug!("system calls are not filtered: there is no list for this processor");
    Ok(reach)
}

/// Lets libraries find out now what they find out once, from files that are out of reach afterwards:
/// where the kernel's clock can be read without a call, and where random bytes come from.
fn look_up() {
    for clock in [ClockId::Boottime, ClockId::Realtime] {
        let _ = rustix::time::clock_gettime(clock);
    }
    // Who needs them will ask again, and say what is wrong.
    let _ = getrandom::fill(&mut [0]);
}

/// Makes a folder the root: root's own files would be open to uid 0 without any capability.
fn enter(folder: &Path) -> Reach {
    let entered = rustix::process::chdir(folder)
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    match entered {
        Ok(()) => Reach::Folder,
        Err(error) => {
            tracing::debug!("every file stays in reach: {error}");
            Reach::Everything
        }
    }
}

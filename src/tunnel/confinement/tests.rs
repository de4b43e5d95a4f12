//! Forbidden calls, in a confined thread of the test's own.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use super::{capabilities, filter};

/// What `work` finds in a thread that is confined as a tunnel is; the other threads stay free.
fn confined<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        super::look_up();
        capabilities::give_up().unwrap();
        rustix::thread::set_no_new_privs(true).unwrap();
        filter::install().unwrap();
        work()
    });
    thread.join().unwrap()
}

#[test]
fn files_programs_and_other_processes_are_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written");
    let written = path.clone();
    confined(move || {
        let denied = |what: &str, kind: Option<ErrorKind>| {
            assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{what}");
        };
        denied("writing", fs::write(&written, "no").err().map(|error| error.kind()));
        denied("reading", fs::read("/proc/version").err().map(|error| error.kind()));
        denied("a folder", fs::read_dir("/").err().map(|error| error.kind()));
        denied("a name", fs::rename("/nonesuch", &written).err().map(|error| error.kind()));
        denied("a program", Command::new("/bin/true").spawn().err().map(|error| error.kind()));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0");
        denied("TCP", tcp.err().map(|error| error.kind()));
        let unix = std::os::unix::net::UnixDatagram::unbound();
        denied("a Unix socket", unix.err().map(|error| error.kind()));
        let own = rustix::process::getpid();
        let signal = rustix::process::kill_process(own, rustix::process::Signal::CONT);
        denied("a signal", signal.err().map(rustix::io::Errno::kind));
        let place = rustix::process::setpriority_process(Some(own), 1);
        denied("another thread's place", place.err().map(rustix::io::Errno::kind));
        rustix::process::setpriority_process(None, 1).expect("the own place is free");
        let root = rustix::process::chroot("/");
        denied("another root", root.err().map(rustix::io::Errno::kind));
        let privileges = rustix::thread::set_capabilities(
            None,
            rustix::thread::capabilities(None).unwrap_or(rustix::thread::CapabilitySets {
                effective: capabilities::KEPT,
                permitted: capabilities::KEPT,
                inheritable: capabilities::KEPT,
            }),
        );
        denied("privileges", privileges.err().map(rustix::io::Errno::kind));
        denied("ptrace", trace().err().map(|error| error.kind()));
        denied("code", executable_memory().err().map(|error| error.kind()));
        denied("another namespace", unshare().err().map(|error| error.kind()));
    });
    assert!(!path.exists());
}

#[test]
fn what_a_tunnel_does_goes_on() {
    let (thread, (socket, random)) = confined(|| {
        let inner = std::thread::Builder::new().name("inner".to_owned()).spawn(|| {
            // A panic ends a thread, not the process.
            let status = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1)));
            status.is_err()
        });
        let sockets = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.try_clone()
        });
        let random = getrandom::fill(&mut [0; 32]);
        (inner.unwrap().join().unwrap(), (sockets.map(drop), random))
    });
    assert!(thread);
    socket.unwrap();
    random.unwrap();
}

fn outcome(returned: nix::libc::c_long) -> std::io::Result<()> {
    if returned < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "nothing safe asks to be traced")]
fn trace() -> std::io::Result<()> {
    // SAFETY: PTRACE_TRACEME takes no pointer.
    outcome(unsafe { nix::libc::ptrace(nix::libc::PTRACE_TRACEME) })
}

#[expect(unsafe_code, reason = "nothing safe makes memory executable")]
fn executable_memory() -> std::io::Result<()> {
    let (none, exec) = (std::ptr::null_mut(), nix::libc::PROT_READ | nix::libc::PROT_EXEC);
    let kind = nix::libc::MAP_PRIVATE | nix::libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
    let mapped = unsafe { nix::libc::mmap(none, 4096, exec, kind, -1, 0) };
    outcome(if mapped == nix::libc::MAP_FAILED { -1 } else { 0 })
}

#[expect(unsafe_code, reason = "rustix calls it unsafe, for what other threads see")]
fn unshare() -> std::io::Result<()> {
    // SAFETY: a network namespace has nothing to do with memory or open descriptors.
    let outcome = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) };
    Ok(outcome?)
}

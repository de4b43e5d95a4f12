//! Network namespaces that are kept by a file, and work within them.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::fd::AsFd as _;
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::LabError;
use super::error::Tried as _;

/// Makes a network namespace and pins it to `pin`.
pub(super) fn create(pin: &Path) -> Result<(), LabError> {
    File::create(pin).tried(|| format!("create {}", pin.display()))?;
    let mut net = std::ffi::OsString::from("--net=");
    net.push(pin);
    run(Command::new("unshare").arg(net).arg("true"), "unshare", &[])
}

/// Lets go of a pinned namespace: it is gone with the last process in it.
pub(super) fn remove(pin: &Path) -> io::Result<()> {
    loop {
        match unmount(pin, UnmountFlags::DETACH) {
            Ok(()) => {}
            // Not a mount any more, or `create` was interrupted between its steps.
            Err(rustix::io::Errno::INVAL) => return fs::remove_file(pin),
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Moves this thread into a pinned namespace, for good.
pub(super) fn enter(pin: &Path) -> Result<(), LabError> {
    let file = File::open(pin).tried(|| format!("open {}", pin.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .tried(|| format!("enter {}", pin.display()))
}

/// Does `work` in a pinned namespace, on a thread of its own, as a thread cannot be trusted to
/// come back.
pub(super) fn within<T: Send>(
    pin: &Path,
    work: impl FnOnce() -> Result<T, LabError> + Send,
) -> Result<T, LabError> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(pin)?;
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `ip -batch` over lines, in this thread's namespace.
pub(super) fn ip(lines: &[String]) -> Result<(), LabError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut batch = lines.join("\n");
    batch.push('\n');
    run(Command::new("ip").args(["-batch", "-"]), "ip -batch", batch.as_bytes())
}

/// Loads rules into this thread's namespace.
pub(super) fn nft(rules: &str) -> Result<(), LabError> {
    run(Command::new("nft").args(["-f", "-"]), "nft", rules.as_bytes())
}

/// Sets a parameter below /proc/sys/net, in this thread's namespace.
pub(super) fn sysctl(name: &str, value: &str) -> Result<(), LabError> {
    let path = Path::new("/proc/sys/net").join(name);
    fs::write(&path, value).tried(|| format!("write {}", path.display()))
}

/// Runs a program to its end, with `input`, and keeps what it says for the error.
pub(super) fn run(command: &mut Command, what: &str, input: &[u8]) -> Result<(), LabError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .tried(|| format!("run {what}"))?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The program has ended early; what it says on standard error is the better reason.
        child.kill().tried(|| format!("stop {what}"))?;
    }
    let output = child.wait_with_output().tried(|| format!("wait for {what}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LabError::Program { what: what.to_owned(), said })
}

/// What tells one network namespace from all others: device and inode of its file.
pub(super) type NetworkId = (u64, u64);

fn id_of(there: &Metadata) -> NetworkId {
    (there.dev(), there.ino())
}

/// The namespace that a file pins.
pub(super) fn network_of(pin: &Path) -> Option<NetworkId> {
    fs::metadata(pin).ok().map(|there| id_of(&there))
}

/// The namespace of a process.
pub(super) fn network_of_process(pid: u32) -> Option<NetworkId> {
    network_of(Path::new(&format!("/proc/{pid}/ns/net")))
}

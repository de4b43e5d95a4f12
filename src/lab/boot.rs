//! The outer half of a host's start: out of this process's surroundings, into new namespaces.

use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use rustix::io::FdFlags;

use super::error::Tried as _;
use super::folder::Folder;
use super::spec::{Init, Node};
use super::{LabError, cgroup, netns};
use crate::model::HostName;

/// Starts the processes of one host and returns at once: they are no children of whoever raises
/// the lab. Called through the hidden `wgfleet lab boot`, in a process of its own.
///
/// # Errors
/// [`LabError`] where a namespace cannot be entered or `unshare` cannot be started.
pub fn boot(dir: &Path, index: usize, name: &HostName, init: Init) -> Result<(), LabError> {
    keep_inherited().tried(|| "look at what is open".to_owned())?;
    rustix::process::setsid().tried(|| "begin a session".to_owned())?;
    let folder = Folder::at(dir.to_owned());
    let node = Node::Host(index);
    if let Some(lab) = dir.file_name().and_then(|lab| lab.to_str()?.parse().ok())
        && let Some(leaf) = cgroup::leaf(&lab, &node.id())
    {
        cgroup::join(&leaf).tried(|| format!("enter {}", leaf.display()))?;
    }
    netns::enter(&folder.pin(node))?;
    let program = std::env::current_exe().tried(|| "find this program".to_owned())?;
    Command::new("unshare")
        .args(["-m", "-u", "-i", "-p", "-C", "-f", "--"])
        .arg(program)
        .args(["lab", "init", "--dir"])
        .arg(dir)
        .args(["--index", &index.to_string(), "--init", init.as_str()])
        .arg(name.as_str())
        .stdin(Stdio::null())
        .spawn()
        .tried(|| "run unshare".to_owned())?;
    Ok(())
}

/// Keeps what this process was given beside its standard streams from its children: a host must
/// not hold a lock, a pipe or a socket of whoever raised the lab open for as long as it runs.
fn keep_inherited() -> io::Result<()> {
    let listing = fs::read_dir("/proc/self/fd")?;
    let open = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for fd in open.filter(|fd| *fd > 2) {
        #[expect(unsafe_code, reason = "inherited descriptors have no owner to borrow from")]
        // SAFETY: the descriptor is open, as it has just been listed and this process, which has
        // one thread, closes none of them while the listing is; it is borrowed for one call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

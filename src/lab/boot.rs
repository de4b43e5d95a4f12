//! The outer half of a host's start: out of this process's surroundings, into new namespaces.

use std::fs;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::Tried as _;
use super::spec::{Init, Node};
use super::state::Folder;
use super::{LabError, cgroup, netns};
use crate::model::HostName;

/// Where a host looks for programs.
pub(super) const FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The same for its environment.
pub(super) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the processes of one host and returns at once: they are no children of whoever raises
/// the lab. Called through the hidden `wgfleet lab boot`, in a process of its own.
///
/// # Errors
/// [`LabError`] where a namespace cannot be entered or `unshare` cannot be started.
pub fn boot(dir: &Path, index: usize, name: &HostName, init: Init) -> Result<(), LabError> {
    close_inherited();
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

/// Closes what this process was given beside its standard streams: a host must not keep a lock, a
/// pipe or a socket of whoever raised the lab open for as long as it runs.
fn close_inherited() {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The one that listed the folder is closed by now.
        if fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err() {
            continue;
        }
        #[expect(unsafe_code, reason = "inherited descriptors have no owner to drop")]
        // SAFETY: this process has just started, has one thread and owns no descriptor beside its
        // standard streams, so what is open now was inherited and nothing else refers to it.
        unsafe {
            rustix::io::close(fd);
        }
    }
}

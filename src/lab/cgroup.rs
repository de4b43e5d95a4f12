//! A branch of the cgroup tree for each lab, with a leaf for each host.
//!
//! No controller is needed: the branch ends everything in it at once (`cgroup.kill`), and
//! `cpu.stat` of a leaf is the exact CPU time of one host. A machine without a writable cgroup v2
//! does without.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::model::FleetName;

/// `f_type` of cgroup v2 (`CGROUP2_SUPER_MAGIC` in linux/magic.h).
const MAGIC: u64 = 0x6367_7270;

/// The branch of all labs; `None` without cgroup v2.
fn root() -> Option<PathBuf> {
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let unified = |path: &&&str| {
        rustix::fs::statfs(**path)
            .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|t| t == MAGIC))
    };
    mounts.iter().find(unified).map(|mount| Path::new(mount).join("wgfleet-lab"))
}

/// Makes the leaf of a host; `None` where the machine has none to give.
pub(super) fn leaf(lab: &FleetName, id: &str) -> Option<PathBuf> {
    let leaf = root()?.join(lab.as_str()).join(id);
    fs::create_dir_all(&leaf).ok().map(|()| leaf)
}

/// Moves this process into a leaf.
pub(super) fn join(leaf: &Path) -> std::io::Result<()> {
    fs::write(leaf.join("cgroup.procs"), "0")
}

/// Ends everything in a host's leaf, or in a whole lab's branch.
pub(super) fn kill(lab: &FleetName, id: Option<&str>) {
    let Some(root) = root() else { return };
    let branch = root.join(lab.as_str());
    let branch = id.map_or(branch.clone(), |id| branch.join(id));
    // Missing before Linux 5.14: the namespaces say what is left.
    let _ = fs::write(branch.join("cgroup.kill"), "1");
}

/// Removes a lab's branch; what has just been killed may hold it for a moment.
pub(super) fn remove(lab: &FleetName) -> std::io::Result<()> {
    let Some(root) = root() else { return Ok(()) };
    let branch = root.join(lab.as_str());
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match prune(&branch) {
            Ok(()) => break,
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(Duration::from_millis(10)),
        }
    }
    // Succeeds where no other lab is left.
    let _ = fs::remove_dir(root);
    Ok(())
}

/// Removes a branch of empty groups, leaves first.
fn prune(branch: &Path) -> std::io::Result<()> {
    if !branch.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(branch)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            prune(&entry.path())?;
        }
    }
    fs::remove_dir(branch)
}

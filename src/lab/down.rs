//! Taking a lab down, however far it came up.

use std::collections::HashSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::folder::Folder;
use super::netns::{NetworkId, network_of};
use super::power::end_all_in;
use super::state::{Lab, LabLock};
use super::{LabError, cgroup, limits, machine, netns};
use crate::model::FleetName;

/// How long the kernel may take to let go of what dead processes held.
const PATIENCE: Duration = Duration::from_secs(10);

impl Lab {
    /// Removes everything that a lab of this name has made, also after a crash, and nothing else;
    /// returns whether there was anything.
    ///
    /// # Errors
    /// [`LabError::Held`] where something would not go away; asking again goes on from there.
    pub fn down(name: &FleetName) -> Result<bool, LabError> {
        machine::root()?;
        let lock = LabLock::of(name)?;
        let there = Folder::of(name).path().exists();
        remove(name)?;
        lock.remove()?;
        Ok(there)
    }
}

/// Removes a lab whose lock is held.
pub(super) fn remove(name: &FleetName) -> Result<(), LabError> {
    let dir = Folder::of(name);
    let held = |what: String| LabError::Held { name: name.to_string(), what };
    let deadline = Instant::now() + PATIENCE;
    // An `up` that was killed may have left a child that still makes something: again until the
    // tmpfs, which holds all of it, goes.
    loop {
        cgroup::kill(name, None);
        let pins: Vec<_> = fs::read_dir(dir.pins()).into_iter().flatten().flatten().collect();
        let pins: Vec<_> = pins.iter().map(fs::DirEntry::path).collect();
        let networks: HashSet<NetworkId> = pins.iter().filter_map(|pin| network_of(pin)).collect();
        let left = end_all_in(&networks);
        if !left.is_empty() {
            return Err(held(format!("processes {left:?} do not end")));
        }
        let held_pin = pins.iter().find_map(|pin| netns::remove(pin).err().map(|e| (pin, e)));
        // Whoever had a pin open before it went.
        end_all_in(&networks);
        match held_pin {
            // Pinned again meanwhile.
            Some(_) if Instant::now() < deadline => continue,
            Some((pin, error)) => return Err(held(format!("{}: {error}", pin.display()))),
            None => {}
        }
        match unmount(dir.path(), UnmountFlags::empty()) {
            // There may be one mount over another.
            Ok(()) => {}
            // Not a mount (any more), or nothing there.
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(Errno::BUSY) if Instant::now() < deadline => sleep(Duration::from_millis(10)),
            Err(error) => return Err(held(format!("its tmpfs: {error}"))),
        }
    }
    cgroup::remove(name).map_err(|error| held(format!("its cgroups: {error}")))?;
    match fs::remove_dir(dir.path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(held(format!("{}: {error}", dir.path().display())));
        }
        _ => {}
    }
    limits::release(name)
}

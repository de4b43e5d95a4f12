//! Limits of the whole machine that a big lab exceeds, raised while any lab is up.
//!
//! Neighbour entries are counted over all network namespaces (a mesh of 100 hosts needs some
//! 10,000; the default of 1,024 loses packets), and inotify instances over all processes of root
//! (a systemd takes four; the default of 128 ends at 31 hosts).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LabError;
use super::error::Tried as _;
use super::folder::STATE_ROOT;
use super::state::LabLock;
use crate::model::FleetName;
use crate::sys::{Mode, read_limited, write_atomic};

/// The limits, with what a lab of some hundred hosts needs.
const LIMITS: [(&str, u64); 7] = [
    ("net/ipv4/neigh/default/gc_thresh1", 32_768),
    ("net/ipv4/neigh/default/gc_thresh2", 65_536),
    ("net/ipv4/neigh/default/gc_thresh3", 131_072),
    ("net/ipv6/neigh/default/gc_thresh1", 32_768),
    ("net/ipv6/neigh/default/gc_thresh2", 65_536),
    ("net/ipv6/neigh/default/gc_thresh3", 131_072),
    ("fs/inotify/max_user_instances", 8_192),
];

/// Who needs raised limits, and what they were before the first one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    labs: BTreeSet<FleetName>,
    before: BTreeMap<String, u64>,
}

fn record() -> PathBuf {
    Path::new(STATE_ROOT).join(".limits")
}

fn load() -> Result<Raised, LabError> {
    let path = record();
    if !path.exists() {
        return Ok(Raised::default());
    }
    let bytes = read_limited(&path, 1 << 20)?;
    serde_json::from_slice(&bytes).map_err(|source| LabError::State { path, source })
}

fn store(raised: &Raised) -> Result<(), LabError> {
    let path = record();
    let text = serde_json::to_vec(raised)
        .map_err(|source| LabError::State { path: path.clone(), source })?;
    Ok(write_atomic(&path, &text, Mode::Private)?)
}

fn file(limit: &str) -> PathBuf {
    Path::new("/proc/sys").join(limit)
}

/// Raises the limits for a lab.
///
/// A machine that refuses (a container whose /proc/sys is read-only) keeps its limits: small labs
/// do well with them.
pub(super) fn raise(lab: &FleetName) -> Result<(), LabError> {
    let lock = LabLock::take(".lock")?;
    let mut raised = load()?;
    raised.labs.insert(lab.clone());
    for (limit, least) in LIMITS {
        let Ok(text) = fs::read_to_string(file(limit)) else { continue };
        let Ok(now) = text.trim().parse::<u64>() else { continue };
        if now < least {
            raised.before.entry(limit.to_owned()).or_insert(now);
        }
    }
    // On disk before anything is touched, so that a crash cannot lose what it was.
    store(&raised)?;
    for (limit, least) in LIMITS {
        if raised.before.contains_key(limit) {
            let _ = fs::write(file(limit), least.to_string());
        }
    }
    drop(lock);
    Ok(())
}

/// Puts the limits back where no other lab is left.
pub(super) fn release(lab: &FleetName) -> Result<(), LabError> {
    let lock = LabLock::take(".lock")?;
    let mut raised = load()?;
    raised.labs.remove(lab);
    // A lab whose folder is gone cannot hold anything.
    raised.labs.retain(|lab| Path::new(STATE_ROOT).join(lab.as_str()).exists());
    if !raised.labs.is_empty() {
        return store(&raised);
    }
    for (limit, least) in LIMITS {
        let Some(before) = raised.before.get(limit) else { continue };
        let now = fs::read_to_string(file(limit)).ok().and_then(|now| now.trim().parse().ok());
        // What somebody else has set since is theirs.
        if now == Some(least) {
            let path = file(limit);
            fs::write(&path, before.to_string())
                .tried(|| format!("put {} back", path.display()))?;
        }
    }
    if record().exists() {
        fs::remove_file(record()).tried(|| format!("remove {}", record().display()))?;
    }
    // Drafts of the record whose writer was killed; nobody else writes while the lock is held.
    for entry in fs::read_dir(STATE_ROOT).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".wgfleet-") {
            let path = entry.path();
            fs::remove_file(&path).tried(|| format!("remove {}", path.display()))?;
        }
    }
    lock.remove()
}

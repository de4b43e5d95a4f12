//! What whoever runs a command may want to know beside its result.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::HostName;

/// Something worth saying that is no failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Notice {
    /// Tunnel addresses were allocated and pinned.
    Pinned {
        /// The lock file.
        lock: PathBuf,
    },
    /// git cannot read the repository that the fleet lies in, so hosts record no commit.
    NoCommit {
        /// The fleet's folder.
        folder: PathBuf,
    },
    /// Where hosts were logged in to is not kept, so their next first keys are believed again.
    LoginsNotKept {
        /// Why.
        why: String,
    },
    /// What this controller knows of the vault is not kept, so a vault that was exchanged is not noticed.
    VaultNotRemembered {
        /// Why.
        why: String,
    },
    /// Somebody has confirmed other recipients of the vault since this controller saw it last.
    Reconfirmed {
        /// Whom they added, as age writes them.
        added: Vec<String>,
        /// Whom they took away.
        removed: Vec<String>,
    },
    /// Hosts whose rotation was interrupted, and is not being finished.
    HalfRotated {
        /// They keep the key that is in use.
        hosts: Vec<HostName>,
    },
    /// A host is waited for until it has rolled back an unconfirmed change.
    WaitsForRollback {
        /// The host.
        host: HostName,
    },
    /// A rotation of all hosts goes on where an earlier run left it.
    Resuming {
        /// How many hosts are left.
        left: usize,
        /// How many have their new key.
        done: usize,
    },
    /// Unmanaged peers know a key that changes.
    TellPeers {
        /// Nobody logs in there.
        peers: Vec<HostName>,
    },
    /// A vault of an older version says from now on who was confirmed as a recipient.
    Confirmed {
        /// All of them, as age writes them.
        recipients: Vec<String>,
    },
    /// A vault of an older version has got the secret that keys fingerprints in plans.
    FingerprintSecret {
        /// It is to be committed with the index.
        file: PathBuf,
    },
    /// A host's new key has shaken hands with every neighbour.
    KeyProven {
        /// The host.
        host: HostName,
    },
}

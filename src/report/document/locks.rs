//! What `wgfleet lock list --format json` and `wgfleet lock break --format json` print.

use serde::Serialize;

use crate::event::{Holder, LockState};
use crate::model::{Document, HostName, Kind, Untrusted, Version, worded};
use crate::observed::Unanswered;

/// Who has the locks of hosts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Locks<'a> {
    /// `locks`.
    kind: Kind<Self>,
    /// Its version.
    version: Version<Self>,
    /// The hosts, in order of the file.
    hosts: Vec<HostLock<'a>>,
}

impl Document for Locks<'_> {
    const KIND: &'static str = "locks";
    const VERSION: u32 = 1;
}

/// Who has the lock of a host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HostLock<'a> {
    /// The host.
    host: &'a HostName,
    /// How it stands.
    state: LockWord,
    /// The run that has it; null where none has.
    by: Option<&'a Holder>,
    /// The change that is armed; null where none is.
    change: Option<&'a Untrusted>,
    /// Why the host gave no answer; null where it did.
    #[cfg_attr(test, schemars(with = "Option<worded::Worded<Unanswered>>"))]
    reason: Option<Silence<'a>>,
}

/// How the lock of a host stands.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum LockWord {
    /// Nobody has it.
    Free,
    /// A run has it.
    Locked,
    /// A change is armed.
    Armed,
    /// It was taken away from whoever had it.
    Broken,
    /// The host gave no answer.
    Unread,
}

impl<'a> Locks<'a> {
    /// Who has the locks of hosts.
    #[must_use]
    pub fn new(hosts: &'a [(HostName, LockState)]) -> Self {
        let hosts = hosts.iter().map(HostLock::from).collect();
        Self { kind: Kind::default(), version: Version::default(), hosts }
    }
}

impl<'a> From<&'a (HostName, LockState)> for HostLock<'a> {
    fn from((host, state): &'a (HostName, LockState)) -> Self {
        let bare = |state| Self { host, state, by: None, change: None, reason: None };
        match state {
            LockState::Free => bare(LockWord::Free),
            LockState::Broken => bare(LockWord::Broken),
            LockState::Locked(by) => Self { by: Some(by), ..bare(LockWord::Locked) },
            LockState::Armed(change) => Self { change: Some(change), ..bare(LockWord::Armed) },
            LockState::Unread(reason) => {
                Self { reason: Some(Silence(reason)), ..bare(LockWord::Unread) }
            }
        }
    }
}

/// Why a host gave no answer, in words and with its kind.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Silence<'a>(#[serde(serialize_with = "worded::serialize")] &'a Unanswered);

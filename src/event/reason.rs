//! Why the change of a host did not end as it was to, as a value to decide on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::failed_at::FailedAt;
use super::holder::Holder;
use super::host_part::HostPart;
use super::list::list;
use super::pause::Pause;
use super::unhealthy::Unhealthy;
use crate::model::{HostName, InterfaceName, Untrusted, worded};
use crate::observed::Unanswered;
use crate::plan::Obstacle;

/// Why the change of a host did not end as it was to. `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// Its plan cannot be carried out.
    Blocked {
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Obstacle>"))]
        reason: Obstacle,
    },
    /// It gave no answer that can be used.
    Unanswered {
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        reason: Unanswered,
    },
    /// It said something that is no answer, or that its side failed.
    HostSaid {
        /// What it said.
        said: Untrusted,
    },
    /// Another change is armed there.
    Busy {
        /// Its id.
        change: Untrusted,
    },
    /// It is not any more what the plan saw.
    Moved {
        /// What somebody changed, the first of it; empty where that could not be seen.
        what: Vec<HostPart>,
    },
    /// The vault does not have what it needs.
    NoSecret {
        /// Why.
        cause: Untrusted,
    },
    /// There is no binary for its machine.
    NoBinary {
        /// As `uname -m` says.
        machine: Untrusted,
    },
    /// It failed, and said where.
    Failed {
        /// Where.
        at: FailedAt,
        /// What it said.
        said: Untrusted,
    },
    /// Its interface is not what the change was to make of it.
    Unhealthy {
        /// The interface.
        interface: InterfaceName,
        /// What is wrong with it.
        problem: Unhealthy,
    },
    /// Its deadline passed before it was confirmed.
    DeadlinePassed,
    /// No new connection was made, or it did not hold, after the change.
    NoNewConnection {
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        reason: Unanswered,
    },
    /// Another host of its group, which changes together or not at all, did not change.
    Group {
        /// The host.
        host: HostName,
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
    },
    /// Not begun: a host of an earlier wave failed.
    EarlierWave {
        /// The host.
        host: HostName,
    },
    /// Not begun: another run has the lock of the host.
    Locked {
        /// Which run.
        by: Box<Holder>,
    },
    /// Not begun: another run has the lock of a host that is to change at the same time.
    OthersLocked {
        /// The host.
        host: HostName,
    },
    /// The run was told to stop, by a signal.
    Interrupted,
    /// The controller was asleep until the deadline had passed.
    Asleep {
        /// For how long.
        seconds: u64,
    },
    /// Not begun: the windows in which waves may begin have closed, or somebody said no.
    Paused {
        /// Why.
        why: Pause,
    },
    /// No handshake with the new key of a peer.
    NoHandshake {
        /// Where.
        host: HostName,
        /// In which time.
        within_seconds: u64,
    },
    /// Too little of the deadline was left to confirm all hosts of the group.
    NoTimeLeft,
    /// Applied, but what the next boot reads could not be written.
    NotForNextBoot {
        /// What of it.
        what: Untrusted,
    },
    /// It failed, and so did the rollback.
    RollbackFailed {
        /// Where it failed.
        at: FailedAt,
        /// What it said.
        said: Untrusted,
        /// How the rollback ended.
        rollback: Untrusted,
    },
    /// It was not seen to confirm the change.
    NotSeenToConfirm {
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
    },
    /// It is still being rolled back.
    StillRollingBack {
        /// Why it is rolled back.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
    },
    /// It cannot be read whether it was rolled back.
    RollbackUnread {
        /// Why it is rolled back.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
        /// Why it cannot be read.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        unread: Unanswered,
    },
    /// Its rollback did not end well.
    RollbackSaid {
        /// Why it is rolled back.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
        /// What it said of the rollback.
        said: Untrusted,
    },
    /// It is not armed any more, and not as it was before.
    NotAsBefore {
        /// Why it was rolled back.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Reason>"))]
        reason: Box<Reason>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked { reason } => reason.fmt(f),
            Self::Unanswered { reason } => reason.fmt(f),
            Self::HostSaid { said } => said.fmt(f),
            Self::Busy { change } => write!(
                f,
                "another change ({change}) is armed there; wait until it is confirmed or rolled back"
            ),
            Self::Moved { what } if what.is_empty() => {
                f.write_str("it changed after the plan was made")
            }
            Self::Moved { what } => {
                write!(f, "after the plan was made somebody changed {}", list(what))
            }
            Self::NoSecret { cause } => write!(f, "failed to get a key: {cause}"),
            Self::NoBinary { machine } => write!(f, "there is no binary for {machine}"),
            Self::Failed { at, said } => write!(f, "{at}{said}"),
            Self::Unhealthy { interface, problem } => write!(f, "{interface} {problem}"),
            Self::DeadlinePassed => f.write_str("the deadline passed before it was confirmed"),
            Self::NoNewConnection { reason } => write!(
                f,
                "a new connection could not be made or did not hold after the change: {reason}"
            ),
            Self::Group { host, reason } => {
                write!(f, "{host}, which changes together with it, did not: {reason}")
            }
            Self::EarlierWave { host } => {
                write!(f, "not begun: `{host}` failed in an earlier wave")
            }
            Self::Locked { by } => write!(f, "not begun: locked by {by}"),
            Self::OthersLocked { host } => {
                write!(
                    f,
                    "not begun: another run changes `{host}`, which is to change in the same wave"
                )
            }
            Self::Interrupted => f.write_str("the run was interrupted"),
            Self::Asleep { seconds } => write!(
                f,
                "this machine, which controls the change, was asleep for {seconds} s, and the deadline passed \
                 meanwhile"
            ),
            Self::Paused { why } => write!(f, "not begun: {why}"),
            Self::NoHandshake { host, within_seconds } => {
                write!(f, "{host} had no handshake with the new key within {within_seconds} s")
            }
            Self::NoTimeLeft => f.write_str(
                "too little of the deadline was left to confirm it; give it more with --deadline",
            ),
            Self::NotForNextBoot { what } => what.fmt(f),
            Self::RollbackFailed { at, said, rollback } => {
                write!(f, "failed {at}{said}; the rollback failed too: {rollback}")
            }
            Self::NotSeenToConfirm { reason } => {
                write!(f, "it was not seen to confirm the change: {reason}")
            }
            Self::StillRollingBack { reason } => {
                write!(f, "{reason}; it is still being rolled back")
            }
            Self::RollbackUnread { reason, unread } => {
                write!(f, "{reason}; it cannot be read: {unread}")
            }
            Self::RollbackSaid { reason, said } => write!(f, "{reason}; the rollback: {said}"),
            Self::NotAsBefore { reason } => {
                write!(f, "{reason}; run `wgfleet plan` to see what it has now")
            }
        }
    }
}

impl From<Unanswered> for Reason {
    fn from(reason: Unanswered) -> Self {
        Self::Unanswered { reason }
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;

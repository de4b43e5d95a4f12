//! What happens while a command runs, as data: bars, plain lines and tests read the same, and a journal
//! can be written and read back.

mod ending;
mod failed_at;
mod holder;
mod host_part;
mod list;
mod lock_state;
mod notice;
mod outcome;
mod pause;
mod reason;
mod step;
mod unhealthy;

pub use ending::{Ending, UnverifiedSession};
pub use failed_at::FailedAt;
pub use holder::Holder;
pub use host_part::{HostPart, LiveSetting};
pub use list::LISTED;
pub use lock_state::LockState;
pub use notice::Notice;
pub use outcome::Outcome;
pub use pause::Pause;
pub use reason::Reason;
pub use step::Step;
pub use unhealthy::Unhealthy;

use serde::{Deserialize, Serialize};

use crate::model::{HostName, Moment, worded};
use crate::observed::Unanswered;

/// Something that happened, and when: an entry of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Moment,
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// A stage of work over several hosts begins.
    Begin {
        /// Which.
        stage: Stage,
        /// Over how many hosts.
        hosts: usize,
    },
    /// A host is being worked on.
    Working {
        /// The host.
        host: HostName,
        /// The id of the change on the host; `None` where it is only read.
        transaction: Option<String>,
        /// What is being done.
        step: Step,
    },
    /// A host of a group has done its change, and is armed.
    Flipped {
        /// The host.
        host: HostName,
        /// The id of the change on the host.
        transaction: String,
        /// How long after the moment of the group it began, in milliseconds of its own clock.
        #[serde(rename = "late_ms")]
        late: u64,
        /// How well its clock was known, in milliseconds.
        #[serde(rename = "bound_ms")]
        bound: u64,
    },
    /// A host was read.
    Read {
        /// The host.
        host: HostName,
    },
    /// A host could not be read.
    Unread {
        /// The host.
        host: HostName,
        /// Why.
        #[serde(with = "worded")]
        reason: Unanswered,
    },
    /// The change of a host ended, or was not begun.
    Ended {
        /// How, and when.
        ending: Ending,
    },
    /// The stage is over.
    End {
        /// Which.
        stage: Stage,
    },
    /// Something worth saying.
    Notice {
        /// What.
        notice: Notice,
    },
}

/// A stage of work over several hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Hosts are read.
    Observe,
    /// Hosts are changed.
    Apply,
}

/// Takes events as they happen, from any task.
pub trait Sink: Send + Sync {
    /// Takes one.
    fn told(&self, told: Told);
}

impl<F: Fn(Told) + Send + Sync> Sink for F {
    fn told(&self, told: Told) {
        self(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_back_as_it_was_written() {
        let host: HostName = "b7".parse().unwrap();
        let at: Moment = "2026-11-27T05:14:36.5Z".parse().unwrap();
        let unread = Unanswered::NoAnswer { within_seconds: 20 };
        let failed = Ending {
            host: host.clone(),
            transaction: Some("c1".to_owned()),
            begun: Some(at),
            ended: Some(at),
            outcome: Outcome::Failed(Reason::Unanswered { reason: unread.clone() }),
            unverified: Vec::new(),
        };
        let events = [
            Event::Begin { stage: Stage::Observe, hosts: 2 },
            Event::Working { host: host.clone(), transaction: None, step: Step::Connecting },
            Event::Flipped { host: host.clone(), transaction: "c1".to_owned(), late: 10, bound: 4 },
            Event::Read { host: host.clone() },
            Event::Unread { host: host.clone(), reason: unread },
            Event::Ended { ending: Ending::not_begun(host.clone(), Outcome::Unchanged) },
            Event::Ended { ending: failed },
            Event::Notice { notice: Notice::KeyProven { host } },
            Event::End { stage: Stage::Apply },
        ];
        let told = events.map(|event| Told { at, event });
        let lines: Vec<String> =
            told.iter().map(|told| serde_json::to_string(told).unwrap()).collect();
        insta::assert_snapshot!(lines.join("\n"));
        for (line, told) in lines.iter().zip(&told) {
            assert_eq!(&serde_json::from_str::<Told>(line).unwrap(), told);
        }
    }
}

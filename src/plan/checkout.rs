//! Whether the files of a run are older than those that a host was changed from last.
//!
//! A pipeline that is run again, or a clone that nobody has updated, would take hosts and their keys
//! back to what they were, in silence.

use serde::{Deserialize, Serialize};

use super::Provenance;
use crate::model::{HostName, Untrusted};
use crate::observed::{CommitId, Record};

/// A host that was changed from newer files than those of this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Newer {
    /// The host.
    pub host: HostName,
    /// How that is known.
    pub because: Because,
    /// Who changed it, when and from what.
    #[serde(rename = "text")]
    pub record: Untrusted,
}

/// How it is known that the files of a run are older than a host's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The commit of the run is an ancestor of the recorded one.
    Ancestor,
    /// Neither commit is known to contain the other, as in a shallow clone or after a branch that was
    /// not merged, and that of the run was made earlier.
    Earlier,
    /// It is the recorded commit, but without the edits that were applied with it.
    Uncommitted,
    /// The lock file has a lower generation.
    Generation,
}

impl Because {
    /// For a sentence about the files of a run.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ancestor => "that commit contains the one that is checked out here",
            Self::Earlier => {
                "the commit that is checked out here is earlier, and not known to contain it"
            }
            Self::Uncommitted => "here are none of the edits that were applied with that commit",
            Self::Generation => "the lock file here has a lower generation",
        }
    }
}

/// Whether the files of a run are older than what a host has recorded, and how that is known;
/// `is_ancestor` says whether the history that is here leads from one commit to another.
///
/// What cannot be compared, a commit with a generation, is not older.
#[must_use]
pub fn older(
    here: &Provenance,
    recorded: &Record,
    mut is_ancestor: impl FnMut(&CommitId, &CommitId) -> bool,
) -> Option<Because> {
    match (&here.commit, &recorded.commit) {
        (Some(here), Some(there)) if here.id == there.id => {
            (there.dirty && !here.dirty).then_some(Because::Uncommitted)
        }
        (Some(here), Some(there)) => {
            if is_ancestor(&there.id, &here.id) {
                None
            } else if is_ancestor(&here.id, &there.id) {
                Some(Because::Ancestor)
            } else {
                (here.time < there.time).then_some(Because::Earlier)
            }
        }
        (None, _) | (_, None) => {
            let (here, there) = here.generation.zip(recorded.generation)?;
            (here < there).then_some(Because::Generation)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::observed::Commit;

    fn commit(letter: &str, hour: i64, dirty: bool) -> Commit {
        let id = CommitId::try_from(letter.repeat(40)).unwrap();
        Commit { id, time: Timestamp::from_second(hour * 3600).unwrap(), dirty }
    }

    fn run(commit: Option<Commit>, generation: Option<u64>) -> Provenance {
        Provenance {
            who: Untrusted::new("ann@ctl"),
            commit,
            generation,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn record(commit: Option<&Commit>, generation: Option<u64>) -> Record {
        let fleet = "acme".parse().unwrap();
        let text = serde_json::json!({
            "version": 1, "fleet": "acme", "host": "b7", "transaction": "c1", "who": "bob@ci",
            "commit": commit, "generation": generation, "written": "2026-11-20T12:00:00Z",
            "ssh": "b7", "become": "auto", "fingerprint_key": "ab".repeat(32), "fingerprints": {},
            "interfaces": {}, "units": [], "tables": [],
        });
        Record::parse(&fleet, &text.to_string()).unwrap()
    }

    /// The history: a, then b, then c; and d beside b, after a.
    fn whole(old: &CommitId, new: &CommitId) -> bool {
        let known = ["aa", "ab", "ac", "ad", "bb", "bc", "cc", "dd"];
        known.contains(&format!("{}{}", &old.as_str()[..1], &new.as_str()[..1]).as_str())
    }

    #[test]
    fn commits_are_older_by_their_history_and_where_it_does_not_say_by_their_time() {
        use Because::{Ancestor, Earlier, Uncommitted};
        let shallow = |_: &CommitId, _: &CommitId| false;
        // Here, there; each with its hour. What the whole history says, and what none of it.
        let rows = [
            (("a", 1), ("c", 3), Some(Ancestor), Some(Earlier)),
            (("c", 3), ("a", 1), None, None),
            (("b", 2), ("b", 2), None, None),
            // A clock that was wrong: the history counts.
            (("a", 9), ("c", 3), Some(Ancestor), None),
            (("c", 1), ("a", 3), None, Some(Earlier)),
            // A branch that was applied and is not merged, before and after.
            (("b", 2), ("d", 4), Some(Earlier), Some(Earlier)),
            (("b", 5), ("d", 4), None, None),
            (("b", 4), ("d", 4), None, None),
        ];
        for (here, there, with, without) in rows {
            let of = |(letter, hour): (&str, i64)| Some(commit(letter, hour, false));
            let (run, record) = (run(of(here), Some(1)), record(of(there).as_ref(), Some(9)));
            assert_eq!(older(&run, &record, whole), with, "{here:?} {there:?}");
            assert_eq!(older(&run, &record, shallow), without, "{here:?} {there:?}, shallow");
        }
        // Keys that a rotation made and nobody has committed are not in another clone.
        for (here, there, told) in [
            (false, false, None),
            (true, false, None),
            (false, true, Some(Uncommitted)),
            (true, true, None),
        ] {
            let record = record(Some(&commit("b", 2, there)), None);
            assert_eq!(older(&run(Some(commit("b", 2, here)), None), &record, whole), told);
        }
    }

    #[test]
    fn outside_git_the_generation_counts() {
        let git = || Some(commit("a", 1, false));
        for (here, there, told) in [
            (run(None, Some(3)), record(None, Some(4)), Some(Because::Generation)),
            (run(None, Some(4)), record(None, Some(4)), None),
            (run(None, Some(5)), record(None, Some(4)), None),
            (run(None, None), record(None, Some(4)), None),
            (run(None, Some(3)), record(None, None), None),
            (run(git(), None), record(None, Some(4)), None),
            (run(git(), Some(3)), record(None, Some(4)), Some(Because::Generation)),
            (run(None, Some(3)), record(git().as_ref(), None), None),
            (run(None, None), record(git().as_ref(), None), None),
        ] {
            assert_eq!(older(&here, &there, whole), told, "{here:?} {there:?}");
        }
    }
}

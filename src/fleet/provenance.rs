//! Who runs wgfleet, and from which state of the fleet's files.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::event::Notice;
use crate::model::Untrusted;
use crate::observed::{CommitId, Record};
use crate::plan::{Newer, Provenance, older};
use crate::sys::{Clock as _, SystemClock};

use super::git::WorkTree;
use super::read::Fleet;
use super::{Advice, Context, Error, Kind};

/// Where CI systems say for whom they run.
const ACTORS: [&str; 8] = [
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "GITEA_ACTOR",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "BUILD_USER_ID",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_USERNAME",
    "BUILD_REQUESTEDFOR",
];

/// Where systems say who has logged in; before sudo(8), if there is one.
const USERS: [&str; 3] = ["SUDO_USER", "USER", "LOGNAME"];

/// The most characters of a name.
const LONGEST: usize = 64;

/// Who changes the fleet now, and from what.
pub(super) fn provenance(fleet: &Fleet) -> Provenance {
    Provenance {
        who: Untrusted::new(who(|name| std::env::var(name).ok())),
        commit: tree(fleet).and_then(|tree| tree.head(&fleet.loaded.folder)),
        generation: fleet.generation(),
        now: SystemClock.now(),
    }
}

/// The work tree whose commits the fleet file is part of; git is asked once.
fn tree(fleet: &Fleet) -> Option<&WorkTree> {
    let loaded = &fleet.loaded;
    let ask = || WorkTree::of(&loaded.folder).filter(|tree| tree.tracks(&loaded.path));
    fleet.tree.get_or_init(ask).as_ref()
}

/// Hosts that were changed from newer files than those of this run.
pub(super) fn newer<'a>(
    fleet: &Fleet,
    here: &Provenance,
    records: impl IntoIterator<Item = &'a Record>,
) -> Vec<Newer> {
    let tree = tree(fleet);
    let mut asked = BTreeMap::new();
    let mut is_ancestor = |old: &CommitId, new: &CommitId| -> bool {
        let answer = || tree.is_some_and(|tree| tree.is_ancestor(old, new));
        *asked.entry((old.clone(), new.clone())).or_insert_with(answer)
    };
    let newer = records.into_iter().filter_map(|record| {
        let because = older(here, record, &mut is_ancestor)?;
        Some(Newer { host: record.host.clone(), because, record: Untrusted::new(record.summary()) })
    });
    newer.collect()
}

impl Fleet {
    /// Counts a run that is about to change the fleet, where no commit tells which files are newer:
    /// from now on every other copy of these files is older. `recorded` is the highest generation that
    /// hosts have recorded.
    ///
    /// # Errors
    /// Where the lock file cannot be written.
    pub fn count_run(
        &self,
        context: &Context,
        here: &Provenance,
        recorded: Option<u64>,
    ) -> Result<(), Error> {
        match counts(self, here) {
            Counting::Yes if !context.locked => {}
            Counting::Yes | Counting::No => return Ok(()),
            Counting::Unknown => {
                context.notice(Notice::NoCommit { folder: self.loaded.folder.clone() });
                return Ok(());
            }
        }
        let next = self.generation().max(recorded).unwrap_or_default().saturating_add(1);
        self.loaded
            .write_lock(&self.loaded.lock.of_generation(next))
            .map_err(|error| Error::new(Kind::Failed, error).advise(Advice::LeaveLockAlone))?;
        self.generation.store(next, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether runs are counted in the lock file: where no commit tells which files are newer.
pub(super) fn counts(fleet: &Fleet, here: &Provenance) -> Counting {
    let loaded = &fleet.loaded;
    if here.commit.is_some() || loaded.lock_path.is_none() {
        Counting::No
    } else if WorkTree::of(&loaded.folder).is_none() && WorkTree::is_likely(&loaded.folder) {
        Counting::Unknown
    } else {
        Counting::Yes
    }
}

/// Whether runs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// They are.
    Yes,
    /// Commits tell, or there is no lock file.
    No,
    /// There is a repository, and git cannot or will not read it.
    Unknown,
}

/// `user@machine`.
fn who(variable: impl Fn(&str) -> Option<String>) -> String {
    let said = ACTORS.iter().chain(&USERS).filter_map(|name| variable(name));
    let user = said.map(|name| plain(&name)).find(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let machine = plain(&rustix::system::uname().nodename().to_string_lossy());
    format!("{user}@{machine}")
}

/// A name as it stands in a record: the letters that names have, and not more of them.
fn plain(name: &str) -> String {
    let usual = |c: char| c.is_alphanumeric() || "._+-[]{}@ ".contains(c);
    name.trim().chars().take(LONGEST).map(|c| if usual(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_systems_name_their_actor_and_others_their_user() {
        let of = |set: &[(&str, &str)]| {
            let found = |name: &str| set.iter().find(|(set, _)| *set == name);
            let who = who(|name| found(name).map(|(_, value)| (*value).to_owned()));
            who.rsplit_once('@').unwrap().0.to_owned()
        };
        assert_eq!(
            of(&[("USER", "runner"), ("GITHUB_ACTOR", "dependabot[bot]")]),
            "dependabot[bot]"
        );
        assert_eq!(of(&[("USER", "root"), ("SUDO_USER", "ann")]), "ann");
        assert_eq!(of(&[("USER", " "), ("LOGNAME", "a\u{202e}\nb")]), "a??b");
        assert!(of(&[]).starts_with("uid "));
        assert_eq!(of(&[("USER", &"x".repeat(900))]).len(), 64);
    }
}

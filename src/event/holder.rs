//! Who has the lock of a host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Untrusted;

/// The run that has the lock of a host, as it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Holder {
    /// The id of the run.
    pub run: Untrusted,
    /// After how many seconds the lock ends, unless the run renews it.
    pub seconds_left: u64,
    /// Who it is, as `user@machine`.
    pub who: Untrusted,
    /// Since when.
    pub since: Untrusted,
    /// What is run.
    pub what: Untrusted,
    /// From which commit; `None` outside git.
    pub commit: Option<Untrusted>,
}

/// What stands for no commit.
const NONE: &str = "-";

impl Holder {
    /// Reads the words of [`Self::line`].
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().map(Untrusted::new);
        let run = next()?;
        let seconds_left = next()?.raw().parse().ok()?;
        let (who, since, what) = (next()?, next()?, next()?);
        let commit = next().filter(|commit| commit.raw() != NONE);
        Some(Self { run, seconds_left, who, since, what, commit })
    }

    /// All of it in one line of words.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.run.raw(), self.seconds_left, self.words())
    }

    /// Who it is, in one line of words.
    #[must_use]
    pub fn words(&self) -> String {
        let word = |text: &Untrusted| text.raw().split_whitespace().collect::<Vec<_>>().join("_");
        let commit = self.commit.as_ref().map_or_else(|| NONE.to_owned(), word);
        format!("{} {} {} {commit}", word(&self.who), word(&self.since), word(&self.what))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds_left, who, since, what, .. } = self;
        write!(f, "`wgfleet {what}` of {who} since {since}")?;
        if let Some(commit) = &self.commit {
            write!(f, " from commit {commit}")?;
        }
        write!(f, "; it ends in {seconds_left} s unless it is renewed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_line_is_read_back() {
        let line = "r0a 280 ann@laptop 2026-11-27T19:00:00Z apply 0123456789ab";
        let holder = Holder::parse(line).unwrap();
        assert_eq!(holder.line(), line);
        assert_eq!(
            holder.to_string(),
            "`wgfleet apply` of ann@laptop since 2026-11-27T19:00:00Z from commit 0123456789ab; it ends in 280 s \
             unless it is renewed"
        );
        let bare = Holder { commit: None, who: Untrusted::new("a b@c"), ..holder };
        assert_eq!(bare.words(), "a_b@c 2026-11-27T19:00:00Z apply -");
        assert_eq!(Holder::parse(&bare.line()).unwrap().commit, None);
        assert_eq!(Holder::parse("r0a soon ann@laptop"), None);
    }
}

//! One host as its script plays it: what it has, and the change that is armed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use wgfleet::event::{FailedAt, Holder};
use wgfleet::model::Untrusted;
use wgfleet::observed::PROTOCOL;
use wgfleet::remote::{Answer, Fate, Rollback};

use super::state::State;
use super::told::{Handshakes, digest, told};

/// How long a rollback takes.
const ROLLBACK: Duration = Duration::from_secs(2);

/// Where the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Before anything is armed.
    Stage,
    /// In the midst of the operations.
    Operations,
    /// When the next boot's files are put in place.
    Keep,
}

/// A host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// Which machine it is.
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) shaken: Handshakes,
    /// The run that has the lock, when that ends, and what it said of itself.
    lock: Option<(String, Duration, String)>,
    prepared: Option<Armed>,
    armed: Option<Armed>,
    /// It has confirmed, and its group has not.
    held: Option<Armed>,
    reverting: Option<Reverting>,
    /// For the next call.
    pub(crate) full: Option<Full>,
}

/// A change that is prepared, armed or held.
#[derive(Debug, Clone)]
struct Armed {
    id: String,
    deadline: Duration,
    before: State,
    files: BTreeMap<String, String>,
    /// What waits beside its place.
    prepared: BTreeMap<String, (String, String)>,
}

/// A rollback that runs.
#[derive(Debug, Clone)]
struct Reverting {
    id: String,
    until: Duration,
    before: State,
}

impl Machine {
    /// A machine with nothing on it.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Answers a call that comes at the moment `now` of the machine's own clock.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        verb: &str,
        words: &[&str],
        stdin: &str,
    ) -> String {
        self.pass(now);
        let answer = match (verb, words) {
            ("observe", []) => return self.observe(now),
            ("helper", [_, _]) => Answer::Done,
            ("apply", [id, seconds]) => match self.arm(now, id, seconds, stdin) {
                Ok(()) => self.work(now, id),
                Err(refused) => refused,
            },
            // Whoever is asked answers.
            ("probe", []) => Answer::Answered { places: (0..stdin.lines().count()).collect() },
            ("clock", []) => Answer::Clock { hundredths: hundredths(now) },
            ("prepare", [id, seconds]) => match self.prepare(now, id, seconds, stdin) {
                Ok(()) => Answer::Prepared,
                Err(refused) => refused,
            },
            ("flip", [id, at, until]) => match self.flip(now, id, at, until) {
                Ok(late) => match self.work(now, id) {
                    Answer::Done => Answer::Flipped { late },
                    failed => failed,
                },
                Err(refused) => refused,
            },
            ("hold", [id, until]) => self.hold(id, until),
            ("lock", [run, seconds, over @ ..]) => self.take_lock(now, run, seconds, over, stdin),
            ("renew", [run, seconds]) => match &mut self.lock {
                Some((own, until, _)) if own == run => {
                    *until = now + Duration::from_secs(seconds.parse().unwrap_or_default());
                    Answer::Taken
                }
                _ => Answer::Gone,
            },
            ("unlock", [run]) => match self.lock.take_if(|(own, ..)| own == run) {
                Some(_) => Answer::Released,
                None => Answer::Gone,
            },
            ("fate", [id]) => Answer::Fate(self.fate(id)),
            ("release", [id]) => match self.held.take_if(|held| held.id == *id) {
                Some(_) => {
                    self.lock = None;
                    Answer::Released
                }
                None => Answer::Gone,
            },
            ("confirm", [id]) => self.confirm(id),
            ("revert", [id]) => self.revert(id),
            _ => Answer::Unclear,
        };
        format!("{answer}\n")
    }

    fn take_lock(
        &mut self,
        now: Duration,
        run: &str,
        seconds: &str,
        over: &[&str],
        stdin: &str,
    ) -> Answer {
        if let Some(id) = self.armed_id() {
            return Answer::Busy { change: Untrusted::new(id.to_owned()) };
        }
        if let Some((own, until, holder)) = &self.lock
            && own != run
            && !over.contains(&own.as_str())
        {
            let line = format!("{own} {} {holder}", until.saturating_sub(now).as_secs());
            return Answer::Locked { by: Box::new(Holder::parse(&line).expect("it was told")) };
        }
        let seconds = seconds.parse().unwrap_or_default();
        self.lock =
            Some((run.to_owned(), now + Duration::from_secs(seconds), stdin.trim().to_owned()));
        Answer::Taken
    }

    /// What became of a change.
    fn fate(&self, id: &str) -> Fate {
        let is = |one: &Option<Armed>| one.as_ref().is_some_and(|one| one.id == id);
        let named = format!("\"{id}\"");
        let record = |(path, (_, text)): (&String, &(String, String))| {
            path.starts_with("/var/lib/wgfleet/") && text.contains(&named)
        };
        if is(&self.held) {
            Fate::Held
        } else if is(&self.prepared) {
            Fate::Prepared
        } else if is(&self.armed) {
            Fate::Armed
        } else if self.state.files.iter().any(record) {
            Fate::Kept
        } else {
            Fate::Gone
        }
    }

    /// Another run has the lock.
    pub(crate) fn locked_by(&mut self, run: &str, until: Duration) {
        let holder = "ann@laptop 2026-11-22T13:00:00Z apply 0123456789ab".to_owned();
        self.lock = Some((run.to_owned(), until, holder));
    }

    /// The run that has the lock.
    pub(crate) fn locked(&self) -> Option<&str> {
        self.lock.as_ref().map(|(run, ..)| run.as_str())
    }

    /// What the machine's own timers do until `now`.
    pub(crate) fn pass(&mut self, now: Duration) {
        self.lock.take_if(|(_, until, _)| *until <= now);
        let ended = self.prepared.take_if(|prepared| prepared.deadline <= now).is_some()
            | self.held.take_if(|held| held.deadline <= now).is_some();
        if ended {
            self.lock = None;
        }
        if let Some(armed) = self.armed.take_if(|armed| armed.deadline <= now) {
            let Armed { id, deadline, before, .. } = armed;
            self.reverting = Some(Reverting { id, until: deadline + ROLLBACK, before });
        }
        if let Some(done) = self.reverting.take_if(|one| one.until <= now) {
            self.lock = None;
            self.state = done.before;
        }
    }

    /// Somebody else arms a change that they never confirm.
    pub(crate) fn armed_by_another(&mut self, deadline: Duration) {
        if self.armed_id().is_none() {
            self.armed = Some(Armed {
                id: "another".to_owned(),
                deadline,
                before: self.state.clone(),
                files: BTreeMap::new(),
                prepared: BTreeMap::new(),
            });
        }
    }

    /// A power cut: what was not confirmed is gone, and so is every session.
    pub(crate) fn cut(&mut self) {
        self.prepared = None;
        self.held = None;
        self.lock = None;
        let before = self.armed.take().map(|armed| armed.before);
        let before = before.or(self.reverting.take().map(|one| one.before));
        if let Some(before) = before {
            self.state = before;
        }
        self.shaken.clear();
    }

    /// The change that keeps others out.
    fn armed_id(&self) -> Option<&str> {
        let reverting = self.reverting.as_ref().map(|one| one.id.as_str());
        let waiting = [&self.prepared, &self.armed, &self.held];
        waiting.into_iter().flatten().map(|one| one.id.as_str()).next().or(reverting)
    }

    fn observe(&self, now: Duration) -> String {
        let told = told(&self.name, &self.state, &self.shaken);
        let mut out = format!("observe {PROTOCOL}\nnow {}\n", seconds(now));
        if let Some(id) = self.armed_id() {
            let _ = writeln!(out, "armed {id}");
        }
        out.push_str(&told);
        for (path, (_, text)) in &self.state.files {
            let fleet = path.strip_prefix("/var/lib/wgfleet/");
            let Some(fleet) = fleet.and_then(|name| name.strip_suffix(".json")) else { continue };
            let _ = writeln!(out, "record {fleet}");
            for line in text.lines() {
                let _ = writeln!(out, "| {line}");
            }
        }
        out.push_str("end\n");
        out
    }

    /// Stages a change and arms its timer.
    ///
    /// # Errors
    /// What the host answers instead.
    pub(crate) fn arm(
        &mut self,
        now: Duration,
        id: &str,
        limit: &str,
        payload: &str,
    ) -> Result<(), Answer> {
        self.armed = Some(self.stage(now, id, limit, payload)?);
        Ok(())
    }

    /// Stages a change of a group.
    fn prepare(
        &mut self,
        now: Duration,
        id: &str,
        limit: &str,
        payload: &str,
    ) -> Result<(), Answer> {
        self.prepared = Some(self.stage(now, id, limit, payload)?);
        Ok(())
    }

    /// Arms what was prepared; by how many milliseconds too late.
    ///
    /// # Errors
    /// What the host answers instead.
    pub(crate) fn flip(
        &mut self,
        now: Duration,
        id: &str,
        at: &str,
        until: &str,
    ) -> Result<u64, Answer> {
        self.pass(now);
        let prepared = self.prepared.take_if(|prepared| prepared.id == id);
        let mut prepared = prepared.ok_or(Answer::Gone)?;
        let late = hundredths(now).saturating_sub(at.parse().unwrap_or_default()) * 10;
        if late >= 2000 {
            return Err(Answer::Failed {
                at: FailedAt::Interrupted,
                why: Untrusted::new("the moment of the group had passed".to_owned()),
                rollback: Some(Rollback::Verified),
            });
        }
        prepared.deadline = moment(until);
        self.armed = Some(prepared);
        Ok(late)
    }

    fn stage(&self, now: Duration, id: &str, limit: &str, payload: &str) -> Result<Armed, Answer> {
        if let Some(other) = self.armed_id() {
            return Err(Answer::Busy { change: Untrusted::new(other.to_owned()) });
        }
        if self.full == Some(Full::Stage) {
            let full = "stage: /run/wgfleet is full: 0 KiB are free, 212 KiB are needed";
            return Err(failed(FailedAt::Before, full));
        }
        let cut = || failed(FailedAt::Before, "stage: the payload did not arrive whole");
        let files = sections(payload).ok_or_else(cut)?;
        let theirs = files.get("protocol").map_or("none", |text| text.trim());
        if theirs != PROTOCOL.to_string() {
            let other = format!(
                "stage: the payload has protocol {theirs}, and the host's script {PROTOCOL}; use one \
                 version of wgfleet for both"
            );
            return Err(failed(FailedAt::Before, &other));
        }
        let mine = files.get("lock").map_or("", |text| text.trim());
        if let Some((run, until, holder)) = &self.lock
            && run != mine
        {
            let line = format!("{run} {} {holder}", until.saturating_sub(now).as_secs());
            return Err(Answer::Locked {
                by: Box::new(Holder::parse(&line).expect("it was told")),
            });
        }
        if let (Some(question), Some(expected)) = (files.get("observe"), files.get("expect")) {
            let found = digest(&told(&self.name, &self.state, &self.shaken), question);
            if found.to_string() != expected.trim() {
                return Err(Answer::Moved { digest: Some(found) });
            }
        }
        let seconds = limit.parse().map_err(|_| failed(FailedAt::Before, "timer: no number"))?;
        Ok(Armed {
            id: id.to_owned(),
            deadline: now + Duration::from_secs(seconds),
            before: self.state.clone(),
            files,
            prepared: BTreeMap::new(),
        })
    }

    /// Does the operations of the change that is armed.
    pub(crate) fn work(&mut self, now: Duration, id: &str) -> Answer {
        self.pass(now);
        let Some(armed) = self.armed.as_mut().filter(|armed| armed.id == id) else {
            return failed(FailedAt::Interrupted, "the operations were interrupted");
        };
        let Armed { files, prepared, .. } = armed;
        let ops = files.get("ops").cloned().unwrap_or_default();
        let last = ops.lines().count();
        for (op, number) in ops.lines().zip(1..) {
            let is_full = self.full == Some(Full::Operations) && number == last;
            let done = if is_full {
                Err("cannot write: No space left on device".to_owned())
            } else {
                self.state.operate(op, files, prepared)
            };
            if let Err(why) = done {
                let rollback = match self.revert(id) {
                    Answer::RolledBack(rollback) => Some(rollback),
                    _ => None,
                };
                let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
                let label = op.split(' ').next().unwrap_or_default().to_owned();
                let op = |number| FailedAt::Op { number, label };
                let at = number.map_or(FailedAt::Whole, op);
                return Answer::Failed { at, why: Untrusted::new(why), rollback };
            }
        }
        Answer::Done
    }

    /// The change with this id, if it is armed and nobody has claimed it.
    fn claim(&mut self, id: &str) -> Option<Armed> {
        self.armed.take_if(|armed| armed.id == id)
    }

    fn confirm(&mut self, id: &str) -> Answer {
        let Some(mut armed) = self.claim(id) else { return Answer::Gone };
        self.lock = None;
        self.keep(&mut armed)
    }

    fn hold(&mut self, id: &str, until: &str) -> Answer {
        if self.held.as_ref().is_some_and(|held| held.id == id) {
            return Answer::Confirmed;
        }
        let Some(mut armed) = self.claim(id) else { return Answer::Gone };
        let answer = self.keep(&mut armed);
        armed.deadline = moment(until);
        self.held = Some(armed);
        answer
    }

    fn keep(&mut self, armed: &mut Armed) -> Answer {
        let Armed { files, prepared, .. } = armed;
        let mut bad = Vec::new();
        for op in files.get("keep").map(String::as_str).unwrap_or_default().lines() {
            let is_full = self.full == Some(Full::Keep);
            if is_full || self.state.operate(op, files, prepared).is_err() {
                bad.push(op.rsplit(' ').next().unwrap_or_default());
            }
        }
        if bad.is_empty() {
            return Answer::Confirmed;
        }
        Answer::NotForNextBoot { what: Untrusted::new(bad.join(" ")) }
    }

    fn revert(&mut self, id: &str) -> Answer {
        if self.prepared.take_if(|prepared| prepared.id == id).is_some() {
            self.lock = None;
            return Answer::RolledBack(Rollback::Verified);
        }
        let held = self.held.take_if(|held| held.id == id);
        let Some(armed) = self.claim(id).or(held) else { return Answer::Gone };
        self.state = armed.before;
        self.lock = None;
        Answer::RolledBack(Rollback::Verified)
    }
}

fn failed(at: FailedAt, why: &str) -> Answer {
    Answer::Failed { at, why: Untrusted::new(why.to_owned()), rollback: None }
}

/// What the machine's own clock says.
pub(crate) fn hundredths(now: Duration) -> u64 {
    u64::try_from(now.as_millis() / 10).unwrap_or(u64::MAX)
}

/// When it says so.
pub(crate) fn moment(hundredths: &str) -> Duration {
    Duration::from_millis(hundredths.parse::<u64>().unwrap_or_default() * 10)
}

/// Seconds since the epoch.
pub(crate) fn seconds(now: Duration) -> u64 {
    1_700_000_000 + now.as_secs()
}

/// The files of a payload; `None` where it did not arrive whole.
fn sections(payload: &str) -> Option<BTreeMap<String, String>> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in payload.lines() {
        if line == "=== end" {
            return files.contains_key("ops").then_some(files);
        }
        if let Some(head) = line.strip_prefix("=== ") {
            files.insert(head.to_owned(), String::new());
            name = Some(head);
        } else {
            let text = files.get_mut(name?)?;
            text.push_str(line.strip_prefix(' ')?);
            text.push('\n');
        }
    }
    None
}

//! Events as bars on a terminal, plain lines elsewhere; the only file that knows indicatif.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::document::EventLine;
use crate::event::{Ending, Event, Sink, Stage, Told};
use crate::model::{HostName, Untrusted};

/// Most hosts that have a line of their own.
const LINES: usize = 8;

/// Most peers that are named in a line.
const NAMED: usize = 8;

/// Shows events on stderr.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Silent,
    Json {
        quiet: bool,
    },
    Plain {
        stage: Option<(Stage, usize, usize)>,
    },
    Bars {
        multi: MultiProgress,
        total: Option<ProgressBar>,
        hosts: BTreeMap<HostName, ProgressBar>,
    },
}

impl Progress {
    /// Bars where stderr is a terminal; elsewhere JSON, a line for each event, and where `quiet` only
    /// for failures.
    #[must_use]
    pub fn json(quiet: bool) -> Self {
        if std::io::stderr().is_terminal() {
            return Self::new(quiet);
        }
        Self { state: Mutex::new(State::Json { quiet }) }
    }

    /// Bars where stderr is a terminal, lines where it is not, nothing where `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let state = if quiet {
            State::Silent
        } else if std::io::stderr().is_terminal() {
            let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            State::Bars { multi, total: None, hosts: BTreeMap::new() }
        } else {
            State::Plain { stage: None }
        };
        Self { state: Mutex::new(state) }
    }
}

const fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Observe => "reading",
        Stage::Apply => "changing",
    }
}

impl Sink for Progress {
    fn told(&self, told: Told) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Json { quiet } = &*state {
            if !quiet || failure(&told.event).is_some() {
                let line = super::json::line(&EventLine::from(&told)).unwrap_or_default();
                anstream::eprint!("{line}");
            }
            return;
        }
        let event = told.event;
        match &mut *state {
            // Only errors, and these are some.
            State::Silent => {
                if let Some(failure) = failure(&event) {
                    say(&failure);
                }
            }
            State::Json { .. } => {}
            State::Plain { stage } => plain(stage, &event),
            State::Bars { multi, total, hosts } => bars(multi, total, hosts, event),
        }
    }
}

fn plain(stage: &mut Option<(Stage, usize, usize)>, event: &Event) {
    match event {
        Event::Begin { stage: which, hosts } => *stage = Some((*which, 0, *hosts)),
        Event::Working { .. } => {}
        Event::Flipped { .. } => {
            if let Some(line) = doubt(event) {
                say(&line);
            }
        }
        Event::Read { .. } | Event::Unread { .. } | Event::Ended { .. } => {
            if let Some(failure) = failure(event) {
                say(&failure);
                return;
            }
            if let Some((_, done, _)) = stage {
                *done += 1;
            }
            if let Event::Ended { ending: Ending { host, outcome, .. } } = event {
                say(&format!("{host}: {outcome}"));
            }
            if let Some(line) = doubt(event) {
                say(&line);
            }
        }
        Event::End { stage: which } => {
            if let Some((_, done, all)) = stage.take() {
                let what = match which {
                    Stage::Observe => "read",
                    Stage::Apply => "changed",
                };
                say(&format!("{what} {done} of {all} hosts"));
            }
        }
        Event::Notice { notice } => say(&super::notice::line(notice)),
    }
}

fn bars(
    multi: &MultiProgress,
    total: &mut Option<ProgressBar>,
    hosts: &mut BTreeMap<HostName, ProgressBar>,
    event: Event,
) {
    match event {
        Event::Begin { stage, hosts } => {
            let bar = multi.add(ProgressBar::new(hosts as u64));
            let style = ProgressStyle::with_template("{prefix:>9} [{bar:30}] {pos}/{len}");
            bar.set_style(
                style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "),
            );
            bar.set_prefix(verb(stage));
            bar.tick();
            *total = Some(bar);
        }
        Event::Working { host, step, .. } => {
            if hosts.len() >= LINES && !hosts.contains_key(&host) {
                return;
            }
            let bar = hosts.entry(host.clone()).or_insert_with(|| {
                let bar = multi.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("          {spinner} {prefix}: {msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_prefix(host.to_string());
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            });
            bar.set_message(step.to_string());
        }
        Event::Read { ref host }
        | Event::Unread { ref host, .. }
        | Event::Ended { ending: Ending { ref host, .. } } => {
            finish(total.as_ref(), hosts, host);
            if let Some(failure) = failure(&event) {
                // A terminal that cannot be written to has nobody to tell.
                let _ = multi.println(failure);
            }
            if let Some(line) = doubt(&event) {
                let _ = multi.println(line);
            }
        }
        Event::Flipped { .. } => {
            if let Some(line) = doubt(&event) {
                let _ = multi.println(line);
            }
        }
        // A line of its own also where there are no bars, which println would draw it with.
        Event::Notice { notice } => multi.suspend(|| say(&super::notice::line(&notice))),
        Event::End { .. } => {
            for (_, bar) in std::mem::take(hosts) {
                bar.finish_and_clear();
            }
            if let Some(bar) = total.take() {
                bar.finish_and_clear();
            }
        }
    }
}

fn finish(
    total: Option<&ProgressBar>,
    hosts: &mut BTreeMap<HostName, ProgressBar>,
    host: &HostName,
) {
    if let Some(bar) = hosts.remove(host) {
        bar.finish_and_clear();
    }
    if let Some(bar) = total {
        bar.inc(1);
    }
}

/// How well the clock of a host has to be known, in milliseconds, for nobody to be told.
const KNOWN: u64 = 25;

/// How late a host may change after the others of its group, in milliseconds, for nobody to be told.
const IN_TIME: u64 = 100;

/// What went well and leaves something open; `None` where nothing does.
fn doubt(event: &Event) -> Option<String> {
    match event {
        Event::Flipped { host, late, .. } if *late > IN_TIME => Some(format!(
            "{host}: it changed {late} ms after the moment of its group: packets that needed both ends \
             were lost in between"
        )),
        Event::Flipped { host, bound, .. } if *bound > KNOWN => Some(format!(
            "{host}: its clock is known to {bound} ms: so far apart from the others of its group it may \
             have changed"
        )),
        Event::Ended { ending: Ending { host, unverified, .. } } if !unverified.is_empty() => {
            let peers: Vec<&str> =
                unverified.iter().map(|session| session.peer.as_str()).take(NAMED).collect();
            let more = unverified.len() - peers.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!(
                "{host}: not verified: no packet came from {}{more} since the change; they may be idle",
                peers.join(", ")
            ))
        }
        _ => None,
    }
}

/// Which host failed and why, often in its own words or in those of ssh(1); `None` where none did.
fn failure(event: &Event) -> Option<String> {
    let (host, reason) = match event {
        Event::Unread { host, reason } => (host, reason.to_string()),
        Event::Ended { ending: Ending { host, outcome, .. } } => {
            outcome.reason()?;
            (host, outcome.to_string())
        }
        _ => return None,
    };
    Some(format!("{host}: {}", Untrusted::new(reason).lines()))
}

fn say(text: &str) {
    anstream::eprintln!("{text}");
}

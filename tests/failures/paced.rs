//! What ends a rollout between two waves, and what is left then.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use wgfleet::event::{Ending, Outcome, Pause, Reason};
use wgfleet::fleet::{AskedForWave, NextWave, Pace};
use wgfleet::model::Window;

use crate::scripted::machine::Full;
use crate::scripted::network::{Fault, Network, Trouble};
use crate::yard::{File, HOSTS, Yard, applied, bounded, had, host, login, play, settle};

const LIMIT: Duration = Duration::from_mins(20);

/// A window that is twelve hours away, an hour at most.
fn shut() -> Window {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let hour = (now.hour() + 12) % 24;
    let text = format!("{hour}:00-{}:00 UTC", (hour + 1) % 24);
    text.parse().expect("a window")
}

/// How three hosts ended that change one after the other, and whether each has what it had; and the verbs of
/// the calls to the first.
fn run(faults: &[Fault], pace: &Pace<'_>) -> (Vec<(Outcome, bool)>, Vec<String>) {
    let yard = Yard::new();
    let old = applied(&yard, Network::of(&HOSTS), File::Old);
    let fleet = yard.fleet(File::New);
    play(async {
        let login = login(old.failing(faults));
        let run = yard.apply_in_turn(&fleet, File::New, &login, pace);
        let (_, endings) = bounded(LIMIT, "paced", run).await.expect("it is carried out");
        let calls = login.connector.network().calls.remove("a").unwrap_or_default();
        settle(&login).await;
        let network = login.connector.network();
        let of = |Ending { host, outcome, .. }: Ending| {
            let name = host.as_str();
            (outcome, had(&network.machines[name]) == had(&old.machines[name]))
        };
        (endings.into_iter().map(of).collect(), calls)
    })
}

/// The first host has no room for what is staged.
fn full() -> [Fault; 1] {
    let (_, calls) = run(&[], &Pace::default());
    let full = Trouble::Full(Full::Stage);
    let at = calls
        .iter()
        .position(|verb| full.befalls(verb))
        .unwrap_or_else(|| panic!("nothing is staged: {calls:?}"));
    [Fault { host: "a".to_owned(), at, trouble: full }]
}

#[test]
fn a_budget_of_failures_decides_whether_the_next_wave_begins() {
    let (ended, _) = run(&full(), &Pace::default());
    assert!(matches!(&ended[0].0, Outcome::Failed(_) | Outcome::Skipped(_)), "{ended:?}");
    let earlier = Outcome::Skipped(Reason::EarlierWave { host: host("a") });
    assert_eq!(ended[1..], [(earlier.clone(), true), (earlier, true)]);
    let (ended, _) = run(&full(), &Pace { budget: 1, ..Pace::default() });
    assert_eq!(ended[1..], [(Outcome::Applied, false), (Outcome::Applied, false)]);
}

#[test]
fn no_wave_but_the_first_begins_while_windows_are_shut() {
    let windows = [shut()];
    let (ended, _) = run(&[], &Pace { windows: &windows, ..Pace::default() });
    assert_eq!(ended[0], (Outcome::Applied, false));
    for (outcome, is_old) in &ended[1..] {
        let Outcome::Skipped(Reason::Paused { why: Pause::Window { opens: Some(_) } }) = outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(is_old);
    }
}

/// Says yes until a wave.
struct Until(usize, RefCell<Vec<NextWave>>);

impl AskedForWave for Until {
    fn may_begin(&self, next: NextWave) -> Pin<Box<dyn Future<Output = bool> + '_>> {
        self.1.borrow_mut().push(next);
        Box::pin(std::future::ready(next.number < self.0))
    }
}

#[test]
fn whoever_is_asked_can_end_a_rollout_between_two_waves() {
    let asked = Until(3, RefCell::default());
    let (ended, _) = run(&[], &Pace { asked: Some(&asked), ..Pace::default() });
    let declined = Outcome::Skipped(Reason::Paused { why: Pause::Declined });
    assert_eq!(ended, [(Outcome::Applied, false), (Outcome::Applied, false), (declined, true)]);
    let wave = |number| NextWave { number, waves: 3, hosts: 1 };
    assert_eq!(*asked.1.borrow(), [wave(2), wave(3)]);
}

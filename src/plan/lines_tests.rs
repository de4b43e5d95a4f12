//! Comparing two texts, however they were chosen.

use proptest::prelude::*;

use super::*;

/// The pairs of two texts, and the steps that they took.
fn taken(old: &[&str], new: &[&str]) -> (Option<Vec<(usize, usize)>>, usize) {
    let mut steps = MOST_STEPS;
    let pairs = in_common(old, new, &mut steps);
    (pairs, MOST_STEPS - steps)
}

fn numbered(lines: impl Iterator<Item = usize>) -> Vec<String> {
    lines.map(|number| format!("line {number}")).collect()
}

fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

proptest! {
    #[test]
    fn pairs_are_equal_lines_in_order(
        old in prop::collection::vec(0..6_usize, 0..30),
        new in prop::collection::vec(0..6_usize, 0..30),
    ) {
        let (old, new) = (numbered(old.into_iter()), numbered(new.into_iter()));
        let pairs = taken(&texts(&old), &texts(&new)).0.unwrap();
        prop_assert!(pairs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        prop_assert!(pairs.iter().all(|(in_old, in_new)| old[*in_old] == new[*in_new]));
        // Nothing that could be paired is left between two pairs.
        let ends = [(old.len(), new.len())];
        let mut from = (0, 0);
        for to in pairs.iter().chain(&ends) {
            let between = &new[from.1..to.1];
            prop_assert!(!old[from.0..to.0].iter().any(|line| between.contains(line)));
            from = (to.0 + 1, to.1 + 1);
        }
    }

    #[test]
    fn one_change_of_a_line_leaves_all_others(
        lines in prop::collection::vec(0..6_usize, 1..60), place in 0..60_usize,
    ) {
        let old = numbered(lines.into_iter());
        let mut new = old.clone();
        let place = place % new.len();
        new[place] = "another".to_owned();
        let pairs = taken(&texts(&old), &texts(&new)).0.unwrap();
        prop_assert_eq!(pairs.len(), old.len() - 1);
    }
}

/// 19,999 lines each were compared in their square: seconds for each host that says so.
#[test]
fn no_texts_take_more_than_their_steps() {
    const LINES: usize = 19_999;
    let one = numbered(0..LINES);
    let other = numbered(LINES..2 * LINES);
    let reversed = numbered((0..LINES).rev());
    let shuffled = numbered((0..LINES).map(|number| number * 7_919 % LINES));
    let few = numbered((0..LINES).map(|number| number % 7));
    let fewer = numbered((0..LINES).map(|number| number * number % 5));
    for new in [&other, &reversed, &shuffled, &few] {
        let (pairs, steps) = taken(&texts(&one), &texts(new));
        assert!(pairs.is_some());
        assert!(steps < MOST_STEPS / 4, "{steps}");
    }
    // Where lines come again and again, it is given up before it begins.
    let (pairs, steps) = taken(&texts(&few), &texts(&fewer));
    assert_eq!(pairs, None);
    assert!(steps < 4 * LINES, "{steps}");
}

/// The file of a host in a mesh of a thousand, where each peer gets one more line.
#[test]
fn what_is_alike_takes_a_few_steps_for_each_line() {
    let file = |keepalive: bool| -> Vec<String> {
        let peer = |number: usize| {
            let line = keepalive.then(|| "PersistentKeepalive = 25".to_owned());
            let key = [String::new(), "[Peer]".to_owned(), format!("PublicKey = {number}")];
            let rest = ["PresharedKey = (hidden)".to_owned(), format!("AllowedIPs = {number}")];
            key.into_iter().chain(rest).chain(line)
        };
        (0..999).flat_map(peer).collect()
    };
    let (old, new) = (file(false), file(true));
    let (pairs, steps) = taken(&texts(&old), &texts(&new));
    assert_eq!(pairs.unwrap().len(), old.len());
    assert!(steps < 5 * (old.len() + new.len()), "{steps}");
}

/// Each line holds one other in place that the host's text has once more behind it: ranges in ranges.
#[test]
fn ranges_in_ranges_are_given_up() {
    let nested = |levels: usize| {
        let new = numbered((0..levels).rev());
        let mut old = Vec::new();
        for level in (0..levels).rev() {
            old.extend([format!("line {level}"), format!("line {}", level + 1)]);
            old.push("the host's".to_owned());
        }
        old.pop();
        (old, new)
    };
    let (old, new) = nested(20);
    assert!(taken(&texts(&old), &texts(&new)).0.is_some());
    let (old, new) = nested(1_000);
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let run = thread.spawn(move || taken(&texts(&old), &texts(&new)).0).unwrap();
    assert_eq!(run.join().unwrap(), None);
}

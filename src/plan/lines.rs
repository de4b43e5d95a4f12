//! Which lines two texts have in common, in order, in a bounded number of steps.
//!
//! Lines that each text has once hold the others in place, as in Bram Cohen's patience diff; what lies
//! between two of them is compared in full. One of the texts is a host's to choose: a comparison that
//! would take the square of its lines is given up.

use std::collections::HashMap;
use std::ops::Range;

/// Steps that one comparison may take: lines that are looked at, and pairs of lines that are compared.
pub(super) const MOST_STEPS: usize = 4_000_000;

/// Ranges that lie in one another: a stack has room for so many, and no two files need them.
const DEEPEST: usize = 100;

/// Pairs of equal lines, by their numbers in the two texts, both in order; not always as many as there
/// could be. `None` where that takes more than `steps`, of which it takes what it needs.
pub(super) fn in_common<'a>(
    old: &[&'a str],
    new: &[&'a str],
    steps: &mut usize,
) -> Option<Vec<(usize, usize)>> {
    let mut known: HashMap<&'a str, usize> = HashMap::new();
    let mut numbers = |lines: &[&'a str]| -> Vec<usize> {
        let number = |line: &&'a str| {
            let next = known.len();
            *known.entry(line).or_insert(next)
        };
        lines.iter().map(number).collect()
    };
    let (old, new) = (numbers(old), numbers(new));
    let mut matching = Matching { old: &old, new: &new, steps, pairs: Vec::new() };
    matching.between(0..old.len(), 0..new.len(), DEEPEST)?;
    Some(matching.pairs)
}

/// Two texts, with equal numbers for equal lines, and the pairs that were found.
struct Matching<'a> {
    old: &'a [usize],
    new: &'a [usize],
    steps: &'a mut usize,
    pairs: Vec<(usize, usize)>,
}

/// Where a line stands in each of two ranges.
#[derive(Default)]
struct Places {
    old: Vec<usize>,
    new: Vec<usize>,
}

impl Matching<'_> {
    fn spend(&mut self, steps: usize) -> Option<()> {
        *self.steps = self.steps.checked_sub(steps)?;
        Some(())
    }

    /// Adds the pairs of two ranges.
    fn between(
        &mut self,
        mut old: Range<usize>,
        mut new: Range<usize>,
        depth: usize,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.spend(old.len() + new.len())?;
        let (all_old, all_new) = (self.old, self.new);
        let head = all_old[old.clone()].iter().zip(&all_new[new.clone()]);
        let head = head.take_while(|(old, new)| old == new).count();
        self.pairs.extend((old.start..).zip(new.start..).take(head));
        (old.start, new.start) = (old.start + head, new.start + head);
        let tail = all_old[old.clone()].iter().rev().zip(all_new[new.clone()].iter().rev());
        let tail = tail.take_while(|(old, new)| old == new).count();
        (old.end, new.end) = (old.end - tail, new.end - tail);
        let ends = (old.end..).zip(new.end..).take(tail);
        let mut places: HashMap<usize, Places> = HashMap::new();
        for place in old.clone() {
            places.entry(all_old[place]).or_default().old.push(place);
        }
        for place in new.clone() {
            places.entry(all_new[place]).or_default().new.push(place);
        }
        // What only one of them has matches nothing.
        places.retain(|_, places| !places.old.is_empty() && !places.new.is_empty());
        let once = places.values().filter(|places| places.old.len() == 1 && places.new.len() == 1);
        let anchors = rising(once.map(|places| (places.old[0], places.new[0])).collect());
        if anchors.is_empty() {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for places in places.into_values() {
                left.extend(places.old);
                right.extend(places.new);
            }
            left.sort_unstable();
            right.sort_unstable();
            self.longest(&left, &right)?;
        } else {
            let (mut from_old, mut from_new) = (old.start, new.start);
            for (in_old, in_new) in anchors {
                self.between(from_old..in_old, from_new..in_new, depth)?;
                self.pairs.push((in_old, in_new));
                (from_old, from_new) = (in_old + 1, in_new + 1);
            }
            self.between(from_old..old.end, from_new..new.end, depth)?;
        }
        self.pairs.extend(ends);
        Some(())
    }

    /// Adds the most pairs that lines at these places have: the longest common subsequence.
    fn longest(&mut self, old: &[usize], new: &[usize]) -> Option<()> {
        self.spend(old.len().checked_mul(new.len())?)?;
        // How many pairs there are from each place on.
        let width = new.len() + 1;
        let mut from = vec![0_u16; (old.len() + 1) * width];
        for (row, in_old) in old.iter().enumerate().rev() {
            for (column, in_new) in new.iter().enumerate().rev() {
                let here = row * width + column;
                from[here] = if self.old[*in_old] == self.new[*in_new] {
                    from[here + width + 1] + 1
                } else {
                    from[here + width].max(from[here + 1])
                };
            }
        }
        let (mut row, mut column) = (0, 0);
        while row < old.len() && column < new.len() {
            let here = row * width + column;
            if self.old[old[row]] == self.new[new[column]] {
                self.pairs.push((old[row], new[column]));
                (row, column) = (row + 1, column + 1);
            } else if from[here + width] >= from[here + 1] {
                row += 1;
            } else {
                column += 1;
            }
        }
        Some(())
    }
}

/// The most of these pairs that rise in both numbers, each of which occurs once.
fn rising(mut pairs: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    pairs.sort_unstable();
    // For each length, the pair that ends such a sequence lowest; and for each pair the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, second)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *second);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut found: Vec<(usize, usize)> =
        std::iter::successors(ends.last().copied(), |index| before[*index])
            .map(|index| pairs[index])
            .collect();
    found.reverse();
    found
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;

//! The replay window: which counters of a session were seen (RFC 6479).

/// Words of the ring.
const WORDS: usize = 128;
const BITS: u64 = u64::BITS as u64;
/// How far behind the newest counter one is still told apart: one word of the ring is always the
/// one that is being entered.
pub(super) const SPAN: u64 = (WORDS as u64 - 1) * BITS;

/// The counters of the last 8128 messages, as a ring of words.
#[derive(Debug, Clone)]
pub struct Window {
    /// The newest counter plus one; 0 before the first.
    next: u64,
    seen: [u64; WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }
}

impl Window {
    fn place(counter: u64) -> (usize, u64) {
        let word = (counter / BITS) % WORDS as u64;
        // Below the number of words.
        (usize::try_from(word).unwrap_or_default(), 1 << (counter % BITS))
    }

    /// Whether a message with this counter would be new. Nothing is noted: the message is not
    /// proven yet.
    #[must_use]
    pub fn is_new(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        let (word, bit) = Self::place(counter);
        self.next - counter <= SPAN && self.seen[word] & bit == 0
    }

    /// Notes the counter of a proven message; `false` where it was seen before, or is too old to
    /// tell.
    pub fn note(&mut self, counter: u64) -> bool {
        if !self.is_new(counter) {
            return false;
        }
        if counter >= self.next {
            // The words between the newest and this one are entered anew.
            let newest = self.next.saturating_sub(1) / BITS;
            let ahead = (counter / BITS - newest).min(WORDS as u64);
            for step in 1..=ahead {
                self.seen[Self::place((newest + step).wrapping_mul(BITS)).0] = 0;
            }
            self.next = counter.saturating_add(1);
        }
        let (word, bit) = Self::place(counter);
        self.seen[word] |= bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edges_are_where_they_are_said_to_be() {
        let mut window = Window::default();
        assert!(window.note(0) && !window.note(0));
        assert!(window.note(SPAN) && window.note(1) && !window.note(0));
        assert!(window.note(SPAN + 1) && !window.is_new(1) && window.note(2));
        assert!(window.note(SPAN * 5) && !window.note(SPAN * 4) && window.note(SPAN * 4 + 1));
        let far = super::super::REJECT_AFTER_MESSAGES;
        assert!(window.note(far - 1) && !window.note(far - 1) && window.note(far - SPAN));
    }

    proptest! {
        /// Against a set of all counters ever seen.
        #[test]
        fn it_agrees_with_a_set(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..20_000, 0_u64..200), 1..400),
        ) {
            let mut window = Window::default();
            let mut seen: HashSet<u64> = HashSet::new();
            let mut next = 0_u64;
            for (far, jump, near) in steps {
                // Mostly around the newest, sometimes far from it on either side.
                let counter = if far { jump } else { (next + near).saturating_sub(100) };
                let fresh = (counter >= next || next - counter <= SPAN) && !seen.contains(&counter);
                prop_assert_eq!(window.is_new(counter), fresh);
                prop_assert_eq!(window.note(counter), fresh);
                if fresh {
                    seen.insert(counter);
                    next = next.max(counter + 1);
                }
            }
        }
    }
}

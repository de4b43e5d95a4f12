//! The timers, on a clock that is told.

use super::*;

const NOTHING: Due =
    Due { retry: false, gave_up: false, keepalive: false, handshake: false, zero: false };
const RETRY: Due = Due { retry: true, ..NOTHING };
const KEEPALIVE: Due = Due { keepalive: true, ..NOTHING };
const HANDSHAKE: Due = Due { handshake: true, ..NOTHING };

/// Ticks as the device does, until a moment; gives what became due, and when.
fn until(end: &mut End, from: u64, to: u64) -> Vec<(u64, Due)> {
    let ticks = (from..=to).step_by(100);
    ticks
        .filter_map(|now| {
            // What is not yet due by `next_due` never is.
            let next = end.protocol.next_due(at(now));
            let due = end.protocol.tick(at(now));
            assert!(due == NOTHING || next.is_some_and(|next| next <= at(now)));
            (due != NOTHING).then_some((now, due))
        })
        .collect()
}

fn seconds(events: &[(u64, Due)]) -> Vec<(u64, Due)> {
    events.iter().map(|(now, due)| (now / 1000, *due)).collect()
}

#[test]
fn an_initiation_is_repeated_for_ninety_seconds() {
    let (mut a, _) = End::pair(None);
    assert!(a.initiate(false, 0).is_some());
    assert!(a.initiate(false, 4900).is_none(), "not twice in five seconds");
    let (mut retries, mut now) = (0, 0);
    loop {
        let (then, due) = until(&mut a, now, now + 6000)[0];
        assert!(then - now >= 5000 && then - now <= 5400, "{then} after {now}");
        now = then;
        if due.gave_up {
            break;
        }
        assert_eq!(due, RETRY);
        retries += 1;
        assert!(a.initiate(true, now).is_some());
    }
    assert_eq!(retries, 18);
    assert!((90_000..102_000).contains(&now));
    // Nothing more happens by itself, but for the keys.
    let rest = until(&mut a, now + 100, now + 600_000);
    assert_eq!(seconds(&rest).len(), 1);
    assert!(rest[0].1.zero);
    // Something to say starts over.
    assert!(a.initiate(false, now + 700_000).is_some());
    assert_eq!(until(&mut a, now + 700_000, now + 706_000)[0].1, RETRY);
}

#[test]
fn a_persistent_keepalive_never_gives_up() {
    let (mut a, _) = End::pair(None);
    a.protocol.set_interval(25, at(0));
    let (mut now, mut keepalives) = (0, Vec::new());
    while now < 1_000_000 {
        let due = a.protocol.tick(at(now));
        if due.keepalive {
            keepalives.push(now);
        }
        // As the device does: without a session, a keepalive asks for one.
        if due.retry || due.keepalive {
            let _ = a.initiate(due.retry, now);
        }
        now += 100;
    }
    assert!(keepalives.len() > 5 && keepalives.last().is_some_and(|last| *last > 870_000));
}

#[test]
fn what_is_received_is_acknowledged_after_ten_seconds() {
    let (mut a, mut b) = End::pair(None);
    let (_, theirs) = shake(&mut a, &mut b, 0);
    let _ = b.protocol.heard(&theirs, false, at(1000));
    let _ = b.protocol.heard(&theirs, false, at(2000));
    // Two, because more came after the first was planned.
    let events = seconds(&until(&mut b, 2000, 60_000));
    assert_eq!(events, [(11, KEEPALIVE), (21, KEEPALIVE)]);
    // An answer is an acknowledgement, and a keepalive needs none.
    let _ = b.protocol.heard(&theirs, false, at(70_000));
    b.protocol.sent(false, at(71_000));
    let _ = b.protocol.heard(&theirs, true, at(72_000));
    assert_eq!(until(&mut b, 72_000, 110_000), []);
}

#[test]
fn silence_after_a_packet_asks_for_another_session() {
    let (mut a, mut b) = End::pair(None);
    let (mine, _) = shake(&mut a, &mut b, 0);
    a.protocol.sent(false, at(1000));
    a.protocol.sent(false, at(9000));
    let events = seconds(&until(&mut a, 9000, 60_000));
    assert_eq!(events, [(16, HANDSHAKE)]);
    a.protocol.sent(false, at(70_000));
    let _ = a.protocol.heard(&mine, true, at(71_000));
    assert_eq!(until(&mut a, 71_000, 110_000), []);
    // A keepalive expects no answer.
    a.protocol.sent(true, at(120_000));
    assert_eq!(until(&mut a, 120_000, 170_000), []);
}

#[test]
fn the_initiator_renews_after_two_minutes_and_nobody_believes_after_three() {
    let (mut a, mut b) = End::pair(None);
    let (mine, theirs) = shake(&mut a, &mut b, 0);
    let _ = b.protocol.heard(&theirs, false, at(0));
    let wants = |end: &End, now| end.protocol.outgoing(at(now)).initiate;
    assert!(!wants(&a, 119_999) && wants(&a, 120_000));
    assert!(!wants(&b, 179_999) && wants(&b, 180_000));
    assert!(a.sends(179_999).is_some() && a.sends(180_000).is_none());
    assert!(mine.is_expired(at(180_000)) && !mine.is_expired(at(179_999)));
    // Who only listens renews as well, once, in time for the answer.
    assert!(!a.protocol.heard(&mine, false, at(164_999)).initiate);
    assert!(a.protocol.heard(&mine, false, at(165_000)).initiate);
    assert!(!a.protocol.heard(&mine, false, at(165_001)).initiate);
    assert!(!b.protocol.heard(&theirs, false, at(170_000)).initiate, "b answered");
}

#[test]
fn keys_are_zeroed_after_nine_minutes() {
    let (mut a, mut b) = End::pair(None);
    let (mine, _) = shake(&mut a, &mut b, 0);
    let weak = Arc::downgrade(&mine);
    drop(mine);
    assert_eq!(until(&mut a, 0, 539_000), []);
    assert!(weak.upgrade().is_some());
    assert!(until(&mut a, 539_100, 540_000)[0].1.zero);
    assert!(weak.upgrade().is_none());
    assert_eq!(a.protocol.next_due(at(540_000)), None);
}

#[test]
fn a_keepalive_that_is_switched_on_is_due_at_once() {
    let (mut a, _) = End::pair(None);
    a.protocol.set_interval(25, at(1000));
    assert_eq!(until(&mut a, 1000, 1000), [(1000, KEEPALIVE)]);
    assert_eq!(until(&mut a, 1100, 60_000), [(26_000, KEEPALIVE), (51_000, KEEPALIVE)]);
    a.protocol.set_interval(5, at(60_000));
    assert_eq!(until(&mut a, 60_000, 64_900), []);
    a.protocol.set_interval(0, at(64_900));
    assert_eq!(until(&mut a, 64_900, 200_000), []);
}

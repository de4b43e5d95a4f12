// One case, as an ordinary function: tests/fuzz_cases.rs runs it on stable, too.

use std::time::{Duration, SystemTime};

use wgfleet::model::PrivateKey;
use wgfleet::tunnel::noise::{
    Checker, DATA_OVERHEAD, Identity, Introduction, MacState, Moment, Protocol, cookie_receiver,
    kind, receiver, response_receiver,
};
use zeroize::Zeroizing;

fn identity(seed: u8) -> Identity {
    Identity::new(PrivateKey::from_random(Zeroizing::new([seed; 32])))
}

/// Takes one of the four messages of a real exchange, changes it at the places that `changes`
/// names, and delivers it; then delivers `raw`, and then the real one.
pub(crate) fn run(which: u8, changes: &[(u8, u8)], raw: &[u8]) {
    let (a, b) = (identity(1), identity(2));
    let (mut of_a, mut of_b) = (Protocol::new(b.public()), Protocol::new(a.public()));
    let now = Moment::since_boot(Duration::from_secs(9));
    let from = ([192, 0, 2, 1], 51820).into();
    let mut checker = Checker::new(&b.public());
    let mut random = |bytes: &mut [u8]| bytes.fill(7);

    let time = (now, SystemTime::UNIX_EPOCH);
    let initiation = of_a.initiate(&a, false, time, &mut || 1, &mut random).expect("the first");
    let cookie = checker.reply(&initiation, from, now, &mut random).expect("a handshake message");
    let introduction = Introduction::read(&b, &initiation).expect("the real one");
    let mut answer_of_b = Protocol::new(a.public());
    let answer = answer_of_b.answer(&b, introduction, now, &mut || 2, &mut random);
    let (response, at_b) = answer.expect("the real one");

    let mut take_initiation = |message: &[u8]| {
        if checker.check(message, from, now) == MacState::Invalid {
            return false;
        }
        let Ok(introduction) = Introduction::read(&b, message) else { return false };
        introduction.remote() == a.public()
            && of_b.answer(&b, introduction, now, &mut || 3, &mut random).is_ok()
    };
    let deliver = |real: &[u8], take: &mut dyn FnMut(&[u8]) -> bool| {
        let mut altered = real.to_vec();
        for (place, bits) in changes {
            let place = usize::from(*place) % altered.len();
            altered[place] ^= bits;
        }
        for message in [&altered, raw] {
            let _ = (kind(message), receiver(message));
            let _ = (response_receiver(message), cookie_receiver(message));
            // The indices and types are looked at before.
            if message != real && !take(message) {
                continue;
            }
            if message != real {
                // The last MAC of an initiation only counts under load.
                let end = if which.is_multiple_of(4) { real.len() - 16 } else { real.len() };
                assert_eq!(message.get(8..end), real.get(8..end), "an altered message is taken");
            }
            return;
        }
        assert!(take(real), "the real message is not taken any more");
    };
    match which % 4 {
        0 => deliver(&initiation, &mut take_initiation),
        1 => deliver(&response[..60], &mut |message| of_a.complete(&a, message, now).is_ok()),
        2 => deliver(&cookie, &mut |message| of_a.take_cookie(message, now).is_ok()),
        _ => {
            let at_a = of_a.complete(&a, &response, now).expect("the real one");
            let mut message = vec![0; DATA_OVERHEAD + raw.len() % 100];
            at_a.seal(&mut message).expect("a fresh session");
            deliver(&message, &mut |message| at_b.open(&mut message.to_vec()).is_ok());
        }
    }
}

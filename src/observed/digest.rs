//! The digest of all that a plan depends on, made from a host's answer.
//!
//! The host makes the same of itself before it does a change (`state_digest` in
//! `remote/host/change.sh`): where the two differ, somebody was there in between.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::model::{Fingerprint, FingerprintKey};

/// Words of lines that change by themselves, or that the digest of a text stands for.
const PASSING: [&str; 6] = ["now", "dropped", "helper", "armed", "record", "|"];

/// Keyed SHA-256 over the lines of an answer in order of the alphabet.
pub(super) fn of(key: &FingerprintKey, answer: &str) -> Fingerprint {
    let key = key.expose_hex();
    let answer = answer.strip_suffix('\n').unwrap_or(answer);
    let mut lines: Vec<Cow<'_, str>> = answer.split('\n').filter_map(lasting).collect();
    lines.push(Cow::Borrowed(&key));
    // Some tunnels tell their peers in any order.
    lines.sort_unstable();
    let mut digest = Sha256::new();
    for line in lines {
        digest.update(line.as_bytes());
        digest.update(b"\n");
    }
    Fingerprint::from_bytes(digest.finalize().into())
}

/// What of a line does not change by itself.
fn lasting(line: &str) -> Option<Cow<'_, str>> {
    if line == "end" || line.split_once(' ').is_some_and(|(word, _)| PASSING.contains(&word)) {
        return None;
    }
    let mut fields = line.split('\t');
    if fields.next() != Some("peer") {
        return Some(Cow::Borrowed(line));
    }
    // Not its endpoint, handshake and bytes.
    let fields: Vec<&str> = fields.collect();
    let kept = [0, 1, 2, 4, 8].map(|number| fields.get(number).copied().unwrap_or_default());
    Some(Cow::Owned(format!("peer {}", kept.join(" "))))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn what_passes_is_no_part_of_it() {
        let key = FingerprintKey::from_bytes(Zeroizing::new([0xa5; 32]));
        let peer = |endpoint: &str, at: u32, keepalive: &str| {
            format!("peer\twg0\tK\tnone\t{endpoint}\t10.0.0.0/8\t{at}\t{at}\t{at}\t{keepalive}\n")
        };
        let answer = |now: u32, peer: &str, text: &str| {
            format!(
                "observe 3\nnow {now}\narmed a{now}\ntool wg\nfile 600 yes 00 /x\n| {text}\n{peer}end\n"
            )
        };
        let first = of(&key, &answer(1, &peer("(none)", 0, "25"), "one"));
        assert_eq!(of(&key, &answer(2, &peer("192.0.2.1:1", 7, "25"), "two")), first);
        assert_ne!(of(&key, &answer(1, &peer("(none)", 0, "off"), "one")), first);
        assert_ne!(
            of(&FingerprintKey::public(), &answer(1, &peer("(none)", 0, "25"), "one")),
            first
        );
        // As sort(1) and sha256sum(1) make it of these lines and the key.
        let known = "4be742cb674ef884ecc0d13ab448d9289fcc8e9bfdd89ae96e3533b5b4c8c617";
        let answer = "c\nb\npeer\tK0\tK\tnone\t-\t10.0.0.0/8\t1\t2\t3\t25\nnow 5\nend\n";
        assert_eq!(of(&key, &answer.replace("K0", "wg0")).to_string(), known);
    }
}

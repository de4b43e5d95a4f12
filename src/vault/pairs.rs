//! Preshared keys that came from elsewhere: those of pairs that had one before wgfleet did.
//!
//! ```text
//! wgfleet-pairs 2
//! number 1
//! pair hSDw…= 6Gx…= 9fb…=
//! ```
//!
//! They belong to the epoch in which they came: in the next one their pairs get derived keys, as all others
//! do. And to the two public keys, so a host whose key is rotated gets a derived one as well. The MAC in the
//! index shows that whoever wrote the file had the master of that epoch; without it a pull request could
//! bring a key that its author knows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::VaultError;
use crate::model::{PresharedKey, PublicKey};

/// The most pairs of one file.
pub(super) const MOST: usize = 4_000;

/// The bytes of a pair's line, at most.
const LINE: usize = 160;

const KIND: &str = "wgfleet-pairs 2";
const NUMBER: &str = "number";
const PAIR: &str = "pair";

/// Two public keys, the lower one first.
pub(super) type Pair = (PublicKey, PublicKey);

/// Keys of pairs.
pub(super) type Keys = BTreeMap<Pair, PresharedKey>;

/// The pair of two keys, in whichever order.
pub(super) fn pair(one: &PublicKey, other: &PublicKey) -> Pair {
    (*one.min(other), *one.max(other))
}

/// The plaintext of a file.
pub(super) fn encode<'k>(
    number: u32,
    keys: impl ExactSizeIterator<Item = (&'k Pair, &'k PresharedKey)>,
) -> Zeroizing<String> {
    // Growing would leave copies behind that nobody zeroes.
    let mut text = Zeroizing::new(String::with_capacity(LINE * (keys.len() + 2)));
    let _ = writeln!(text, "{KIND}\n{NUMBER} {number}");
    for ((one, other), key) in keys {
        let key = key.expose_base64();
        let _ = writeln!(text, "{PAIR} {one} {other} {}", key.as_str());
    }
    text
}

/// Reads the plaintext of a file.
pub(super) fn decode(path: &Path, plain: &[u8], number: u32) -> Result<Keys, VaultError> {
    let damaged = |why| VaultError::Damaged { path: path.to_owned(), why };
    let text = std::str::from_utf8(plain).map_err(|_| damaged("its plaintext is not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some(KIND) {
        return Err(damaged("its plaintext is of another kind"));
    }
    if lines.next() != Some(format!("{NUMBER} {number}").as_str()) {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "number" });
    }
    let mut keys = Keys::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [PAIR, one, other, key] = words[..] else {
            return Err(damaged("its plaintext has a line that is no pair"));
        };
        let key = PresharedKey::parse(key).map_err(|_| damaged("its plaintext holds no key"))?;
        let (Ok(one), Ok(other)) = (one.parse(), other.parse()) else {
            return Err(damaged("its plaintext names no pair"));
        };
        if keys.insert(pair(&one, &other), key).is_some() {
            return Err(damaged("its plaintext has a pair twice"));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_their_file_and_nothing_else_is_one() {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let mut keys = Keys::new();
        for byte in 1..4 {
            let psk = PresharedKey::from_bytes(Zeroizing::new([byte; 32]));
            keys.insert(pair(&key(9), &key(byte)), psk);
        }
        let text = encode(7, keys.iter());
        assert!(text.len() <= LINE * 5);
        let path = Path::new("pairs-7.age");
        let read = decode(path, text.as_bytes(), 7).unwrap();
        let exposed = |keys: &Keys| -> Vec<(Pair, [u8; 32])> {
            keys.iter().map(|(pair, key)| (*pair, *key.expose())).collect()
        };
        assert_eq!(exposed(&read), exposed(&keys));
        let last = text.lines().last().unwrap();
        for wrong in
            ["wgfleet-psk 2\n", &text.replace("pair ", "pear "), &format!("{}{last}\n", *text)]
        {
            assert!(decode(path, wrong.as_bytes(), 7).is_err(), "{wrong}");
        }
        assert!(decode(path, text.as_bytes(), 8).is_err());
    }
}

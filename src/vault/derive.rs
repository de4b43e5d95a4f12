//! What is derived from an epoch's master secret: HKDF-SHA256 (RFC 5869).
//!
//! The salt is `wgfleet vault v1`; the info is a label that ends in a zero byte, then what the
//! secret is for. Half a million pairwise PSKs of a 1,000-host mesh need no file of their own.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::{FingerprintKey, HostName, PresharedKey, PublicKey};

const SALT: &[u8] = b"wgfleet vault v1";
const PAIRWISE: &[u8] = b"pairwise psk\0";
const FINGERPRINT: &[u8] = b"fingerprint\0";
const CHECK: &[u8] = b"check\0";

fn expand<const N: usize>(master: &PresharedKey, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut output = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(SALT), master.expose())
        .expand_multi_info(info, output.as_mut_slice())
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    output
}

/// The PSK of two peers: the same whichever comes first.
pub(super) fn pairwise(
    master: &PresharedKey,
    one: &PublicKey,
    other: &PublicKey,
    epoch: u32,
) -> PresharedKey {
    let (lower, higher) = if one <= other { (one, other) } else { (other, one) };
    let info = [PAIRWISE, lower.as_bytes(), higher.as_bytes(), &epoch.to_be_bytes()];
    PresharedKey::from_bytes(expand(master, &info))
}

/// The key of the digests of a host's files.
pub(super) fn fingerprint(master: &PresharedKey, name: &HostName) -> FingerprintKey {
    FingerprintKey::from_bytes(expand(master, &[FINGERPRINT, name.as_str().as_bytes()]))
}

/// A public mark of a master secret, by which the index knows its file: 16 hex digits.
pub(super) fn check(master: &PresharedKey) -> String {
    let mark = expand::<8>(master, &[CHECK]);
    format!("{:016x}", u64::from_be_bytes(*mark))
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac as _};

    use super::*;

    fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    /// RFC 5869 by hand: extract, then one block of expand.
    #[test]
    fn a_pairwise_psk_is_hkdf_over_both_keys_and_the_epoch() {
        let master = PresharedKey::from_bytes(Zeroizing::new([7; 32]));
        let prk = hmac(b"wgfleet vault v1", &[&[7; 32]]);
        let by_hand = hmac(&prk, &[b"pairwise psk\0", &[1; 32], &[2; 32], &[0, 0, 0, 3], &[0x01]]);
        let derived = pairwise(&master, &key(2), &key(1), 3);
        assert_eq!(derived.expose(), &by_hand);
        assert_eq!(pairwise(&master, &key(1), &key(2), 3).expose(), &by_hand);
        // The same in Python: hmac, hashlib, base64 of the standard library.
        assert_eq!(*derived.expose_base64(), "jT9XFbnnE//8tVTkYI7mAY4bu9WIXLLHPAIIxO5vrMY=");
        assert_ne!(pairwise(&master, &key(1), &key(2), 4).expose(), &by_hand);
        assert_ne!(pairwise(&master, &key(1), &key(3), 3).expose(), &by_hand);
    }

    #[test]
    fn labels_keep_uses_apart() {
        let master = PresharedKey::from_bytes(Zeroizing::new([7; 32]));
        let one = fingerprint(&master, &"a".parse().unwrap());
        let other = fingerprint(&master, &"b".parse().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(check(&master).len(), 16);
        assert!(!check(&master).contains("0707"));
    }
}

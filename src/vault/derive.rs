//! What is derived from the vault's secrets: HKDF-SHA256 (RFC 5869).
//!
//! The salt is `wgfleet vault v1`; the info is a label that ends in a zero byte, then what the
//! secret is for. Half a million pairwise PSKs of a 1,000-host mesh need no file of their own.

use hkdf::Hkdf;
use jiff::Timestamp;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::FingerprintSecret;
use crate::model::{Fingerprint, FingerprintKey, HostName, PlanKey, PresharedKey, PublicKey};

const SALT: &[u8] = b"wgfleet vault v1";
const PAIRWISE: &[u8] = b"pairwise psk\0";
const FINGERPRINT: &[u8] = b"fingerprint\0";
const PLAN: &[u8] = b"saved plan\0";
const EPOCH: &[u8] = b"psk epoch\0";
const PAIRS: &[u8] = b"pairs\0";
const CHECK: &[u8] = b"check\0";

fn expand<const N: usize>(secret: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut output = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(SALT), secret)
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
    PresharedKey::from_bytes(expand(master.expose(), &info))
}

/// The key of the digests of a host's files.
pub(super) fn fingerprint(secret: &FingerprintSecret, name: &HostName) -> FingerprintKey {
    FingerprintKey::from_bytes(expand(secret.expose(), &[FINGERPRINT, name.as_str().as_bytes()]))
}

/// The key of the MACs of saved plans.
pub(super) fn plan(secret: &FingerprintSecret) -> PlanKey {
    PlanKey::from_bytes(expand(secret.expose(), &[PLAN]))
}

/// The secret of the fingerprints of a vault that has none of its own: the master of its epoch.
pub(super) fn of_epoch(master: &PresharedKey) -> FingerprintSecret {
    FingerprintSecret::from_bytes(Zeroizing::new(*master.expose()))
}

/// What only whoever has the master of the epoch before can put beside a new one.
pub(super) fn epoch_mac(
    before: &PresharedKey,
    epoch: u32,
    created: Timestamp,
    master: &PresharedKey,
) -> Fingerprint {
    let (number, time) = (epoch.to_be_bytes(), created.as_second().to_be_bytes());
    Fingerprint::from_bytes(*expand(before.expose(), &[EPOCH, &number, &time, master.expose()]))
}

/// What only whoever has the master of an epoch can put beside a file of keys of pairs.
pub(super) fn pairs_mac(
    master: &PresharedKey,
    epoch: u32,
    number: u32,
    created: Timestamp,
    plain: &[u8],
) -> Fingerprint {
    let (epoch, number) = (epoch.to_be_bytes(), number.to_be_bytes());
    let time = created.as_second().to_be_bytes();
    Fingerprint::from_bytes(*expand(master.expose(), &[PAIRS, &epoch, &number, &time, plain]))
}

/// A public mark of a secret, by which the index knows its file: 16 hex digits.
pub(super) fn check(secret: &[u8; 32]) -> String {
    let mark = expand::<8>(secret, &[CHECK]);
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
        let secret = of_epoch(&master);
        let one = fingerprint(&secret, &"a".parse().unwrap());
        let other = fingerprint(&secret, &"b".parse().unwrap());
        assert_ne!(one.expose(), other.expose());
        let of_plans = plan(&secret);
        assert_ne!(of_plans.expose(), one.expose());
        assert_eq!(
            of_plans.expose(),
            &hmac(&hmac(b"wgfleet vault v1", &[&[7; 32]]), &[b"saved plan\0", &[0x01]])
        );
        let mark = check(master.expose());
        assert_eq!(mark.len(), 16);
        assert!(!mark.contains("0707"));
    }

    #[test]
    fn the_mac_of_an_epoch_depends_on_everything_in_it() {
        let master = |byte| PresharedKey::from_bytes(Zeroizing::new([byte; 32]));
        let time = |second| Timestamp::from_second(second).unwrap();
        let mac = epoch_mac(&master(7), 2, time(1), &master(8));
        let prk = hmac(b"wgfleet vault v1", &[&[7; 32]]);
        let info: [&[u8]; 5] =
            [b"psk epoch\0", &[0, 0, 0, 2], &[0, 0, 0, 0, 0, 0, 0, 1], &[8; 32], &[0x01]];
        assert_eq!(mac, Fingerprint::from_bytes(hmac(&prk, &info)));
        for other in [
            epoch_mac(&master(6), 2, time(1), &master(8)),
            epoch_mac(&master(7), 3, time(1), &master(8)),
            epoch_mac(&master(7), 2, time(2), &master(8)),
            epoch_mac(&master(7), 2, time(1), &master(9)),
        ] {
            assert_ne!(mac, other);
        }
    }
}

//! BLAKE2s as the protocol uses it: hash, MAC, and HKDF (`WireGuard` paper, section 5.4).

use blake2::digest::consts::U16;
use blake2::{Blake2s256, Blake2sMac, Digest as _};
use hmac::{Mac as _, SimpleHmac};
use zeroize::Zeroizing;

/// A secret of 32 bytes.
pub(super) type Secret = Zeroizing<[u8; 32]>;

pub(super) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Blake2s256::new();
    for part in parts {
        state.update(part);
    }
    state.finalize().into()
}

fn keyed(key: &[u8], message: &[u8]) -> Blake2sMac<U16> {
    match <Blake2sMac<U16> as blake2::digest::KeyInit>::new_from_slice(key) {
        Ok(state) => state.chain_update(message),
        Err(_) => unreachable!("no key is longer than the 32 bytes that BLAKE2s takes"),
    }
}

/// A keyed hash of 16 bytes, under a key of at most 32.
pub(super) fn mac(key: &[u8], message: &[u8]) -> [u8; 16] {
    keyed(key, message).finalize().into_bytes().into()
}

/// Whether a keyed hash is right; takes the same time whatever the answer.
pub(super) fn is_mac(key: &[u8], message: &[u8], tag: &[u8; 16]) -> bool {
    keyed(key, message).verify(tag.into()).is_ok()
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Secret {
    match <SimpleHmac<Blake2s256> as hmac::Mac>::new_from_slice(key) {
        Ok(mut state) => {
            for part in parts {
                state.update(part);
            }
            Zeroizing::new(state.finalize().into_bytes().into())
        }
        Err(_) => unreachable!("HMAC takes a key of any length"),
    }
}

/// `Kdf_1` to `Kdf_3`: as many secrets as asked for.
pub(super) fn derive<const N: usize>(key: &[u8; 32], input: &[u8]) -> [Secret; N] {
    let root = hmac(key, &[input]);
    let mut last: Option<Secret> = None;
    std::array::from_fn(|number| {
        let count = [u8::try_from(number + 1).unwrap_or(u8::MAX)];
        let next = match &last {
            None => hmac(&root, &[&count]),
            Some(last) => hmac(&root, &[last.as_slice(), &count]),
        };
        last = Some(next.clone());
        next
    })
}

//! ChaCha20-Poly1305: once for each field of a handshake, and millions of times under one key.

use std::mem::ManuallyDrop;

use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::Rejected;
use super::message::TAG;

/// Seals a field of a handshake: `sealed` is the plaintext and room for the tag. The nonce is
/// zero, because every such key seals once.
pub(super) fn seal(key: &[u8; 32], aad: &[u8], sealed: &mut [u8]) {
    let cipher = ChaCha20Poly1305::new(key.into());
    let (text, tag) = sealed.split_at_mut(sealed.len() - TAG);
    match cipher.encrypt_in_place_detached(&[0; 12].into(), aad, text) {
        Ok(made) => tag.copy_from_slice(&made),
        // Only more than 256 GiB are too long.
        Err(_) => unreachable!("a field of a handshake is short"),
    }
}

/// Opens a field of a handshake in place; the plaintext is what comes before the tag.
pub(super) fn open(key: &[u8; 32], aad: &[u8], sealed: &mut [u8]) -> Result<(), Rejected> {
    let at = sealed.len().checked_sub(TAG).ok_or(Rejected::Malformed)?;
    let (text, tag) = sealed.split_at_mut(at);
    let tag: &[u8; TAG] = (&*tag).try_into().map_err(|_| Rejected::Malformed)?;
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher
        .decrypt_in_place_detached(&[0; 12].into(), aad, text, tag.into())
        .map_err(|_| Rejected::Forged)
}

/// Seals a cookie under a random nonce.
pub(super) fn seal_cookie(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    cookie: [u8; 16],
) -> [u8; 32] {
    let mut sealed = [0; 32];
    sealed[..16].copy_from_slice(&cookie);
    let cipher = XChaCha20Poly1305::new(key.into());
    let (text, tag) = sealed.split_at_mut(16);
    match cipher.encrypt_in_place_detached(nonce.into(), aad, text) {
        Ok(made) => tag.copy_from_slice(&made),
        Err(_) => unreachable!("a cookie is short"),
    }
    sealed
}

/// Opens a cookie.
pub(super) fn open_cookie(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    sealed: &[u8; 32],
) -> Result<[u8; 16], Rejected> {
    let (mut cookie, mut tag) = ([0; 16], [0; 16]);
    cookie.copy_from_slice(&sealed[..16]);
    tag.copy_from_slice(&sealed[16..]);
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher
        .decrypt_in_place_detached(nonce.into(), aad, &mut cookie, &tag.into())
        .map_err(|_| Rejected::Forged)?;
    Ok(cookie)
}

/// The key of one direction of a session. It is zeroed on drop.
pub(super) struct DataKey(ManuallyDrop<LessSafeKey>);

impl DataKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        match UnboundKey::new(&CHACHA20_POLY1305, key) {
            Ok(key) => Self(ManuallyDrop::new(LessSafeKey::new(key))),
            Err(_) => unreachable!("the cipher takes any 32 bytes"),
        }
    }

    fn nonce(counter: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `text` in place and gives the tag.
    pub(super) fn seal(&self, counter: u64, text: &mut [u8]) -> [u8; TAG] {
        match self.0.seal_in_place_separate_tag(Self::nonce(counter), Aad::empty(), text) {
            Ok(tag) => {
                let mut bytes = [0; TAG];
                bytes.copy_from_slice(tag.as_ref());
                bytes
            }
            // Only more than 256 GiB are too long.
            Err(_) => unreachable!("a packet is short"),
        }
    }

    /// Opens text and tag in place and gives the text.
    pub(super) fn open<'m>(
        &self,
        counter: u64,
        sealed: &'m mut [u8],
    ) -> Result<&'m mut [u8], Rejected> {
        self.0
            .open_in_place(Self::nonce(counter), Aad::empty(), sealed)
            .map_err(|_| Rejected::Forged)
    }
}

impl Drop for DataKey {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the library does not zero its keys")]
        // SAFETY: `LessSafeKey` owns nothing outside its own bytes and is never used or dropped
        // after this, because it lies in a `ManuallyDrop` of a value that is being dropped.
        unsafe {
            zeroize::zeroize_flat_type(&raw mut self.0);
        }
    }
}

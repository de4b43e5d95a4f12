//! `WireGuard` keys, one type for each role.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Why the text of a key was refused. The text itself is never repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a WireGuard key is 32 bytes in base64: 44 characters that end with '='")]
pub struct KeyError;

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    if text.len() != 44 {
        return Err(KeyError);
    }
    let mut bytes = Zeroizing::new([0_u8; 33]);
    let length = STANDARD.decode_slice(text, &mut *bytes).map_err(|_| KeyError)?;
    if length != 32 {
        return Err(KeyError);
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    key.copy_from_slice(&bytes[..32]);
    Ok(key)
}

/// A Curve25519 public key: 32 bytes, base64 in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|key| Self(*key))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A Curve25519 private key. It never prints itself, is never copied, and is zeroed on drop.
pub struct PrivateKey(Zeroizing<[u8; 32]>);

impl PrivateKey {
    /// Takes 32 random bytes and clamps them as Curve25519 wants (RFC 7748, section 5).
    #[must_use]
    pub fn from_random(mut bytes: Zeroizing<[u8; 32]>) -> Self {
        bytes[0] &= 0b1111_1000;
        bytes[31] = (bytes[31] & 0b0111_1111) | 0b0100_0000;
        Self(bytes)
    }

    /// Parses base64.
    ///
    /// # Errors
    /// [`KeyError`] where the text is not 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// The secret that only the holders of either private key know; `None` for a public key that
    /// would make it known to everyone (RFC 7748, section 6.1).
    #[must_use]
    pub fn agree(&self, public: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(public.0));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }

    /// The raw bytes, for the vault and the tunnel.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64, for the file of the host that uses the key; zeroed on drop.
    #[must_use]
    pub fn expose_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// A symmetric key of one pair of peers. It never prints itself and is zeroed on drop.
pub struct PresharedKey(Zeroizing<[u8; 32]>);

impl PresharedKey {
    /// Takes raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Parses base64.
    ///
    /// # Errors
    /// [`KeyError`] where the text is not 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }

    /// The raw bytes, for the tunnel.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64, for the file of the host that uses the key; zeroed on drop.
    #[must_use]
    pub fn expose_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(redacted)")
    }
}

/// The key of the fingerprints of a host's files. It never prints itself and is zeroed on drop.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<[u8; 32]>);

impl FingerprintKey {
    /// Takes raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// A key that everyone knows, for what is no secret.
    #[must_use]
    pub fn public() -> Self {
        Self(Zeroizing::new([0; 32]))
    }

    /// The raw bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hex digits, as the host's script takes it; zeroed on drop.
    #[must_use]
    pub fn expose_hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in self.0.as_slice() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The fingerprint of a file, from the SHA-256 of its content: what a host tells of its files is no
    /// secret between it and whoever may log in, and what a plan shows of them is keyed.
    #[must_use]
    pub fn of_file(&self, content: &Fingerprint) -> Fingerprint {
        let mut digest = Sha256::new();
        digest.update(self.expose_hex().as_bytes());
        digest.update(content.to_string().as_bytes());
        Fingerprint(digest.finalize().into())
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(redacted)")
    }
}

/// The key of the MACs of a fleet's saved plans. It never prints itself and is zeroed on drop.
pub struct PlanKey(Zeroizing<[u8; 32]>);

impl PlanKey {
    /// Takes raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PlanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanKey(redacted)")
    }
}

/// A keyed SHA-256 of something that may hold secrets: 32 bytes, hex in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes the digest's bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(KeyError);
        }
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| char::from(d).to_digit(16).ok_or(KeyError);
            let value = digit(pair[0])? * 16 + digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| KeyError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748, section 6.1: Alice's key pair.
    #[test]
    fn the_public_key_is_that_of_the_rfc() {
        let private = PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
        assert_eq!(private.public().to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    }

    /// RFC 7748, section 6.1: both sides, and a point of small order.
    #[test]
    fn two_keys_agree_on_the_secret_of_the_rfc() {
        let alice = PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
        let bob = PrivateKey::parse("XasIfmJKivtN4BDY/mpwzbFHjGueAKZiF4gcAGHoibk=");
        let Ok(bob) = bob else { panic!("a key") };
        let (one, other) = (alice.agree(&bob.public()), bob.agree(&alice.public()));
        assert!(one.is_some() && one == other);
        assert!(alice.agree(&PublicKey::from_bytes([0; 32])).is_none());
    }

    #[test]
    fn secrets_never_print_themselves() {
        let text = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
        assert_eq!(format!("{:?}", PrivateKey::parse(text).unwrap()), "PrivateKey(redacted)");
        assert_eq!(format!("{:?}", PresharedKey::parse(text).unwrap()), "PresharedKey(redacted)");
        let key = FingerprintKey::from_bytes(Zeroizing::new([0xab; 32]));
        assert_eq!(format!("{key:?}"), "FingerprintKey(redacted)");
        assert_eq!(*key.expose_hex(), "ab".repeat(32));
        let key = PlanKey::from_bytes(Zeroizing::new([0xab; 32]));
        assert_eq!(format!("{key:?}"), "PlanKey(redacted)");
        assert!(!KeyError.to_string().contains("dwdt"));
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for bad in [
            "",
            "AAAA",
            "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC8qAA==",
            "é".repeat(22).as_str(),
        ] {
            assert_eq!(bad.parse::<PublicKey>(), Err(KeyError), "{bad:?}");
        }
    }
}

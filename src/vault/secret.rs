//! The plaintexts of the vault's files: a few lines that name what they belong to.
//!
//! ```text
//! wgfleet-key 1          wgfleet-psk 1          wgfleet-fingerprint 1
//! host paris-gw          epoch 1                fleet acme
//! private 6Gx…=          master 9fb…=           secret c0D…=
//! ```

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::VaultError;
use crate::model::{FleetName, HostName, PresharedKey, PrivateKey, PublicKey};

/// The newest version of each format.
const VERSION: u32 = 1;

/// The longest plaintext that is written; the buffers never grow and so leave no copies.
const CAPACITY: usize = 256;

/// The secret that the keys of all fingerprints are derived from. It never prints itself and is
/// zeroed on drop.
pub(super) struct FingerprintSecret(PresharedKey);

impl FingerprintSecret {
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(PresharedKey::from_bytes(bytes))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for FingerprintSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintSecret(redacted)")
    }
}

fn three_lines(lines: [(&str, &str); 3]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CAPACITY));
    for (word, value) in lines {
        text.push_str(word);
        text.push(' ');
        text.push_str(value);
        text.push('\n');
    }
    text
}

/// The plaintext of a host's key.
pub(super) fn encode_key(name: &HostName, key: &PrivateKey) -> Zeroizing<String> {
    let private = key.expose_base64();
    three_lines([("wgfleet-key", "1"), ("host", name.as_str()), ("private", &private)])
}

/// The plaintext of an epoch's PSK material.
pub(super) fn encode_psk(epoch: u32, master: &PresharedKey) -> Zeroizing<String> {
    let secret = master.expose_base64();
    three_lines([("wgfleet-psk", "1"), ("epoch", &epoch.to_string()), ("master", &secret)])
}

/// The plaintext of a fleet's fingerprint secret.
pub(super) fn encode_fingerprint(
    fleet: &FleetName,
    secret: &FingerprintSecret,
) -> Zeroizing<String> {
    let text = secret.0.expose_base64();
    three_lines([("wgfleet-fingerprint", "1"), ("fleet", fleet.as_str()), ("secret", &text)])
}

/// Splits a plaintext into its three values and checks kind and version.
fn fields<'a>(
    path: &Path,
    plain: &'a [u8],
    words: [&str; 3],
) -> Result<(&'a str, &'a str), VaultError> {
    let damaged = |why| VaultError::Damaged { path: path.to_owned(), why };
    let text = std::str::from_utf8(plain).map_err(|_| damaged("its plaintext is no text"))?;
    let mut lines = text.lines();
    let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
    let version = value(words[0]).ok_or_else(|| damaged("its plaintext is of another kind"))?;
    match version.parse::<u32>() {
        Ok(VERSION) => {}
        Ok(newer) if newer > VERSION => {
            return Err(VaultError::Newer {
                path: path.to_owned(),
                found: newer.to_string(),
                known: VERSION,
            });
        }
        _ => return Err(damaged("its plaintext has no version")),
    }
    let owner = value(words[1]).ok_or_else(|| damaged("its plaintext names nobody"))?;
    let secret = value(words[2]).ok_or_else(|| damaged("its plaintext holds no secret"))?;
    if lines.next().is_some() {
        return Err(damaged("its plaintext has lines too many"));
    }
    Ok((owner, secret))
}

/// Reads the plaintext of a host's key and checks whose it is.
pub(super) fn decode_key(
    path: &Path,
    plain: &[u8],
    name: &HostName,
    public: &PublicKey,
) -> Result<PrivateKey, VaultError> {
    let (owner, secret) = fields(path, plain, ["wgfleet-key", "host", "private"])?;
    if owner != name.as_str() {
        // Only a real name is shown: whatever else is there may be anything.
        let found = owner.parse::<HostName>().map_or_else(|_| "another".to_owned(), String::from);
        return Err(VaultError::ForeignFile {
            path: path.to_owned(),
            expected: name.clone(),
            found,
        });
    }
    let key = PrivateKey::parse(secret).map_err(|_| VaultError::Damaged {
        path: path.to_owned(),
        why: "its plaintext holds no key",
    })?;
    if key.public() != *public {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "key" });
    }
    Ok(key)
}

/// Reads the plaintext of an epoch's PSK material.
pub(super) fn decode_psk(
    path: &Path,
    plain: &[u8],
    epoch: u32,
) -> Result<PresharedKey, VaultError> {
    let (owner, secret) = fields(path, plain, ["wgfleet-psk", "epoch", "master"])?;
    if owner.parse() != Ok(epoch) {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "epoch" });
    }
    PresharedKey::parse(secret).map_err(|_| VaultError::Damaged {
        path: path.to_owned(),
        why: "its plaintext holds no secret",
    })
}

/// Reads the plaintext of a fleet's fingerprint secret and checks whose it is.
pub(super) fn decode_fingerprint(
    path: &Path,
    plain: &[u8],
    fleet: &FleetName,
) -> Result<FingerprintSecret, VaultError> {
    let (owner, secret) = fields(path, plain, ["wgfleet-fingerprint", "fleet", "secret"])?;
    if owner != fleet.as_str() {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "fleet" });
    }
    let secret = PresharedKey::parse(secret).map_err(|_| VaultError::Damaged {
        path: path.to_owned(),
        why: "its plaintext holds no secret",
    })?;
    Ok(FingerprintSecret(secret))
}

//! The plaintexts of the vault's files: a few lines that name what they belong to.
//!
//! ```text
//! wgfleet-key 2          wgfleet-psk 2          wgfleet-fingerprint 2
//! host paris-gw          epoch 1                fleet acme
//! private 6Gx…=          master 9fb…=           secret c0D…=
//!                        confirmed 3
//!                        recipient age1…
//! ```
//!
//! The file of the first epoch ends with the recipients that were confirmed, and before them how many
//! times that was done. Version 1 is the same
//! without them: whatever has version 2 was made in a vault that has them.

use std::fmt::{self, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::VaultError;
use crate::model::{FleetName, HostName, PresharedKey, PrivateKey, PublicKey};

/// The newest version of each format.
const VERSION: u32 = 2;
/// The version of vaults that do not say who was confirmed.
const UNCONFIRMED: u32 = 1;

const PSK: &str = "wgfleet-psk";
const RECIPIENT: &str = "recipient";
const CONFIRMED: &str = "confirmed";

/// The longest plaintext without recipients; the buffers never grow and so leave no copies.
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

/// Who was confirmed, as the file of the first epoch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// How many times recipients were confirmed, this one included; it never gets less. 0 where the
    /// vault does not count.
    pub count: u64,
    /// All of them, sorted, as age writes them.
    pub recipients: Vec<String>,
}

fn lines(kind: &str, owner: (&str, &str), secret: (&str, &str)) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CAPACITY));
    for (word, value) in [(kind, VERSION.to_string().as_str()), owner, secret] {
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
    lines("wgfleet-key", ("host", name.as_str()), ("private", &private))
}

/// The plaintext of an epoch's PSK material. `confirmed`: for the first epoch; none for the others.
pub(super) fn encode_psk(
    epoch: u32,
    master: &PresharedKey,
    confirmed: Option<&Confirmation>,
) -> Zeroizing<String> {
    let secret = master.expose_base64();
    let head = lines(PSK, ("epoch", &epoch.to_string()), ("master", &secret));
    let mut tail = String::new();
    if let Some(Confirmation { count, recipients }) = confirmed {
        // Writing to a String cannot fail.
        let _ = writeln!(tail, "{CONFIRMED} {count}");
        for recipient in recipients {
            let _ = writeln!(tail, "{RECIPIENT} {recipient}");
        }
    }
    let mut text = Zeroizing::new(String::with_capacity(head.len() + tail.len()));
    text.push_str(&head);
    text.push_str(&tail);
    text
}

/// The plaintext of a fleet's fingerprint secret.
pub(super) fn encode_fingerprint(
    fleet: &FleetName,
    secret: &FingerprintSecret,
) -> Zeroizing<String> {
    let text = secret.0.expose_base64();
    lines("wgfleet-fingerprint", ("fleet", fleet.as_str()), ("secret", &text))
}

/// The values of a plaintext.
struct Fields<'a> {
    version: u32,
    owner: &'a str,
    secret: &'a str,
    /// How many times recipients were confirmed.
    count: u64,
    recipients: Vec<&'a str>,
}

/// Splits a plaintext into its values and checks kind and version.
fn fields<'a>(path: &Path, plain: &'a [u8], words: [&str; 3]) -> Result<Fields<'a>, VaultError> {
    let damaged = |why| VaultError::Damaged { path: path.to_owned(), why };
    let text = std::str::from_utf8(plain).map_err(|_| damaged("its plaintext is not text"))?;
    let mut lines = text.lines();
    let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
    let version = value(words[0]).ok_or_else(|| damaged("its plaintext is of another kind"))?;
    let version = match version.parse::<u32>() {
        Ok(known @ UNCONFIRMED..=VERSION) => known,
        Ok(newer) if newer > VERSION => {
            return Err(VaultError::Newer {
                path: path.to_owned(),
                found: newer.to_string(),
                known: VERSION,
            });
        }
        _ => return Err(damaged("its plaintext has no version")),
    };
    let owner = value(words[1]).ok_or_else(|| damaged("its plaintext names nobody"))?;
    let secret = value(words[2]).ok_or_else(|| damaged("its plaintext holds no secret"))?;
    let (mut count, mut recipients) = (0, Vec::new());
    for line in lines {
        let counted = line.strip_prefix(CONFIRMED).and_then(|rest| rest.strip_prefix(' '));
        let counted = counted.and_then(|text| text.parse::<u64>().ok()).filter(|count| *count > 0);
        if let Some(counted) = counted.filter(|_| version > UNCONFIRMED && words[0] == PSK)
            && count == 0
            && recipients.is_empty()
        {
            count = counted;
            continue;
        }
        let recipient = line.strip_prefix(RECIPIENT).and_then(|rest| rest.strip_prefix(' '));
        match recipient.filter(|_| version > UNCONFIRMED && words[0] == PSK) {
            Some(recipient) => recipients.push(recipient),
            None => return Err(damaged("its plaintext has lines too many")),
        }
    }
    Ok(Fields { version, owner, secret, count, recipients })
}

/// Whether a plaintext, which was decoded before, was made in a vault that says who was confirmed.
pub(super) fn of_confirmed(plain: &[u8]) -> bool {
    let line = plain.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.ends_with(b" 2")
}

/// Reads the plaintext of a host's key and checks whose it is.
pub(super) fn decode_key(
    path: &Path,
    plain: &[u8],
    name: &HostName,
    public: &PublicKey,
) -> Result<PrivateKey, VaultError> {
    let Fields { owner, secret, .. } = fields(path, plain, ["wgfleet-key", "host", "private"])?;
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

/// PSK material, as its file has it.
pub(super) struct Epoch {
    pub(super) master: PresharedKey,
    /// The recipients that were confirmed, in the file of the first epoch; none where its vault is of
    /// a version that did not say.
    pub(super) confirmed: Option<Confirmation>,
}

/// Reads the plaintext of an epoch's PSK material.
pub(super) fn decode_psk(path: &Path, plain: &[u8], epoch: u32) -> Result<Epoch, VaultError> {
    let Fields { version, owner, secret, count, recipients } =
        fields(path, plain, [PSK, "epoch", "master"])?;
    if owner.parse() != Ok(epoch) {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "epoch" });
    }
    let master = PresharedKey::parse(secret).map_err(|_| VaultError::Damaged {
        path: path.to_owned(),
        why: "its plaintext holds no secret",
    })?;
    let recipients: Vec<String> = recipients.into_iter().map(ToOwned::to_owned).collect();
    let confirmed = (version > UNCONFIRMED).then_some(Confirmation { count, recipients });
    Ok(Epoch { master, confirmed })
}

/// Reads the plaintext of a fleet's fingerprint secret and checks whose it is.
pub(super) fn decode_fingerprint(
    path: &Path,
    plain: &[u8],
    fleet: &FleetName,
) -> Result<FingerprintSecret, VaultError> {
    let Fields { owner, secret, .. } =
        fields(path, plain, ["wgfleet-fingerprint", "fleet", "secret"])?;
    if owner != fleet.as_str() {
        return Err(VaultError::Mismatch { path: path.to_owned(), what: "fleet" });
    }
    let secret = PresharedKey::parse(secret).map_err(|_| VaultError::Damaged {
        path: path.to_owned(),
        why: "its plaintext holds no secret",
    })?;
    Ok(FingerprintSecret(secret))
}

//! A plan as it is saved: its JSON, and at the very end the MAC of every byte before.
//!
//! A reviewer reads the file's words, and `apply` compares what it would do with the file's
//! fingerprints. The MAC holds the two together: who can write to the file, and does not have the
//! vault's secrets, can change neither.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::Plan;
use super::weight::{TooLarge, refuse_large};
use crate::model::{Fingerprint, PlanKey};

/// What stands between the plan and its MAC, and after that. The rest is hexadecimal digits.
const BEFORE: &str = ",\"mac\":\"";
const AFTER: &str = "\"}\n";

/// Why a saved plan cannot be believed. Nothing of the file is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// There is none where one belongs.
    #[error(
        "it does not end with the MAC that `wgfleet plan --out` writes: it was printed, edited or \
         formatted anew, or cut off"
    )]
    Missing,
    /// It is another.
    #[error(
        "its MAC does not fit: the file was changed after it was saved, or it was saved with another \
         vault than this one"
    )]
    Wrong,
}

/// Why a plan cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Nobody could read it.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// It has no JSON. Not known to happen: every value of a plan has a form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Plan {
    /// The bytes of a saved plan: its JSON without ssh's words about hosts that could not be read, which
    /// differ from one time to the next, and its MAC. A plan that compares no secrets has no key, and
    /// no MAC.
    ///
    /// # Errors
    /// [`SaveError::TooLarge`] where it could not be read again.
    pub fn to_saved(&self, key: Option<&PlanKey>) -> Result<Vec<u8>, SaveError> {
        let mut bytes = self.to_json_without_reasons()?;
        refuse_large(self, &bytes)?;
        if let Some(key) = key {
            // The MAC is the last of its fields.
            bytes.truncate(bytes.trim_ascii_end().len() - 1);
            let mac = Fingerprint::from_bytes(mac(key, &bytes).finalize().into_bytes().into());
            bytes.extend_from_slice(format!("{BEFORE}{mac}{AFTER}").as_bytes());
        }
        Ok(bytes)
    }
}

/// Checks that the bytes of a saved plan are those that somebody with this key has saved, every one of
/// them.
///
/// # Errors
/// [`MacError`].
pub fn verify(saved: &[u8], key: &PlanKey) -> Result<(), MacError> {
    let (plan, claimed) = split(saved).ok_or(MacError::Missing)?;
    mac(key, plan).verify_slice(&claimed.to_bytes()).map_err(|_| MacError::Wrong)
}

/// What comes before the MAC, and the MAC.
fn split(saved: &[u8]) -> Option<(&[u8], Fingerprint)> {
    const DIGITS: usize = 64;
    let rest = saved.strip_suffix(AFTER.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let claimed = digits.parse::<Fingerprint>().ok()?;
    // One form: `AB` is not `ab`.
    let plain = claimed.to_string() == digits;
    Some((rest.strip_suffix(BEFORE.as_bytes())?, claimed)).filter(|_| plain)
}

fn mac(key: &PlanKey, plan: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose())
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    mac.update(plan);
    mac
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;

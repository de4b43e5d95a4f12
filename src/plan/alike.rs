//! Files that differ from the wanted ones and have the same secrets.
//!
//! A host tells the text of its files without secrets, and a fingerprint of the whole. With the wanted
//! secrets in the places of the hidden ones, the text gives the fingerprint only if these are the same. So
//! a file that somebody else has written is taken over without a preshared key that seems to change.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::desired::file_digest;
use crate::model::FingerprintKey;
use crate::observed::{HIDDEN, ObservedFile};
use crate::wgconf::{Document, Section, Setting};

/// The longest secret of a file, in base64.
const SECRET: usize = 44;

/// The wanted secrets: the private key, and the preshared key of each peer.
struct Secrets<'a> {
    private: Option<&'a str>,
    shared: BTreeMap<&'a str, &'a str>,
}

impl<'a> Secrets<'a> {
    fn of(wanted: &'a str) -> Self {
        let mut secrets = Self { private: None, shared: BTreeMap::new() };
        for section in Document::of(wanted.as_bytes()).sections {
            secrets.private = section.last(Setting::PrivateKey).or(secrets.private);
            let keys = (section.last(Setting::PublicKey), section.last(Setting::PresharedKey));
            if let (Some(peer), Some(key)) = keys {
                secrets.shared.insert(peer, key);
            }
        }
        secrets
    }

    fn get(&self, section: &Section<'_>, setting: Setting) -> Option<&'a str> {
        match setting {
            Setting::PrivateKey => self.private,
            Setting::PresharedKey => self.shared.get(section.last(Setting::PublicKey)?).copied(),
            _ => None,
        }
    }
}

/// Whether a file that was seen has the secrets of a wanted content, whatever else differs. False where
/// that cannot be known.
pub(super) fn has_secrets_of(key: &FingerprintKey, wanted: &str, seen: &ObservedFile) -> bool {
    let secrets = Secrets::of(wanted);
    let document = Document::of(seen.public_text.as_bytes());
    let hidden = seen.public_text.matches(HIDDEN).count();
    // Growing would leave copies behind that nobody zeroes.
    let mut whole = Zeroizing::new(Vec::with_capacity(seen.public_text.len() + hidden * SECRET));
    for section in &document.sections {
        for line in &section.lines {
            let entry = line.entry().filter(|entry| entry.value == HIDDEN);
            let Some(entry) = entry else {
                whole.extend_from_slice(line.raw);
                continue;
            };
            let secret = entry.setting.and_then(|setting| secrets.get(section, setting));
            let Some(secret) = secret.filter(|secret| secret.len() <= SECRET) else { return false };
            whole.extend_from_slice(&line.raw[..entry.value_at]);
            whole.extend_from_slice(secret.as_bytes());
            whole.extend_from_slice(&line.raw[entry.value_at + HIDDEN.len()..]);
        }
    }
    let is = |bytes: &[u8]| file_digest(key, bytes) == seen.fingerprint;
    // Whether a line end comes last is not told.
    is(&whole) || whole.strip_suffix(b"\n").is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "YAnGyuv0nM0mBXNbDD5cMSbPGUwr7RyOPmWF1lZ9LUI=";
    const SHARED: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const PEER: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn seen(content: &str) -> ObservedFile {
        let public_text = content.replace(PRIVATE, HIDDEN).replace(SHARED, HIDDEN);
        let fingerprint = file_digest(&FingerprintKey::public(), content.as_bytes());
        ObservedFile { mode: 0o600, root: true, fingerprint, public_text }
    }

    fn same(wanted: &str, seen: &ObservedFile) -> bool {
        has_secrets_of(&FingerprintKey::public(), wanted, seen)
    }

    #[test]
    fn the_secrets_of_another_hand_are_known_for_the_same() {
        let wanted = format!(
            "# new\n[Interface]\nPrivateKey = {PRIVATE}\nMTU = 1420\n\n[Peer]\nPublicKey = {PEER}\n\
             PresharedKey = {SHARED}\n"
        );
        let by_hand = format!(
            "[Interface]\nprivatekey={PRIVATE} # mine\n[Peer]\nPresharedKey =   {SHARED}\nPublicKey = {PEER}\n"
        );
        assert!(same(&wanted, &seen(&by_hand)));
        let mut without_end = seen(by_hand.trim_end());
        without_end.public_text.push('\n');
        assert!(same(&wanted, &without_end));
        for other in [
            wanted.replace(SHARED, PRIVATE),
            wanted.replace(PRIVATE, SHARED),
            wanted.replace(PEER, SHARED),
            wanted.replace("PresharedKey", "#"),
            String::new(),
        ] {
            assert!(!same(&other, &seen(&by_hand)), "{other}");
        }
        let more =
            by_hand.replace("[Peer]", &format!("PostUp = wg set wg0 private-key {SHARED}\n[Peer]"));
        assert!(!same(&wanted, &seen(&more)), "a secret in another place is not known");
    }
}

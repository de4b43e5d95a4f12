//! Secrets that were given where they do not belong: as an argument, which every user of the machine
//! can read, or in a variable that takes a file's name. They are refused, and never repeated.

use std::ffi::OsString;
use std::ops::Range;

use super::identity::KEY_VARIABLE;
use super::{CommandError, Exit};
use crate::model::PublicKey;

/// What every variable of wgfleet begins with.
const PREFIX: &str = "WGFLEET_";

/// The characters of Bech32 behind its separator.
const BECH32: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

/// The pieces of the arguments and variables that no message may repeat.
#[derive(Default)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// Looks through everything that the user gave.
    ///
    /// # Errors
    /// An identity in an argument, or in a variable that takes a file's name.
    pub(super) fn find(
        arguments: &[OsString],
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, CommandError> {
        let mut hidden = Vec::new();
        for (number, argument) in arguments.iter().enumerate().skip(1) {
            let text = argument.to_string_lossy();
            if !identities(&text).is_empty() {
                return Err(CommandError::message(
                    Exit::Usage,
                    format!(
                        "argument {number} holds a private key, where every user of this machine can \
                         read it: treat that key as known to others"
                    ),
                )
                .hint(HINT));
            }
            hidden.extend(keys(&text).into_iter().map(|at| text[at].to_owned()));
        }
        // Keys are what wg(8) takes and tells, public ones too.
        if arguments.get(1).is_some_and(|word| word == "wg") {
            hidden.clear();
        }
        for (name, value) in variables {
            let (name, text) = (name.to_string_lossy(), value.to_string_lossy());
            if !name.starts_with(PREFIX) || name == KEY_VARIABLE {
                continue;
            }
            if !identities(&text).is_empty() {
                return Err(CommandError::message(
                    Exit::Usage,
                    format!("{name} holds a private key itself, and takes the name of a file"),
                )
                .hint(HINT));
            }
            hidden.extend(keys(&text).into_iter().map(|at| text[at].to_owned()));
        }
        Ok(Self(hidden))
    }

    /// A message without what must not be repeated.
    pub(super) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"))
    }
}

const HINT: &str = "put the content of an identity into WGFLEET_IDENTITY_KEY, or write it to stdin of \
                    a command with `--identity -`; --identity and WGFLEET_IDENTITY take a file's name";

/// Where a text holds age identities or private keys in PEM.
fn identities(text: &str) -> Vec<Range<usize>> {
    // age writes its keys in upper case, and Bech32 may be in either; both have the same length.
    let upper = text.to_ascii_uppercase();
    let mut found: Vec<Range<usize>> = Vec::new();
    for begin in ["AGE-SECRET-KEY-", "AGE-PLUGIN-"] {
        for (at, _) in upper.match_indices(begin) {
            let word = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
            let rest = &upper[at + begin.len()..];
            let word = &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())];
            let data = word.rsplit('1').next().unwrap_or_default();
            if word.contains('1') && data.len() >= 6 && data.chars().all(|c| BECH32.contains(c)) {
                found.push(at..at + begin.len() + word.len());
            }
        }
    }
    found.extend(upper.match_indices("-----BEGIN ").map(|(at, _)| at..text.len()));
    found
}

/// Where a text holds something of the form of a `WireGuard` key: a private one looks like a public.
fn keys(text: &str) -> Vec<Range<usize>> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split(|c| !base64(c)) {
        // `--key=VALUE` ends in the piece as well.
        let from = piece.len().saturating_sub(44);
        if piece.get(from..).is_some_and(|key| key.parse::<PublicKey>().is_ok()) {
            found.push(at + from..at + piece.len());
        }
        // What separates two pieces is one character of the text.
        let end = at + piece.len();
        at = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: &str = "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM";
    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    fn find(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Hidden, CommandError> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Hidden::find(&arguments, variables)
    }

    #[test]
    fn an_identity_is_refused_wherever_a_name_belongs() {
        let plugin = "AGE-PLUGIN-YUBIKEY-1QYQSZQGPQYQSZQGPQYQSZ";
        let lower = AGE.to_ascii_lowercase();
        let lines = format!("# created: today\n# public key: age1…\n{AGE}\n");
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n";
        for secret in [AGE, plugin, &lower, &lines, pem] {
            for arguments in [
                &["wgfleet", "plan", "--identity", secret][..],
                &["wgfleet", &format!("--identity={secret}"), "plan"],
                &["wgfleet", "plan", "-f", secret],
                &["wgfleet", secret],
                &["wgfleet", "wg", secret],
            ] {
                let error = find(arguments, &[]).err().unwrap();
                let number = arguments.iter().position(|one| one.contains(secret)).unwrap();
                assert_eq!(error.exit, Exit::Usage);
                assert!(error.to_string().contains(&format!("argument {number} holds")), "{error}");
                assert!(!error.to_string().contains(&secret[20..30]), "{error}");
            }
            for name in ["WGFLEET_IDENTITY", "WGFLEET_SSH_CONFIG", "WGFLEET_OTHER"] {
                let error = find(&["wgfleet", "plan"], &[(name, secret)]).err().unwrap();
                assert!(error.to_string().starts_with(name), "{error}");
                assert!(!error.to_string().contains(&secret[20..30]), "{error}");
            }
            assert!(find(&["wgfleet", "plan"], &[(KEY_VARIABLE, secret), ("X", secret)]).is_ok());
        }
    }

    #[test]
    fn names_and_public_keys_are_no_identities() {
        for name in [
            "age-plugin-yubikey-identity.txt",
            "/home/me/age-secret-key-1.txt",
            "age1yx9k024amdlzgxr3jt552mqrmnrypp3ayjlaak5nvw07h0f948qs2vecem",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW me",
        ] {
            let hidden = find(&["wgfleet", "plan", "--identity", name], &[]).ok().unwrap();
            assert_eq!(hidden.mask(name), name);
        }
    }

    #[test]
    fn a_key_in_an_argument_is_not_repeated() {
        for argument in [KEY, &format!("--host={KEY}"), &format!("é{KEY} x"), &format!("a,{KEY}")]
        {
            let hidden = find(&["wgfleet", "vault", "import", argument], &[]).ok().unwrap();
            let shown = hidden.mask(&format!("error: unexpected argument '{argument}' found"));
            assert!(!shown.contains(KEY) && shown.contains("(hidden)"), "{shown}");
        }
        let hidden = find(&["wgfleet", "plan"], &[("WGFLEET_IDENTITY", KEY)]).ok().unwrap();
        assert_eq!(hidden.mask(KEY), "(hidden)");
        let hidden = find(&["wgfleet", "wg", "set", "wg0", "peer", KEY], &[]).ok().unwrap();
        assert_eq!(hidden.mask(KEY), KEY);
    }
}

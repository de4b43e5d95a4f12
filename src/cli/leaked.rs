//! Secrets that were given where they do not belong: as an argument, which every user of the machine
//! can read, or in a variable that takes a file's name. They are refused before anything could repeat
//! them.

use std::ffi::OsString;

use super::environment::IDENTITY_KEY;
use super::{CommandError, Exit};
use crate::model::{PublicKey, secrets_in};

/// What every variable of wgfleet begins with.
const PREFIX: &str = "WGFLEET_";

/// Stands in for wg(8), which takes public keys.
const WG: &str = "wg";

/// Looks through everything that the user gave.
///
/// # Errors
/// What has the form of a key or a token, in an argument or in a variable that takes something else.
pub(super) fn refuse(
    arguments: &[OsString],
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), CommandError> {
    let words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    let mut words = words.filter(|word| !word.starts_with('-'));
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wg = first == WG;
    // What `lab exec` runs in the lab is its own words.
    let end = arguments.iter().position(|word| word == "--");
    let end = end.filter(|_| first == "lab" && second == "exec").unwrap_or(arguments.len());
    let mut before = String::new();
    for (number, argument) in arguments.iter().enumerate().take(end).skip(1) {
        let text = argument.to_string_lossy();
        let public = wg && !before.ends_with("-key") && text.parse::<PublicKey>().is_ok();
        if !public && !secrets_in(&text).is_empty() {
            return Err(CommandError::message(
                Exit::Usage,
                format!(
                    "argument {number} holds a key or a token, where every user of this machine can \
                     read it: if it is a secret, treat it as known to others"
                ),
            )
            .hint(HINT));
        }
        before = text.into_owned();
    }
    for (name, value) in variables {
        let (name, text) = (name.to_string_lossy(), value.to_string_lossy());
        if name.starts_with(PREFIX) && name != IDENTITY_KEY && !secrets_in(&text).is_empty() {
            return Err(CommandError::message(
                Exit::Usage,
                format!("{name} holds a key or a token itself, and takes the name of a file"),
            )
            .hint(HINT));
        }
    }
    Ok(())
}

const HINT: &str = "put the content of an identity into WGFLEET_IDENTITY_KEY, or write it to stdin of \
                    a command with `--identity -`; --identity and WGFLEET_IDENTITY take a file's name";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mask;

    const AGE: &str = "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM";
    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    fn find(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), CommandError> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        refuse(&arguments, variables)
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
            assert!(find(&["wgfleet", "plan"], &[(IDENTITY_KEY, secret), ("X", secret)]).is_ok());
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
            assert!(find(&["wgfleet", "plan", "--identity", name], &[]).is_ok(), "{name}");
            assert_eq!(mask(name), name);
        }
    }

    #[test]
    fn a_key_in_an_argument_is_refused_but_for_public_ones_of_wg() {
        for argument in [KEY, &format!("--host={KEY}"), &format!("é{KEY} x"), &format!("a,{KEY}")]
        {
            let error = find(&["wgfleet", "vault", "import", argument], &[]).err().unwrap();
            assert!(!error.to_string().contains(&KEY[4..20]), "{error}");
        }
        assert!(find(&["wgfleet", "plan"], &[("WGFLEET_IDENTITY", KEY)]).is_err());
        assert!(find(&["wgfleet", "wg", "set", "wg0", "peer", KEY], &[]).is_ok());
        let exec = ["wgfleet", "lab", "exec", "--name", "x", "h1", "--", "wg", "set", KEY];
        assert!(find(&exec, &[]).is_ok());
        assert!(
            find(&exec[..5], &[]).is_ok() && find(&["wgfleet", "plan", "--", KEY], &[]).is_err()
        );
        for name in ["private-key", "preshared-key"] {
            assert!(find(&["wgfleet", "wg", "set", "wg0", name, KEY], &[]).is_err());
        }
    }
}

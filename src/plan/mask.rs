//! Keys in the text of files, wherever they stand: in a hook, in a comment, in a word of a template.

use std::borrow::Cow;

use crate::model::secrets_in;
use crate::observed::HIDDEN;

/// What stands for a key in a comment, as the host's script writes it.
const HIDDEN_IN_COMMENT: &str = "(key)";

/// A configuration file's text with everything hidden that has the form of a secret, in the words that
/// the host's script has for it. Public keys are told where they stand as such, behind `PublicKey =`.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let found = secrets_in(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for range in found {
        masked.push_str(&text[from..range.start]);
        let line = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
        let comment = text[line..range.start].contains('#');
        masked.push_str(if comment { HIDDEN_IN_COMMENT } else { HIDDEN });
        from = range.end;
    }
    masked.push_str(&text[from..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    #[test]
    fn keys_are_hidden_but_where_a_public_one_belongs() {
        let text = format!(
            "PublicKey = {KEY}\nPostUp = wg set wg0 peer {KEY} # {KEY}\n# {KEY}\nMTU = 1420 # {KEY}\n"
        );
        assert_eq!(
            mask(&text),
            format!(
                "PublicKey = {KEY}\nPostUp = wg set wg0 peer (hidden) # (key)\n# (key)\n\
                 MTU = 1420 # (key)\n"
            )
        );
        assert_eq!(mask(&mask(&text)), mask(&text));
        let age =
            "PostUp = echo AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F9\n";
        assert_eq!(mask(age), "PostUp = echo (hidden)\n");
        let pem =
            "PostUp = true\n-----BEGIN PRIVATE KEY-----\nMC4CAQA\n-----END PRIVATE KEY-----\n";
        assert_eq!(mask(pem), pem.replace("MC4CAQA", "(hidden)"));
        assert!(matches!(mask("[Interface]\nMTU = 1420\n"), Cow::Borrowed(_)));
    }

    /// A template that writes the beginning of a key in PEM hid all the hooks behind it.
    #[test]
    fn what_only_pretends_to_be_a_key_is_shown() {
        let row = "MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ";
        let text = format!(
            "# -----BEGIN PRIVATE KEY-----\nPostUp = touch /root/x\nMTU=1420\n{row}\n#{row}\nAb==\n\
             # -----END PRIVATE KEY-----\nPostUp = echo '-----BEGIN PRIVATE KEY-----'; touch /root/y\n\
             PostDown = printf '-----BEGIN PRIVATE KEY-----\\n{row}\\n-----END'; touch /root/z\n\
             PreDown = {row}\n"
        );
        assert_eq!(
            mask(&text),
            "# -----BEGIN PRIVATE KEY-----\nPostUp = touch /root/x\nMTU=1420\n(hidden)\n#(key)\n\
             (hidden)\n# -----END PRIVATE KEY-----\nPostUp = echo '-----BEGIN PRIVATE KEY-----'; \
             touch /root/y\nPostDown = printf '-----BEGIN PRIVATE KEY-----\\(hidden)\\n-----END'; \
             touch /root/z\nPreDown = \
             MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ\n"
        );
    }
}

//! Reading, writing and redacting, of texts however they were chosen.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::model::{HIDDEN, secrets_in};

const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

/// Something like a file: headings, settings and comments, and what is nearly one.
fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[ \t]{0,2}\\[(interface|Peer|PEER|Interfaces|x=y)\\][ \t]{0,2}(#.{0,5})?",
        "[ \t]{0,2}(PrivateKey|presharedkey|Private Key|PublicKey|PostUp|allowedips|[a-z]{0,3})[ ]{0,2}=?[ é=,a-z0-9/.#]{0,20}",
        "(PrivateKey|PresharedKey|PublicKey|PostUp|#|[a-z]{2}) ?= ?(echo )?(#)?[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=( #x)?",
        "#?-----(BEGIN|END) PRIVATE KEY-----",
        "#.{0,10}",
        "",
    ];
    (proptest::collection::vec(line, 0..12), "\r?\n").prop_map(|(lines, end)| lines.join(&end))
}

fn heading() -> impl Strategy<Value = Heading> {
    proptest::sample::select(Heading::ALL.to_vec())
}

/// Sections with values as they are written: no blanks around them, no comments.
fn sections() -> impl Strategy<Value = Vec<(Heading, Vec<(Setting, String)>)>> {
    let setting = proptest::sample::select(Setting::ALL.to_vec());
    let settings =
        proptest::collection::vec((setting, "([a-z0-9/:.=,\\[][a-z0-9 =]{0,9}[a-z=])?"), 0..6);
    proptest::collection::vec((heading(), settings), 0..6)
}

fn joined(document: &Document<'_>) -> Vec<u8> {
    document.lines().flat_map(|line| line.raw).copied().collect()
}

proptest! {
    #[test]
    fn any_bytes_are_a_document_and_none_is_lost(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let document = Document::of(&bytes);
        prop_assert_eq!(joined(&document), &*bytes);
        let count = bytes.split(|byte| *byte == b'\n').count();
        let last = usize::from(bytes.is_empty() || bytes.ends_with(b"\n"));
        prop_assert!(document.lines().map(|line| line.number).eq(1..=count - last));
    }

    #[test]
    fn what_is_taken_apart_and_put_together_is_the_same(text in text()) {
        let document = Document::of(text.as_bytes());
        let again = joined(&document);
        prop_assert_eq!(&*again, text.as_bytes());
        prop_assert!(Document::of(&again) == document);
        for (line, plain) in document.lines().zip(text.lines()) {
            prop_assert_eq!(line.text(), plain);
            if let Some(entry) = line.entry() {
                prop_assert_eq!(&plain[entry.value_at..][..entry.value.len()], entry.value);
            }
        }
    }

    #[test]
    fn what_is_written_is_read(wanted in sections()) {
        let mut writer = Writer::with_room(1000);
        for (heading, settings) in &wanted {
            writer.blank();
            writer.heading(*heading);
            for (setting, value) in settings {
                writer.set(*setting, value);
            }
        }
        let text = writer.finish();
        let document = Document::of(text.as_bytes());
        let read: Vec<(Heading, Vec<(Setting, String)>)> = document
            .sections
            .iter()
            .filter_map(|section| {
                let settings = section.lines.iter().filter_map(Line::setting);
                let settings = settings.map(|(setting, value)| (setting, value.to_owned()));
                Some((section.heading?, settings.collect()))
            })
            .collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn redacting_leaves_no_key(text in text()) {
        let redacted = redact(&text);
        prop_assert!(secrets_in(&redacted).is_empty(), "{redacted}");
        for (setting, value) in lines(redacted.as_bytes()).filter_map(|line| line.setting()) {
            prop_assert!(!setting.is_secret() || ["", HIDDEN].contains(&value), "{redacted}");
        }
        prop_assert_eq!(redact(&redacted), &*redacted);
        prop_assert_eq!(redacted.lines().count(), text.lines().count());
    }
}

#[test]
fn names_are_read_as_they_are_written_and_in_any_case() {
    for setting in Setting::ALL {
        assert_eq!(Setting::of(setting.as_str()), Some(setting));
        assert_eq!(Setting::of(&setting.as_str().to_lowercase()), Some(setting));
        assert!(!setting.is_quick() || setting.heading() == Heading::Interface);
    }
    assert_eq!(Setting::of("Private Key"), None);
    assert_eq!(Heading::of("[PEER]"), Some(Heading::Peer));
    assert_eq!(Heading::of("[Peer"), None);
}

#[test]
fn comments_above_a_heading_belong_to_it() {
    let text = "# a\n\n# b\n[Interface] # c\nMTU = 1420 # d\n# e\n[Peer]\n# f\n\n# g\n[x]\n# h\n";
    let document = Document::of(text.as_bytes());
    let shown: Vec<_> = document
        .sections
        .iter()
        .map(|section| {
            let comments: Vec<_> = section.lines.iter().filter_map(Line::comment).collect();
            (section.heading, comments.join(" "))
        })
        .collect();
    let expected = [
        (None, "a"),
        (Some(Heading::Interface), "b c d"),
        (Some(Heading::Peer), "e f"),
        (None, "g h"),
    ];
    assert_eq!(shown, expected.map(|(heading, comments)| (heading, comments.to_owned())));
}

#[test]
fn a_list_is_one_line_or_none() {
    let mut writer = Writer::with_room(100);
    writer.list(Setting::AllowedIps, ["10.0.0.0/8", "fd00::/8"]);
    writer.list(Setting::Dns, [""; 0]);
    assert_eq!(*writer.finish(), "AllowedIPs = 10.0.0.0/8, fd00::/8\n");
}

#[test]
fn keys_are_hidden_but_where_a_public_one_belongs() {
    let text = format!(
        "PublicKey = {KEY}\nPostUp = wg set wg0 peer {KEY} # {KEY}\n# {KEY}\nMTU = 1420 # {KEY}\n"
    );
    assert_eq!(
        redact(&text),
        format!(
            "PublicKey = {KEY}\nPostUp = wg set wg0 peer (hidden) # (key)\n# (key)\n\
             MTU = 1420 # (key)\n"
        )
    );
    let age = "PostUp = echo AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F9\n";
    assert_eq!(redact(age), "PostUp = echo (hidden)\n");
    let pem = "PostUp = true\n-----BEGIN PRIVATE KEY-----\nMC4CAQA\n-----END PRIVATE KEY-----\n";
    assert_eq!(redact(pem), pem.replace("MC4CAQA", "(hidden)"));
    assert!(matches!(redact("[Interface]\nMTU = 1420\n"), Cow::Borrowed(_)));
}

#[test]
fn a_secret_setting_is_hidden_whatever_it_looks_like() {
    let text = format!(
        "[Interface]\nprivatekey=half a key # {KEY}\n[Peer]\nPreshared Key = x\nPresharedKey =\n\
         PresharedKey = {KEY}{KEY}\n"
    );
    assert_eq!(
        redact(&text),
        "[Interface]\nprivatekey=(hidden) # (key)\n[Peer]\nPreshared Key = (hidden)\n\
         PresharedKey =\nPresharedKey = (hidden)\n"
    );
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
        redact(&text),
        "# -----BEGIN PRIVATE KEY-----\nPostUp = touch /root/x\nMTU=1420\n(hidden)\n#(key)\n\
         (hidden)\n# -----END PRIVATE KEY-----\nPostUp = echo '-----BEGIN PRIVATE KEY-----'; \
         touch /root/y\nPostDown = printf '-----BEGIN PRIVATE KEY-----\\(hidden)\\n-----END'; \
         touch /root/z\nPreDown = \
         MC4CAQAwBQYDK2VwBCIEIJ8mzxhYkN7R0oS2bC1gkT5v4uQeW9aLpXyZ\n"
    );
}

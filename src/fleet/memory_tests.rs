//! What is known of a vault, and what is refused for it.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn known(first: &str, fingerprint: Option<&str>) -> Known {
    Known {
        since: "2026-01-31T12:00:00Z".to_owned(),
        first_epoch: Some(first.to_owned()),
        fingerprint: fingerprint.map(ToOwned::to_owned),
        confirmed: None,
    }
}

fn confirmed(count: u64, recipients: &[&str]) -> KnownConfirmation {
    let recipients = recipients.iter().map(|one| (*one).to_owned()).collect();
    KnownConfirmation { count, recipients }
}

#[test]
fn secrets_that_were_exchanged_are_refused() {
    let path = Path::new("/state/vault-acme.json");
    let judge = |then: Known, now: Known| {
        refuse_exchanged(path, &then, &now)
            .map_err(|error| (error.to_string(), format!("{:?}", error.advice())))
    };
    assert_eq!(judge(known("aa", Some("bb")), known("aa", Some("bb"))), Ok(()));
    // A vault of version 0.1.0 gets its fingerprint secret later.
    assert_eq!(judge(known("aa", None), known("aa", Some("bb"))), Ok(()));
    for (now, what) in [
        (
            known("cc", Some("bb")),
            "the PSK material of epoch 1 is not what this controller has known",
        ),
        (known("aa", Some("cc")), "the fingerprint secret is not what this controller has known"),
        (known("aa", None), "the fingerprint secret is not what this controller has known"),
        (
            Known { first_epoch: None, ..known("", Some("bb")) },
            "the PSK material of epoch 1 is not",
        ),
    ] {
        let (text, hints) = judge(known("aa", Some("bb")), now).unwrap_err();
        assert!(text.starts_with(what) && text.contains("since 2026-01-31T12:00:00Z"), "{text}");
        assert!(hints.contains("remove /state/vault-acme.json and run"), "{hints}");
    }
}

#[test]
fn only_later_confirmations_count() {
    let path = Path::new("/state/vault-acme.json");
    let judge = |then: &KnownConfirmation, now: &KnownConfirmation| {
        refuse_older(path, "2026-01-31T12:00:00Z", then, now).map_err(|error| error.to_string())
    };
    let before = confirmed(3, &["age1a", "age1b"]);
    let moved = judge(&before, &before).unwrap();
    assert_eq!(moved.lines(), "");
    let moved = judge(&before, &confirmed(4, &["age1a", "age1c"])).unwrap();
    assert_eq!(moved.lines(), "\n  + age1c\n  - age1b");
    for now in [
        confirmed(2, &["age1a", "age1b"]),
        confirmed(2, &["age1a", "age1c"]),
        confirmed(3, &["age1a"]),
        confirmed(0, &[]),
    ] {
        let text = judge(&before, &now).unwrap_err();
        assert!(text.contains("has seen number 3"), "{text}");
    }
}

#[test]
fn what_is_remembered_is_there_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/vault-acme.json");
    let mut memory = Memory::read(&path).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(memory.known(&names(&["age1a"])), None);
    memory.remember(&names(&["age1a", "age1b"]), &known("aa", None));
    let later = Known { since: "2026-02-01T12:00:00Z".to_owned(), ..known("cc", None) };
    memory.remember(&names(&["age1c"]), &later);
    memory.write(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Memory::read(&path).unwrap(), memory);
    // One identity of several is enough, and what is known longest counts.
    assert_eq!(memory.known(&names(&["age1x", "age1b"])), Some(&known("aa", None)));
    assert_eq!(memory.known(&names(&["age1c", "age1a"])), Some(&known("aa", None)));
    assert_eq!(memory.known(&names(&["age1x"])), None);
    for wrong in ["not json", r#"{"version":2,"vaults":{}}"#] {
        std::fs::write(&path, wrong).unwrap();
        Memory::read(&path).unwrap_err();
    }
}

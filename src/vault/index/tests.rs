//! What an index may hold, and that its file keeps it.

use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sample() -> Index {
    let mut index = Index::new("acme".parse().unwrap(), vec!["age1example".to_owned()]);
    let created = time("2026-11-22T13:00:00Z");
    index.epochs.insert(1, PskEpoch { created, check: "0123456789abcdef".to_owned(), mac: None });
    for (name, byte, state) in [
        ("paris-gw", 3, KeyState::Next),
        ("paris-gw", 2, KeyState::Current),
        ("b7", 1, KeyState::Current),
    ] {
        index.add(name.parse().unwrap(), Generation { public_key: key(byte), created, state });
    }
    index
}

#[test]
fn the_file_has_one_entry_a_line() {
    insta::assert_snapshot!(String::from_utf8(sample().to_bytes()).unwrap(), @r#"
{
  "version": 1,
  "fleet": "acme",
  "recipients": [
    "age1example"
  ],
  "psk": [
    {"epoch":1,"created":"2026-11-22T13:00:00Z","check":"0123456789abcdef"}
  ],
  "keys": [
    {"name":"b7","state":"current","public_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","created":"2026-11-22T13:00:00Z"},
    {"name":"paris-gw","state":"current","public_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","created":"2026-11-22T13:00:00Z"},
    {"name":"paris-gw","state":"next","public_key":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=","created":"2026-11-22T13:00:00Z"}
  ]
}
"#);
}

#[test]
fn ages_are_whole_days() {
    let (index, name) = (sample(), "b7".parse().unwrap());
    assert_eq!(index.age_days(&name, time("2026-12-22T12:59:59Z")), Some(29));
    assert_eq!(index.age_days(&name, time("2026-12-22T13:00:00Z")), Some(30));
    assert_eq!(index.age_days(&name, time("2026-11-01T00:00:00Z")), Some(0));
    assert_eq!(index.older_than(30, time("2026-12-22T13:00:00Z")).len(), 2);
    assert!(index.older_than(31, time("2026-12-22T13:00:00Z")).is_empty());
}

#[test]
fn what_cannot_be_true_is_refused() {
    let good = String::from_utf8(sample().to_bytes()).unwrap();
    let message = |text: String| Index::parse(text.as_bytes()).unwrap_err().to_string();
    let cases = [
        message(good.replace("\"version\": 1", "\"version\": 4")),
        message(good.replace("\"state\":\"next\"", "\"state\":\"current\"")),
        message(good.replace(
            "\"name\":\"b7\",\"state\":\"current\"",
            "\"name\":\"b7\",\"state\":\"next\"",
        )),
        message(good.replace(&key(1).to_string(), &key(2).to_string())),
        message(good.replace("2026-11-22T13:00:00Z", "yesterday")),
        message(good.replace("\"b7\"", "\"../b7\"")),
        message(good.replace("\"psk\"", "\"psks\"")),
        message(good[..good.len() / 2].to_owned()),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r#"
it has format version 4, this wgfleet knows 3: run a newer wgfleet
paris-gw has two keys that are current
b7 has keys, but none that is current
b7 and paris-gw have the same key AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
"yesterday" is not a timestamp; write it like 2026-01-31T12:00:00Z
it is not an index: a host name cannot contain '/'; use a-z, 0-9, '-' and '.' at line 11 column 19
it is not an index: unknown field `psks`, expected one of `version`, `fleet`, `recipients`, `fingerprint`, `psk`, `pairs`, `keys` at line 7 column 8
it is not an index: EOF while parsing a string at line 11 column 111
"#);
}

/// What version 0.1.0 wrote is written as it was, so that it goes on reading it; what it does not
/// know raises the version.
#[test]
fn the_version_rises_where_it_must() {
    let mut index = sample();
    let created = time("2026-11-22T13:00:00Z");
    assert_eq!(index.fingerprint_key_id(), Some("0123456789abcdef"));
    index.fingerprint = Some(FingerprintEntry { created, check: "fedcba9876543210".to_owned() });
    let mac = Some(Fingerprint::from_bytes([7; 32]));
    index.epochs.insert(2, PskEpoch { created, check: "02".repeat(8), mac });
    index.keys.clear();
    insta::assert_snapshot!(String::from_utf8(index.to_bytes()).unwrap(), @r#"
    {
      "version": 2,
      "fleet": "acme",
      "recipients": [
        "age1example"
      ],
      "fingerprint": {"created":"2026-11-22T13:00:00Z","check":"fedcba9876543210"},
      "psk": [
        {"epoch":1,"created":"2026-11-22T13:00:00Z","check":"0123456789abcdef"},
        {"epoch":2,"created":"2026-11-22T13:00:00Z","check":"0202020202020202","mac":"0707070707070707070707070707070707070707070707070707070707070707"}
      ],
      "keys": []
    }
    "#);
    assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    assert_eq!(index.fingerprint_key_id(), Some("fedcba9876543210"));
}

/// A pull request can add an epoch whose master its author knows: anyone can encrypt to the
/// recipients.
#[test]
fn an_epoch_without_proof_is_refused() {
    let good = String::from_utf8(sample().to_bytes()).unwrap();
    let entry = |epoch: &str, mac: &str| {
        let first =
            "{\"epoch\":1,\"created\":\"2026-11-22T13:00:00Z\",\"check\":\"0123456789abcdef\"}";
        let time = "2026-11-23T13:00:00Z";
        let more = format!(
            "{first},{{\"epoch\":{epoch},\"created\":\"{time}\",\"check\":\"0123456789abcdef\"{mac}}}"
        );
        Index::parse(good.replace(first, &more).as_bytes())
    };
    let mac = format!(",\"mac\":\"{}\"", "07".repeat(32));
    for (epoch, mac) in [("2", ""), ("0", ""), ("0", &mac), ("3", &mac), ("4294967295", &mac)] {
        let error = entry(epoch, mac).unwrap_err();
        assert!(matches!(error, IndexError::Unproved { .. }), "{epoch}: {error}");
    }
    // Its form is right: whoever opens it computes it.
    assert!(entry("2", &mac).is_ok());
    assert!(entry("2", ",\"mac\":\"07\"").is_err());
    let replaced = good.replace("\"epoch\":1", "\"epoch\":2");
    let error = Index::parse(replaced.as_bytes()).unwrap_err();
    assert!(matches!(error, IndexError::Unproved { epoch: 2 }), "{error}");
    let marked = good.replace("abcdef\"}", &format!("abcdef\"{mac}}}"));
    assert!(matches!(Index::parse(marked.as_bytes()), Err(IndexError::Unproved { epoch: 1 })));
}

fn any_index() -> impl Strategy<Value = Index> {
    let host = "[a-z][a-z0-9]{0,5}";
    let hosts = proptest::collection::btree_map(host, (0..3_u8, any::<bool>()), 0..8);
    (hosts, 0..4_u32, any::<bool>(), 0..4_000_000_000_i64).prop_map(
        |(hosts, epochs, own, second)| {
            let created = Timestamp::from_second(second).unwrap();
            let mut index = Index::new("acme".parse().unwrap(), vec!["age1example".to_owned()]);
            for epoch in 1..=epochs {
                let mac = (epoch > 1).then(|| Fingerprint::from_bytes([7; 32]));
                let check = format!("{epoch:016x}");
                index.epochs.insert(epoch, PskEpoch { created, check, mac });
            }
            if own {
                index.fingerprint = Some(FingerprintEntry { created, check: "f".repeat(16) });
            }
            let mut count = 0_u32;
            let mut public_key = || {
                count += 1;
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&count.to_be_bytes());
                PublicKey::from_bytes(bytes)
            };
            for (name, (retired, next)) in hosts {
                let name: HostName = name.parse().unwrap();
                let states = std::iter::repeat_n(KeyState::Retired, retired.into())
                    .chain([KeyState::Current])
                    .chain(next.then_some(KeyState::Next));
                for state in states {
                    let public_key = public_key();
                    index.add(name.clone(), Generation { public_key, created, state });
                }
            }
            index
        },
    )
}

proptest! {
    #[test]
    fn an_index_survives_its_file(index in any_index()) {
        let bytes = index.to_bytes();
        let again = Index::parse(&bytes).unwrap();
        prop_assert_eq!(&again, &index);
        prop_assert_eq!(again.to_bytes(), bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let _ = Index::parse(&bytes);
        let mut file = sample().to_bytes();
        let at = at.index(file.len());
        file.splice(at..at, bytes);
        let _ = Index::parse(&file);
    }
}

//! Whatever is fed to the reader, it answers with findings: no panic, no endless work.

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use wgfleet::inventory::{self, LockFile, allocate};
use wgfleet::report::document::Findings;
use wgfleet::report::findings;

/// Reads, allocates and renders.
fn swallow(text: String) {
    let parsed = inventory::parse(PathBuf::from("fleet.yaml"), text);
    let _ = findings::human(&parsed.findings, &parsed.sources, false);
    let _ = serde_json::to_string(&Findings::new(&parsed.findings, &parsed.sources));
    assert!(parsed.inventory.is_some() || !parsed.findings.is_empty());
    if let Some(inventory) = parsed.inventory {
        let (lock, _) = allocate(&inventory, &LockFile::default());
        assert_eq!(LockFile::parse(&lock.to_text()).expect("its own text"), lock);
        for network in &inventory.networks {
            let index = inventory.index();
            for shape in &network.links {
                if let inventory::LinkShape::Hub { hubs, .. } = shape {
                    for hub in hubs {
                        assert!(index.select(&hub.value).len() <= inventory.hosts.len());
                    }
                }
            }
        }
    }
}

/// A value of any shape, made of words that the format knows.
fn value() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "a",
        "b",
        "s",
        "g",
        "n",
        "mesh",
        "hub",
        "true",
        "false",
        "off",
        "null",
        "~",
        "51820",
        "0",
        "-1",
        "10.0.0.0/30",
        "10.0.0.1",
        "fd00::/64",
        "fd00::1",
        "a.example.com:1",
        "[::1]:1",
        "'x'",
        "\"\\u0000\"",
        "*x",
        "&x y",
        "<<",
        "!t v",
        "internet",
        "|\n  text",
        "0x10",
        "é",
    ]);
    let leaf = words.prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(", "))),
            prop::collection::vec((key(), inner), 0..5).prop_map(|v| {
                let v: Vec<String> = v.into_iter().map(|(k, v)| format!("{k}: {v}")).collect();
                format!("{{{}}}", v.join(", "))
            }),
        ]
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    let mut keys = vec!["a", "b", "s", "g", "n", "<<", "PostUp", "private_key", "x y"];
    for section in inventory::keys::SECTIONS {
        keys.extend(section.all().map(|key| key.name));
    }
    prop::sample::select(keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in any::<String>()) {
        swallow(text);
    }

    #[test]
    fn any_bytes_in_the_alphabet_of_yaml(text in "[a-c:{}\\[\\], \n\t\"'|>&*!?#%@`~<\r-]{0,80}") {
        swallow(text);
    }

    #[test]
    fn any_values_under_known_keys(sections in prop::collection::vec((key(), value()), 0..6)) {
        let mut text = String::from("fleet: f\n");
        for (key, value) in sections {
            writeln!(text, "{key}: {value}").expect("a string takes everything");
        }
        swallow(text);
    }

    #[test]
    fn a_good_file_with_one_stretch_replaced(
        from in 0_usize..2000, length in 0_usize..40, with in value(),
    ) {
        let good = include_str!("../examples/hub-and-spoke/fleet.yaml");
        let floor = |mut at: usize| {
            at = at.min(good.len());
            while !good.is_char_boundary(at) { at -= 1; }
            at
        };
        let mut text = good.to_owned();
        text.replace_range(floor(from)..floor(from + length), &with);
        swallow(text);
    }
}

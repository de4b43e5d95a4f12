// One case, as an ordinary function: tests/fuzz_cases.rs runs it on stable, too.

use wgfleet::model::{HIDDEN, secrets_in};
use wgfleet::tunnel::conf::{Conf, Dialect, strip};
use wgfleet::wgconf::{Document, lines, redact};

/// Takes any bytes for a configuration file.
pub(crate) fn run(bytes: &[u8]) {
    let document = Document::of(bytes);
    let joined: Vec<u8> = document.lines().flat_map(|line| line.raw).copied().collect();
    assert_eq!(joined, bytes, "no byte is lost");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let redacted = redact(text);
        assert!(secrets_in(&redacted).is_empty(), "no key is left");
        for (setting, value) in lines(redacted.as_bytes()).filter_map(|line| line.setting()) {
            assert!(!setting.is_secret() || ["", HIDDEN].contains(&value), "no secret is left");
        }
    }
    let _ = Conf::parse(bytes, Dialect::Wg);
    let stripped = strip(bytes);
    if let Ok(conf) = Conf::parse(bytes, Dialect::Quick) {
        let written = conf.render();
        let again =
            Conf::parse(written.as_bytes(), Dialect::Quick).expect("what was written is read");
        assert_eq!(*again.render(), *written);
        let stripped = stripped.expect("wg-quick takes it");
        Conf::parse(&stripped, Dialect::Wg).expect("what is left is for wg(8)");
    }
}

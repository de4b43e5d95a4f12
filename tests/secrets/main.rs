//! The search for secrets finds what it is to find; it is of use to the tests of whole applies.

#[expect(dead_code, reason = "tests of whole applies use the rest")]
mod scan;

use std::process::Command;

use scan::Needles;

const SECRET: [u8; 32] = *b"0123456789abcdefFEDCBA9876543210";
const BASE64: &str = "MDEyMzQ1Njc4OWFiY2RlZkZFRENCQTk4NzY1NDMyMTA=";

fn needles() -> Needles {
    Needles::new([("a key", &SECRET[..])])
}

#[test]
fn every_form_is_found_anywhere() {
    let hex: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    let raw = String::from_utf8(SECRET.to_vec()).expect("text");
    for form in [BASE64, BASE64.trim_end_matches('='), &hex, &hex.to_uppercase(), &raw] {
        let text = format!("x{form}y");
        assert_eq!(needles().found(text.as_bytes()).len(), 1, "{form}");
    }
    let file = "PrivateKey = ".to_owned() + BASE64;
    for shift in 0..3 {
        let start = &BASE64[..BASE64.len() - 1 - shift];
        assert!(needles().found(start.as_bytes()).len() <= 1, "{start}");
    }
    assert_eq!(needles().found(file.as_bytes()).len(), 1);
    assert!(needles().found(&file.as_bytes()[..file.len() - 3]).is_empty());
    assert!(needles().found(b"").is_empty());
}

#[test]
fn arguments_and_environments_are_seen() {
    for (command, place) in [
        (
            {
                let mut c = Command::new("sleep");
                c.args(["0.3"]).env("KEY", BASE64);
                c
            },
            "environment",
        ),
        (
            {
                let mut c = Command::new("sh");
                c.args(["-c", "sleep 0.3; true", BASE64]);
                c
            },
            "arguments",
        ),
    ] {
        let mut command = command;
        let watch = needles().watch_processes();
        let status = command.status().expect("it runs");
        assert!(status.success());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch.finish()));
        let message = caught.expect_err("a leak").downcast::<String>().expect("a message");
        assert!(message.contains(place), "{message}");
    }
}

#[test]
fn what_is_clean_passes() {
    let watch = needles().watch_processes();
    let output =
        Command::new("sh").args(["-c", "sleep 0.1; echo clean"]).output().expect("it runs");
    needles().assert_absent("the output", &output.stdout);
    let seen = watch.finish();
    assert!(seen.rounds > 5);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key"), BASE64).expect("written");
    std::fs::write(folder.path().join("log"), "nothing").expect("written");
    needles().assert_absent_below(folder.path(), &|path| path.ends_with("key"));
}

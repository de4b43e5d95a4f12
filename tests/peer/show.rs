//! One peer's configuration: as text, as a file, and as a code that zbarimg(1) reads.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, files};
use crate::documents::document;
use crate::{FLEET, Lines as _};

/// What a code in a picture holds.
fn decoded(picture: &Path) -> String {
    let mut zbarimg = Command::new("zbarimg");
    zbarimg.args(["--raw", "--quiet", "--oneshot", "-Sbinary"]).arg(picture);
    let output =
        zbarimg.output().expect("this test needs zbarimg: run `make test`, which installs it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The half blocks of a terminal as a picture, four pixels a module.
fn picture(blocks: &str) -> String {
    let side = blocks.lines().next().map_or(0, |line| line.chars().count());
    let mut rows: Vec<String> = Vec::new();
    for line in blocks.lines() {
        assert_eq!(line.chars().count(), side, "{blocks}");
        for dark in [&['█', '▀'], &['█', '▄']] {
            let row: Vec<&str> = line
                .chars()
                .map(|c| if dark.contains(&c) { "1 1 1 1" } else { "0 0 0 0" })
                .collect();
            rows.extend(std::iter::repeat_n(row.join(" "), 4));
        }
    }
    let mut picture = format!("P1\n{} {}\n", side * 4, rows.len());
    for row in rows {
        let _ = writeln!(picture, "{row}");
    }
    picture
}

#[test]
fn a_code_holds_the_configuration() {
    let bench = Bench::new(FLEET);
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    assert!(conf.contains("PrivateKey = ") && conf.contains("PersistentKeepalive = 25"), "{conf}");
    assert!(conf.contains("AllowedIPs = 10.9.0.0/24, fd09::/64"), "{conf}");
    assert!(!conf.contains("(hidden)") && conf.contains("PresharedKey = "), "{conf}");
    let wanted = conf.settings();

    let png = bench.outside("phone.png");
    let ran = bench.done(&["peer", "show", "phone", "--png", png.to_str().expect("a name")]);
    assert!(ran.stderr.contains("it holds the private key of `phone`"), "{ran:?}");
    assert_eq!(ran.stdout, "");
    let mode = fs::metadata(&png).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(decoded(&png).trim_end(), wanted.trim_end());

    let blocks = bench.done(&["peer", "show", "phone", "--qr"]).stdout;
    let drawn = bench.outside("phone.pbm");
    fs::write(&drawn, picture(&blocks)).expect("it can be written");
    assert_eq!(decoded(&drawn).trim_end(), wanted.trim_end());
}

#[test]
fn one_peer_is_written_and_nobody_else() {
    let bench = Bench::new(FLEET);
    let out = bench.outside("out");
    fs::create_dir(&out).expect("a folder");
    let file = out.join("phone.conf");
    let words = ["peer", "show", "phone", "--output", file.to_str().expect("a name")];
    let before = files(&bench.folder());
    let ran = bench.done(&words);
    assert_eq!(files(&out), ["phone.conf"]);
    assert_eq!(files(&bench.folder()), before);
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("it is there");
    assert_eq!(text, bench.done(&["peer", "show", "phone", "--conf"]).stdout);
    assert!(!ran.stdout.contains(text.setting("PrivateKey")));
    assert!(bench.fails(&words, 1).contains("is there already"));
}

#[test]
fn a_full_tunnel_can_be_split_for_one_handout() {
    let bench = Bench::new(FLEET);
    let whole = bench.done(&["peer", "show", "tablet", "--conf"]).stdout;
    assert!(whole.contains("AllowedIPs = 0.0.0.0/0, ::/0"), "{whole}");
    let split = bench.done(&["peer", "show", "tablet", "--conf", "--split-tunnel"]).stdout;
    assert!(split.contains("AllowedIPs = 10.9.0.0/24, fd09::/64"), "{split}");
    assert_eq!(whole.setting("PrivateKey"), split.setting("PrivateKey"));
    assert_eq!(whole.setting("DNS"), split.setting("DNS"));
    assert!(bench.inventory().contains("full_tunnel: true"), "the file stays as it is");
}

#[test]
fn nothing_secret_is_shown_unless_it_is_asked_for() {
    let bench = Bench::new(FLEET);
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    let (private, psk) = (conf.setting("PrivateKey"), conf.setting("PresharedKey"));
    // No identity is needed: there is nothing to open.
    fs::rename(bench.outside("home"), bench.outside("elsewhere")).expect("it moves");
    let shown = bench.done(&["peer", "show", "phone"]).stdout;
    assert!(shown.contains("10.9.0.3/24") && shown.contains("a.example.com:51820"), "{shown}");
    assert!(shown.contains("25 s") && shown.contains("in the vault"), "{shown}");
    let json = bench.done(&["peer", "show", "phone", "--format", "json"]).stdout;
    let value = document(json.as_bytes());
    assert_eq!(value["kind"], "peer");
    assert_eq!(value["device"]["via"][0]["name"], "a");
    assert_eq!(value["device"]["via"][0]["preshared_key"], true);
    for text in [&shown, &json] {
        assert!(!text.contains(private) && !text.contains(psk), "{text}");
    }
    assert!(bench.fails(&["peer", "show", "phone", "--conf"], 10).contains("identity"));
    let said = bench.fails(&["peer", "show", "phone", "--qr", "--format", "json"], 64);
    assert!(said.contains("no secret is printed as JSON"), "{said}");
}

#[test]
fn what_cannot_be_handed_out_is_refused() {
    let bench = Bench::new(FLEET);
    let said = bench.fails(&["peer", "show", "phome"], 64);
    assert!(said.contains("did you mean `phone`?"), "{said}");
    let said = bench.fails(&["peer", "show", "b"], 64);
    assert!(said.contains("`b` is a managed host"), "{said}");
    let shown = bench.done(&["peer", "show", "partner"]).stdout;
    assert!(shown.contains("only the peer has it") && shown.contains("off: nobody"), "{shown}");
    let said = bench.fails(&["peer", "show", "partner", "--conf"], 10);
    assert!(said.contains("only `partner` has its private key"), "{said}");
    let said = bench.fails(&["peer", "show", "phone", "--qr", "--conf"], 64);
    assert!(said.contains("cannot be used with"), "{said}");
    Command::new("git").arg("-C").arg(bench.folder()).args(["init", "-q"]).status().expect("git");
    let said = bench.fails(&["peer", "show", "phone", "--png", "phone.png"], 10);
    assert!(said.contains("work tree"), "{said}");
    assert!(!bench.folder().join("phone.png").exists());
}

#[test]
fn a_code_that_no_phone_reads_says_what_to_leave_out() {
    let lans: Vec<String> = (0..90).map(|net| format!("192.168.{net}.0/24")).collect();
    let inventory = FLEET
        .replace("  b: {", &format!("  b: {{ subnets: [{}],", lans.join(", ")))
        .replace("phone: { via: a,", "phone: { via: [a, b],");
    let bench = Bench::new(&inventory);
    let said = bench.fails(&["peer", "show", "phone", "--qr"], 64);
    for wanted in ["bytes without its comments", "1200", "full_tunnel: true", "2 hosts", "--output"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let conf = bench.done(&["peer", "show", "phone", "--conf"]).stdout;
    assert!(conf.settings().len() > 1200);
    // A full tunnel leaves them out.
    bench.done(&["peer", "show", "tablet", "--qr"]);
}

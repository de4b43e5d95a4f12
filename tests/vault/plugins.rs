//! age plugins: programs that hold keys. The toy of these tests speaks the protocol for real.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::bench::{Bench, host};
use crate::command_line::on_a_terminal;

const RECIPIENT: &str = "age1toy1qyqszqgpqyqszqgpqyqszqgpqyxls4sz";
const IDENTITY: &str = "AGE-PLUGIN-TOY-1QYQSZQGPQYQSZQGPQYQSZQGPQY5HRXEA";
const EVIL: &str = "age1evil1qyqszqgpqyqszqgpqyqszqgpqy2zpnfv";
const ABSENT: &str = "age1absent1qyqszqgpqyqszqgpqyqszqgpqy87pgvk";
const ABSENT_IDENTITY: &str = "AGE-PLUGIN-ABSENT-1QYQSZQGPQYQSZQGPQYQSZQGPQYKP0JRD";

fn install(bench: &Bench, name: &str) {
    let path = bench.path("plugins").join(format!("age-plugin-{name}"));
    fs::create_dir_all(bench.path("plugins")).unwrap();
    fs::write(&path, include_str!("age-plugin-toy.sh")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn mode(bench: &Bench, mode: &str) {
    fs::write(bench.path("plugins/mode"), mode).unwrap();
}

/// How often a plugin was run.
fn runs(bench: &Bench) -> usize {
    fs::read_to_string(bench.path("plugins/runs")).map_or(0, |text| text.lines().count())
}

fn identity(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.path(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// `wgfleet` without a terminal, with the bench's plugins in PATH.
fn wgfleet(bench: &Bench, args: &[&str]) -> Output {
    let mut command = Command::new("setsid");
    command.args(["-w", "timeout", "30", env!("CARGO_BIN_EXE_wgfleet")]).args(args);
    command
        .env_clear()
        .env("PATH", format!("/usr/bin:/bin:{}", bench.path("plugins").display()))
        .env("HOME", bench.path("home"))
        .current_dir(bench.root.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A vault that the plugin's identity opens too.
fn shared() -> Bench {
    let bench = Bench::new();
    install(&bench, "toy");
    bench.add_recipient(&format!("# Ada's key ring\n{RECIPIENT}"));
    let rekey = ["vault", "rekey", "--yes", "--identity", "identity.txt"];
    let output = wgfleet(&bench, &rekey);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("(Ada's key ring) [runs age-plugin-toy]"), "{output:?}");
    bench
}

fn verify(identity: &str) -> [&str; 5] {
    ["vault", "status", "--verify", "--identity", identity]
}

#[test]
fn a_plugin_opens_the_vault_and_encrypts_to_it() {
    let bench = shared();
    let yubikey = format!("# Serial: 1, Slot: 1\n#    Recipient: {RECIPIENT}\n{IDENTITY}\n");
    let own = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let other = identity(&bench, "other.txt", "");
    fs::remove_file(&other).unwrap();
    wgfleet::vault::identity::create(
        Path::new(&other),
        bench.root.path(),
        None,
        crate::bench::now(),
    )
    .unwrap();
    let foreign = fs::read_to_string(&other).unwrap();
    // Alone, behind a key that opens nothing, and together with one that opens all.
    for text in [&yubikey, IDENTITY, &format!("{foreign}{IDENTITY}\n"), &format!("{yubikey}{own}")]
    {
        let path = identity(&bench, "plugin.txt", text);
        let before = runs(&bench);
        let output = wgfleet(&bench, &verify(&path));
        assert!(output.status.success(), "{text}: {}", errors(&output));
        // Where a key opens it, nobody has to touch anything.
        assert_eq!(runs(&bench) == before, text.contains(own.as_str()), "{text}");
    }
    // Whoever has nothing but the plugin goes on, rekeys, and loses nothing.
    let path = identity(&bench, "plugin.txt", &yubikey);
    let output = wgfleet(&bench, &["vault", "keygen", "c", "--identity", &path]);
    assert!(output.status.success(), "{}", errors(&output));
    let recipients = bench.path("vault/recipients.txt");
    fs::write(&recipients, format!("{RECIPIENT}\n")).unwrap();
    for identity in [&path, &identity(&bench, "bare.txt", IDENTITY)] {
        let output = wgfleet(&bench, &["vault", "rekey", "--yes", "--identity", identity]);
        assert!(output.status.success(), "{}", errors(&output));
    }
    assert!(wgfleet(&bench, &verify(&path)).status.success());
    assert_eq!(wgfleet(&bench, &verify("identity.txt")).status.code(), Some(10));
    let key = bench.key_file("c");
    assert!(fs::read_to_string(key).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
}

#[test]
fn a_vault_is_made_for_a_plugin() {
    let bench = Bench::new();
    install(&bench, "toy");
    let bare = identity(&bench, "bare.txt", IDENTITY);
    let init = |identity: &str, more: &[&str]| {
        let init = ["vault", "init", "--fleet", "acme", "-f", "second/fleet.yaml"];
        wgfleet(&bench, &[&init[..], &["--identity", identity], more].concat())
    };
    let output = init(&bare, &[]);
    assert_eq!(output.status.code(), Some(10));
    assert!(errors(&output).contains("`# recipient: age1…`"), "{}", errors(&output));
    let output = init(&bare, &["--recipient", RECIPIENT]);
    assert!(output.status.success(), "{}", errors(&output));
    fs::remove_dir_all(bench.path("second")).unwrap();
    let told = identity(&bench, "told.txt", &format!("# public key: {RECIPIENT}\n{IDENTITY}\n"));
    assert!(init(&told, &[]).status.success());
    let output = wgfleet(&bench, &[&verify(&told)[..], &["-f", "second/fleet.yaml"]].concat());
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn a_plugin_asks_on_the_terminal_once_and_never_elsewhere() {
    let bench = shared();
    let path = identity(&bench, "plugin.txt", IDENTITY);
    mode(&bench, "pin");
    let output = wgfleet(&bench, &verify(&path));
    assert_eq!(output.status.code(), Some(10));
    let said = errors(&output);
    let asks = "age-plugin-toy for ./vault/";
    assert!(said.contains(asks) && said.contains("it asks \"Enter the PIN\""), "{said}");
    assert!(said.contains("no terminal"), "{said}");
    // Four files, one PIN.
    let (code, shown) =
        on_a_terminal(&bench, "vault status --verify --identity plugin.txt", &["1234"]);
    assert_eq!((code, shown.matches("Enter the PIN: ").count()), (Some(0), 1), "{shown}");
    assert!(!shown.contains("1234"), "{shown}");
    // A wrong one is tried once, not once for each file.
    let (code, shown) =
        on_a_terminal(&bench, "vault status --verify --identity plugin.txt", &["9"]);
    assert_eq!((code, shown.matches("Enter the PIN: ").count()), (Some(10), 1), "{shown}");
    assert!(shown.contains("it says: ") && shown.contains("wrong PIN"), "{shown}");
    mode(&bench, "touch");
    assert!(wgfleet(&bench, &verify(&path)).status.success());
    let (code, shown) = on_a_terminal(&bench, "vault status --verify --identity plugin.txt", &[]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("age-plugin-toy: Touch the key"), "{shown}");
    mode(&bench, "confirm");
    let output = wgfleet(&bench, &verify(&path));
    assert!(errors(&output).contains("it asks \"Insert the key\""), "{}", errors(&output));
}

#[test]
fn a_plugin_that_fails_is_named_with_what_to_do() {
    let bench = shared();
    let path = identity(&bench, "plugin.txt", IDENTITY);
    for (how, said) in [("die", "it ended before it had answered"), ("refuse", "the card is gone")]
    {
        mode(&bench, how);
        let output = wgfleet(&bench, &verify(&path));
        assert_eq!(output.status.code(), Some(10), "{how}");
        assert!(errors(&output).contains(said), "{how}: {}", errors(&output));
        let output = wgfleet(&bench, &["vault", "keygen", "c", "--identity", "identity.txt"]);
        assert_eq!(output.status.code(), Some(10), "{how}");
        assert!(errors(&output).contains(said), "{how}: {}", errors(&output));
        assert!(bench.vault().index().current(&host("c")).is_none());
    }
    let absent = identity(&bench, "absent.txt", ABSENT_IDENTITY);
    let output = wgfleet(&bench, &verify(&absent));
    let said = errors(&output);
    assert!(said.contains("age-plugin-absent") && said.contains("it is not in PATH"), "{said}");
    assert!(said.contains("cargo install age-plugin-absent"), "{said}");
    // A folder that depends on where one stands may be a stranger's.
    let output = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
        .args(verify(&path))
        .env("PATH", "/usr/bin:plugins")
        .env("HOME", bench.path("home"))
        .env_remove("XDG_STATE_HOME")
        .current_dir(bench.root.path())
        .output()
        .unwrap();
    assert!(errors(&output).contains("relative folder `plugins`"), "{}", errors(&output));
}

/// A pull request adds a recipient: encrypting to it would run a program that it names.
#[test]
fn no_plugin_is_run_for_a_recipient_that_no_rekey_confirmed() {
    let bench = shared();
    install(&bench, "evil");
    let index = fs::read(bench.path("vault/index.json")).unwrap();
    bench.add_recipient(EVIL);
    bench.add_recipient(ABSENT);
    let before = runs(&bench);
    let key = bench.path("key");
    fs::write(&key, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n").unwrap();
    for args in [
        &["vault", "keygen", "c"][..],
        &["vault", "status"],
        &["vault", "status", "--verify", "--identity", "identity.txt"],
        &["vault", "recipients"],
        // It asks, and there is nobody.
        &["vault", "rekey", "--identity", "identity.txt"],
        &["vault", "init", "--fleet", "acme", "--identity", "identity.txt"],
    ] {
        let output = wgfleet(&bench, args);
        assert_eq!(runs(&bench), before, "{args:?} runs a plugin: {output:?}");
        if args.contains(&"keygen") {
            let said = errors(&output);
            let runs = format!("+ {EVIL} [runs age-plugin-evil] would be able to read");
            assert!(output.status.code() == Some(10) && said.contains(&runs), "{said}");
        }
    }
    assert_eq!(fs::read(bench.path("vault/index.json")).unwrap(), index);
    // A new vault runs none for whom nobody asked for.
    fs::create_dir_all(bench.path("second/vault")).unwrap();
    fs::write(bench.path("second/vault/recipients.txt"), format!("{EVIL}\n")).unwrap();
    let init = ["vault", "init", "--fleet", "acme", "-f", "second/fleet.yaml"];
    let output = wgfleet(&bench, &[&init[..], &["--identity", "identity.txt"]].concat());
    assert_eq!(output.status.code(), Some(10));
    assert_eq!(runs(&bench), before, "{output:?}");
}

//! Where identities come from, and that none is ever repeated or inherited.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use wgfleet::vault::identity;

use crate::bench::{Bench, now};

/// `wgfleet` on the bench, with no identity but what a test gives it.
fn wgfleet(bench: &Bench) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", bench.path("home"))
        .current_dir(bench.root.path())
        .stdin(Stdio::null());
    command
}

fn spawn(command: &mut Command, stdin: &[u8]) -> Child {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child
}

fn with_stdin(command: &mut Command, stdin: &[u8]) -> Output {
    spawn(command, stdin).wait_with_output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_opens(output: &Output) {
    assert!(output.status.success(), "{}", errors(output));
}

const VERIFY: [&str; 3] = ["vault", "status", "--verify"];

#[test]
fn an_identity_comes_from_a_variable_or_stdin_with_its_comments() {
    let bench = Bench::new();
    let file = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let bare = file.lines().last().unwrap().to_owned();
    let dos = file.replace('\n', "\r\n");
    let many = format!("# mine\n\n  {bare}  \n# an old one\n{}", other(&bench));
    for text in [&file, &bare, &dos, &many] {
        assert_opens(
            &wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", text).args(VERIFY).output().unwrap(),
        );
        let piped =
            with_stdin(wgfleet(&bench).args(VERIFY).args(["--identity", "-"]), text.as_bytes());
        assert_opens(&piped);
    }
    // An OpenSSH key, as CI systems keep it: without its last line break too.
    let key = bench.path("id");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .expect("apt-get install openssh-client");
    assert!(made.success());
    bench.add_recipient(&fs::read_to_string(key.with_extension("pub")).unwrap());
    bench.vault().rekey(&bench.identities, now()).unwrap();
    let ssh = fs::read_to_string(&key).unwrap();
    for text in [ssh.as_str(), ssh.trim_end()] {
        assert_opens(
            &wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", text).args(VERIFY).output().unwrap(),
        );
    }
    // A vault can be made with it as well.
    let init = ["vault", "init", "--fleet", "acme", "-f", "second/fleet.yaml"];
    let output = wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", &file).args(init).output().unwrap();
    assert_opens(&output);
    assert!(errors(&output).contains("using the identity of WGFLEET_IDENTITY_KEY"));
    assert!(!bench.path("home/.config").exists(), "no other identity was made");
}

/// The text of an identity that opens nothing here.
fn other(bench: &Bench) -> String {
    let path = bench.path("other.txt");
    let _ = fs::remove_file(&path);
    identity::create(&path, bench.root.path(), None, now()).unwrap();
    fs::read_to_string(path).unwrap()
}

/// The argument, then the key itself, then the name of its file, then the place where init puts it.
#[test]
fn the_nearest_identity_is_the_one_that_is_used() {
    let bench = Bench::new();
    let right = bench.path("identity.txt");
    let text = fs::read_to_string(&right).unwrap();
    let wrong = other(&bench);
    let default = bench.path("home/.config/wgfleet/identity-acme.txt");
    fs::create_dir_all(default.parent().unwrap()).unwrap();
    let place = |text: &str| {
        fs::write(&default, text).unwrap();
        fs::set_permissions(&default, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let run = |argument: Option<&str>, key: Option<&str>, file: Option<&str>| {
        let mut command = wgfleet(&bench);
        command.args(VERIFY).envs(key.map(|key| ("WGFLEET_IDENTITY_KEY", key)));
        command.envs(file.map(|file| ("WGFLEET_IDENTITY", file)));
        command.args(argument.map(|file| format!("--identity={file}"))).output().unwrap()
    };
    place(&wrong);
    assert_eq!(run(None, None, None).status.code(), Some(10));
    assert_opens(&run(None, None, Some("identity.txt")));
    assert_opens(&run(None, Some(&text), Some("other.txt")));
    assert_opens(&run(Some("identity.txt"), Some(&wrong), Some("other.txt")));
    assert_eq!(run(Some("other.txt"), Some(&text), None).status.code(), Some(10));
    assert_eq!(run(None, Some(&wrong), Some("identity.txt")).status.code(), Some(10));
    // A secret that a job may not have arrives as an empty variable.
    place(&text);
    for empty in ["", " \n"] {
        assert_opens(&run(None, Some(empty), Some("")));
    }
    assert_opens(&run(None, Some(""), Some("identity.txt")));
}

#[test]
fn what_cannot_be_read_says_what_to_give_instead() {
    let bench = Bench::new();
    let status = ["vault", "status", "--verify", "--identity", "-"];
    let output = with_stdin(wgfleet(&bench).args(status), b"");
    assert_eq!(output.status.code(), Some(10));
    assert!(errors(&output).contains("stdin is empty"), "{}", errors(&output));

    let output =
        with_stdin(wgfleet(&bench).args(["plan", "-f", "-", "--identity", "-"]), b"fleet: a");
    assert_ne!(output.status.code(), Some(0));
    fs::write(bench.path("fleet.yaml"), INVENTORY).unwrap();
    let both = ["render", "-o", "out", "-f", "-", "--lock", "fleet.lock", "--identity", "-"];
    let output = with_stdin(wgfleet(&bench).args(both), INVENTORY.as_bytes());
    assert_eq!(output.status.code(), Some(64), "{}", errors(&output));
    assert!(errors(&output).contains("cannot both come from stdin"), "{}", errors(&output));

    // A terminal, where a key would be typed for all to see.
    let shown = Command::new("setsid")
        .args(["-w", "timeout", "20", "script", "-qec"])
        .arg(format!("{} {}", env!("CARGO_BIN_EXE_wgfleet"), status.join(" ")))
        .arg("/dev/null")
        .env("HOME", bench.path("home"))
        .env_remove("XDG_STATE_HOME")
        .current_dir(bench.root.path())
        .stdin(Stdio::null())
        .output()
        .expect("apt-get install bsdutils util-linux");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(64), "{text}");
    assert!(text.contains("which is a terminal"), "{text}");

    let output =
        wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", "identity.txt").args(VERIFY).output().unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(
        errors(&output).contains("WGFLEET_IDENTITY the name of its file"),
        "{}",
        errors(&output)
    );
}

const INVENTORY: &str = "fleet: acme
networks: { n: { prefixes: 10.9.0.0/24, links: mesh } }
hosts:
  a: { address: 10.9.0.1, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.1:51820' }
  b: { address: 10.9.0.2, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.2:51820' }
";

/// The reported case first: the content where the name of a file belongs.
#[test]
fn a_key_that_is_given_as_a_name_is_never_repeated() {
    let bench = Bench::new();
    fs::write(bench.path("fleet.yaml"), INVENTORY).unwrap();
    let file = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let age = file.lines().last().unwrap().to_owned();
    let wireguard = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n";
    for secret in [&age, &file, &age.to_lowercase(), wireguard, pem] {
        let part = secret.lines().last().unwrap();
        let part = &part[part.len() - 24..part.len() - 4];
        let quiet = |output: &Output, what: &str| {
            let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), errors(output));
            assert!(!output.status.success(), "{what}: {text}");
            assert!(!text.to_lowercase().contains(&part.to_lowercase()), "{what}: {text}");
        };
        for name in ["WGFLEET_IDENTITY", "WGFLEET_SSH_CONFIG", "WGFLEET_INCLUDE_FROM"] {
            for words in [&["plan", "--connect-timeout", "1"][..], &["plan", "--nonsense"]] {
                quiet(&wgfleet(&bench).env(name, secret).args(words).output().unwrap(), name);
            }
        }
        for words in [
            &["plan", "--identity", secret][..],
            &["plan", &format!("--identity={secret}")],
            &["plan", "-f", secret],
            &["plan", secret, secret],
            &["--nonsense", secret],
            &["vault", "import", "a", secret],
            &["vault", "init", "--fleet", "acme", "--recipient", secret],
            &["vault", "init", "--fleet", secret],
            &["vault", "keygen", secret],
            &["rotate", "--older-than", secret],
            &["plan", "--limit", secret],
            &[secret],
        ] {
            quiet(
                &wgfleet(&bench).args(words).output().unwrap(),
                &words[..2.min(words.len())].join(" "),
            );
        }
        if secret != wireguard {
            let output =
                wgfleet(&bench).env("WGFLEET_IDENTITY", secret).args(VERIFY).output().unwrap();
            assert_eq!(output.status.code(), Some(64));
            assert!(errors(&output).contains("put the content of an identity into"));
        }
    }
    // A file that is no identity, or a damaged one, is not quoted either.
    for text in [format!("{age}X"), format!("x {age}"), age[..60].to_owned()] {
        for output in [
            wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", &text).args(VERIFY).output().unwrap(),
            with_stdin(wgfleet(&bench).args(VERIFY).args(["--identity", "-"]), text.as_bytes()),
        ] {
            assert_eq!(output.status.code(), Some(10));
            assert!(!errors(&output).contains(&age[20..50]), "{}", errors(&output));
        }
    }
    let help = wgfleet(&bench).env("WGFLEET_IDENTITY_KEY", &age).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains(&age[20..50]));
}

/// Neither the programs that are started nor whoever reads /proc find the key.
#[test]
fn nobody_inherits_the_key() {
    let bench = Bench::new();
    fs::write(bench.path("fleet.yaml"), INVENTORY).unwrap();
    let file = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let age = file.lines().last().unwrap();
    let bin = bench.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in ["ssh", "git"] {
        let path = bin.join(program);
        let seen = bench.path(&format!("{program}.environment"));
        fs::write(&path, format!("#!/bin/sh\nenv >>{}\nexit 1\n", seen.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = wgfleet(&bench)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("WGFLEET_IDENTITY_KEY", age)
        .env("AGEDEBUG", "plugin")
        .args(["plan", "--connect-timeout", "1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let seen = fs::read_to_string(bench.path("ssh.environment")).unwrap();
    assert!(seen.contains("HOME="), "{seen}");
    assert!(!seen.contains("AGE-SECRET") && !seen.contains("WGFLEET_IDENTITY_KEY"), "{seen}");
    assert!(!seen.contains("AGEDEBUG"), "{seen}");

    // A command that waits, with the key in what it was started with.
    let mut command = wgfleet(&bench);
    command.env("WGFLEET_IDENTITY_KEY", age).args(["vault", "import", "a"]).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let environment = format!("/proc/{}/environ", child.id());
    let begun = Instant::now();
    loop {
        let text = fs::read(&environment).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Until exec it is the environment of this test.
        if text.contains("HOME=")
            && text.contains(&bench.path("home").display().to_string())
            && !text.contains("AGE-SECRET-KEY")
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

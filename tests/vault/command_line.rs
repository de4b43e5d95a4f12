//! `wgfleet vault` as a process.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bench::{Bench, hex, host};

/// `wgfleet` on the bench, with nothing of this machine's configuration.
pub(crate) fn bench_command(bench: &Bench) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgfleet"));
    command
        .env_clear()
        .env("HOME", bench.path("home"))
        .current_dir(bench.root.path())
        .stdin(Stdio::null())
        .arg("--identity")
        .arg(bench.path("identity.txt"));
    command
}

#[test]
fn a_name_that_the_inventory_does_not_have_gets_no_key_unawares() {
    let bench = Bench::new();
    let run = |args: &[&str], stdin: &str| {
        let mut command = bench_command(&bench);
        command.args(args).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    };
    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    let text = "fleet: acme
networks: { n: { prefixes: 10.9.0.0/24, links: mesh } }
hosts:
  a: { address: 10.9.0.1, endpoint: '192.0.2.1:51820' }
  paris-gw: { address: 10.9.0.2, endpoint: '192.0.2.2:51820' }
";
    fs::write(bench.path("fleet.yaml"), text).unwrap();
    let (code, said) = run(&["vault", "keygen", "a", "pairs-gw"], "");
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("the inventory has no host and no peer `pairs-gw`"), "{said}");
    assert!(said.contains("did you mean `paris-gw`?"), "{said}");
    let (code, said) = run(&["vault", "import", "rome-gw"], key);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("add --unlisted"), "{said}");
    let names = |bench: &Bench| bench.vault().index().names().cloned().collect::<Vec<_>>();
    assert!(
        !names(&bench).contains(&host("rome-gw")) && !names(&bench).contains(&host("pairs-gw"))
    );
    let (code, said) = run(&["vault", "import", "rome-gw", "--unlisted"], key);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["vault", "keygen", "paris-gw"], "");
    assert_eq!(code, Some(0), "{said}");
    assert!(names(&bench).contains(&host("rome-gw")) && names(&bench).contains(&host("paris-gw")));
}

#[test]
fn the_command_line_makes_a_vault_from_nothing() {
    let root = tempfile::tempdir().unwrap();
    let inventory = root.path().join("fleet");
    fs::create_dir_all(inventory.join(".git")).unwrap();
    let wgfleet = |args: &[&str], stdin: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
            .env_clear()
            .env("HOME", root.path().join("home"))
            .current_dir(&inventory)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(root.path().to_str().unwrap(), "…");
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, _, errors) = wgfleet(&["vault", "status"], "");
    assert_eq!(
        (code, errors.as_str()),
        (10, "wgfleet: there is no vault at ./vault: run `wgfleet vault init`\n")
    );
    let (code, output, errors) = wgfleet(&["vault", "init", "--fleet", "acme"], "");
    assert_eq!((code, output.as_str()), (0, ""), "{errors}");
    insta::assert_snapshot!(errors, @r"
    made the identity …/home/.config/wgfleet/identity-acme.txt: keep a backup of it
    made the vault ./vault for 1 recipient
    ");
    let identity = root.path().join("home/.config/wgfleet/identity-acme.txt");
    assert_eq!(fs::metadata(identity).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wgfleet(&["vault", "init", "--fleet", "acme"], "").0, 10);

    let (code, output, _) = wgfleet(&["vault", "keygen", "paris-gw", "b7"], "");
    assert_eq!((code, output.lines().count()), (0, 2));
    let (code, output, errors) = wgfleet(&["vault", "keygen", "paris-gw", "b7"], "");
    assert_eq!((code, output.as_str(), errors.as_str()), (0, "", "every host has a key already\n"));

    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    let (code, _, errors) = wgfleet(&["vault", "import", "alice-phone"], key);
    assert_eq!(
        (code, errors.as_str()),
        (0, "alice-phone has the key hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= now\n")
    );
    let (code, _, errors) = wgfleet(&["vault", "import", "bob-phone"], "not a key");
    assert_eq!(code, 10, "{errors}");

    let (code, _, errors) = wgfleet(&["vault", "export", "alice-phone", "-o", "../alice"], "");
    assert_eq!(code, 0, "{errors}");
    let exported = root.path().join("alice");
    assert_eq!(fs::read_to_string(&exported).unwrap(), key);
    assert_eq!(fs::metadata(&exported).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wgfleet(&["vault", "export", "alice-phone", "-o", "../alice"], "").0, 10);

    let (code, output, errors) = wgfleet(&["vault", "status", "--verify"], "");
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(output.starts_with("NAME         PUBLIC KEY"), "{output}");
    assert_eq!(output.lines().count(), 6);
    let (_, output, _) = wgfleet(&["vault", "status", "--format", "json"], "");
    let status = crate::documents::document(output.as_bytes());
    assert_eq!(status["keys"][0]["name"], "alice-phone");
    assert_eq!(status["keys"][0]["age_days"], 0);
    assert_eq!(status["fingerprint"]["id"].as_str().map(str::len), Some(16));

    // A passphrase cannot be asked for here.
    let path = root.path().join("locked");
    let args = ["vault", "init", "--fleet", "acme", "--passphrase", "-f", "../other/fleet.yaml"];
    let with = [&args[..], &["--identity", path.to_str().unwrap()]].concat();
    let child = Command::new("setsid")
        .arg("-w")
        .arg(env!("CARGO_BIN_EXE_wgfleet"))
        .args(&with)
        .env("XDG_STATE_HOME", root.path().join("home/state"))
        .current_dir(&inventory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&child.stderr).contains("there is no terminal to ask on"));
}

/// The real thing: SIGKILL in the middle of making keys, then once more.
#[test]
fn a_host_with_another_name_keeps_its_keys() {
    let bench = Bench::new();
    let write = |name: &str, moved: &str| {
        let text = format!(
            "fleet: acme\nnetworks: {{ n: {{ prefixes: 10.9.0.0/24 }} }}\n{moved}hosts:\n  {name}: \
             {{ endpoint: '192.0.2.1:51820' }}\n  b: {{}}\n"
        );
        fs::write(bench.path("fleet.yaml"), text).unwrap();
    };
    let keygen = || {
        let output = bench_command(&bench).args(["vault", "keygen"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    write("old", "");
    keygen();
    let before = bench.vault().index().generations(&host("old")).to_vec();
    assert_eq!(before.len(), 1);
    write("new", "moved: { old: new }\n");
    let said = keygen();
    assert!(said.contains("`new` has the key that it had as `old`"), "{said}");
    let vault = bench.vault();
    assert_eq!(vault.index().generations(&host("new")), before);
    assert!(vault.index().generations(&host("old")).is_empty());
    let output = bench_command(&bench).args(["vault", "status", "--verify"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let left: Vec<String> = fs::read_dir(bench.path("vault/keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("old"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    keygen();
}

#[test]
fn a_killed_keygen_is_finished_by_the_next() {
    let bench = Bench::new();
    let names: Vec<String> = (0..300).map(|number| format!("h{number}")).collect();
    for milliseconds in [5, 15, 30, 60] {
        let mut child = bench_command(&bench)
            .args(["vault", "keygen"])
            .args(&names)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(bench.unlock().verify().is_empty());
        assert!(bench.vault().oddities().unwrap().missing.is_empty());
    }
    let output = bench_command(&bench).args(["vault", "keygen"]).args(&names).output().unwrap();
    assert!(output.status.success());
    assert_eq!(bench.vault().index().names().count(), 302);
    assert!(bench.unlock().verify().is_empty());
    assert_eq!(
        fs::read_dir(bench.path("vault/keys")).unwrap().count(),
        302,
        "nothing is left behind"
    );
}

#[test]
fn a_locked_vault_is_exit_5() {
    let bench = Bench::new();
    let folder = fs::File::open(bench.path("vault")).unwrap();
    folder.lock().unwrap();
    let output = bench_command(&bench).args(["vault", "keygen", "c"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn nothing_prints_a_secret() {
    let bench = Bench::new();
    let unlocked = bench.unlock();
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for name in ["a", "b"] {
        secrets.push(unlocked.private_key(&host(name)).unwrap().expose().to_vec());
        secrets.push(unlocked.fingerprint_key(&host(name)).unwrap().expose().to_vec());
    }
    let key = |name| bench.vault().index().current(&host(name)).unwrap();
    let psk = unlocked.pairwise_psk(&key("a"), &key("b"), 1).unwrap();
    secrets.push(psk.expose().to_vec());
    let identity = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let identity = identity.lines().last().unwrap().to_owned();

    let mut printed = format!(
        "{:?}\n{:#?}\n{unlocked:?}\n{:?}\n{psk:?}\n",
        bench.vault(),
        bench.vault(),
        bench.identities
    );
    for entry in fs::read_dir(bench.path("vault")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            printed.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let mut wgfleet = |args: &[&str]| {
        let output = bench_command(&bench).args(args).output().unwrap();
        printed.push_str(&String::from_utf8_lossy(&output.stdout));
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
    };
    let out = bench.path("out.key");
    for args in [
        &["vault", "status", "--verify"][..],
        &["vault", "status", "--format", "json"],
        &["vault", "keygen", "c", "a"],
        &["vault", "recipients"],
        &["vault", "rekey"],
        &["vault", "export", "a", "-o", out.to_str().unwrap()],
        &["vault", "export", "a", "-o", out.to_str().unwrap()],
        &["vault", "init", "--fleet", "acme", "--recipient", &identity],
    ] {
        wgfleet(args);
    }
    // Every way in which files can be wrong.
    fs::copy(bench.key_file("b"), bench.key_file("a")).unwrap();
    wgfleet(&["vault", "status", "--verify"]);
    fs::copy(bench.path("identity.txt"), bench.key_file("a")).unwrap();
    wgfleet(&["vault", "status", "--verify"]);
    bench.add_recipient(&identity);
    wgfleet(&["vault", "status"]);

    assert!(
        printed.contains("is not an age header") && printed.contains("of b, not of a"),
        "{printed}"
    );
    assert!(!printed.contains(&identity[20..50]), "the identity is printed");
    for secret in secrets {
        let hex = hex(&secret);
        let base64 = STANDARD.encode(&secret);
        assert!(!printed.contains(&hex) && !printed.contains(&hex.to_uppercase()));
        assert!(!printed.contains(base64.trim_end_matches('=')));
        assert!(!printed.as_bytes().windows(32).any(|window| window == secret));
        assert!(!printed.contains(&format!("{secret:?}")));
    }
}

/// Runs `wgfleet` with a terminal of its own and types into it once the prompt is there.
pub(crate) fn on_a_terminal(bench: &Bench, args: &str, answers: &[&str]) -> (Option<i32>, String) {
    let home = bench.path("home");
    let mut child = Command::new("setsid")
        .args(["-w", "timeout", "60", "script", "-qec"])
        .arg(format!("{} {args}", env!("CARGO_BIN_EXE_wgfleet")))
        .arg("/dev/null")
        .env_clear()
        .env("PATH", format!("/usr/bin:/bin:{}", bench.path("plugins").display()))
        .env("HOME", home)
        .current_dir(bench.root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("apt-get install bsdutils util-linux");
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut shown = String::new();
    let mut buffer = [0; 1024];
    let mut read = |shown: &mut String, until: usize| {
        while shown.matches(": ").count() + shown.matches("[y/N] ").count() < until {
            let length = stdout.read(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    for (number, answer) in answers.iter().enumerate() {
        read(&mut shown, number + 1);
        stdin.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    read(&mut shown, usize::MAX);
    drop(stdin);
    (child.wait().unwrap().code(), shown)
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    let bench = Bench::new();
    let init = "vault init --fleet acme --passphrase --identity locked -f other/fleet.yaml";
    let (code, shown) = on_a_terminal(&bench, init, &["open sesame", "open barley"]);
    assert_eq!(code, Some(10), "{shown}");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    assert!(!bench.path("locked").exists());

    let (code, shown) = on_a_terminal(&bench, init, &["open sesame", "open sesame"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
    let text = fs::read_to_string(bench.path("locked")).unwrap();
    assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));

    let status = "vault status --verify --identity locked -f other/fleet.yaml";
    let (code, shown) = on_a_terminal(&bench, status, &["open sesame"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
    let (code, shown) = on_a_terminal(&bench, status, &["open barley"]);
    assert_eq!(code, Some(10), "{shown}");
    assert!(shown.contains("wrong passphrase for locked"), "{shown}");
    let (code, shown) = on_a_terminal(&bench, status, &["\u{3}"]);
    assert_eq!(code, Some(130), "{shown}");
}

/// Its old key is all that it has: nothing is proven while nobody has given it the new one.
#[test]
fn a_host_that_is_down_keeps_its_key_whatever_is_allowed() {
    let root = tempfile::tempdir().unwrap();
    let inventory = root.path().join("fleet.yaml");
    let wgfleet = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
            .env_clear()
            .env("HOME", root.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(root.path())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    // Nobody listens on the discard port of the loopback.
    fs::write(
        inventory,
        "fleet: acme
networks: { n: { prefixes: 10.9.0.0/24, links: mesh } }
hosts:
  a: { address: 10.9.0.1, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.1:51820' }
  b: { address: 10.9.0.2, ssh: 'ssh://root@127.0.0.1:9', endpoint: '192.0.2.2:51820' }
",
    )
    .unwrap();
    let (code, errors) = wgfleet(&["vault", "init", "--fleet", "acme"]);
    assert_eq!(code, 0, "{errors}");
    let (code, errors) = wgfleet(&["vault", "keygen"]);
    assert_eq!(code, 0, "{errors}");
    let state = || {
        let index = fs::read_to_string(root.path().join("vault/index.json")).unwrap();
        let keys = fs::read_dir(root.path().join("vault/keys")).unwrap();
        let mut keys: Vec<_> = keys.map(|entry| entry.unwrap().file_name()).collect();
        keys.sort();
        (index, keys)
    };
    let before = state();
    for hosts in [&["a"][..], &["--all"]] {
        let args = ["rotate", "--yes", "--allow-unreachable", "--connect-timeout", "2"];
        let (code, errors) = wgfleet(&[&args[..], hosts].concat());
        assert_eq!(code, 4, "{errors}");
        assert!(errors.contains("nothing was touched") && !errors.contains("proven"), "{errors}");
        assert_eq!(state(), before);
    }
}

#[test]
fn what_is_said_on_a_terminal_stands_on_lines_of_its_own() {
    let bench = Bench::new();
    let (code, shown) = on_a_terminal(&bench, "init terminal --identity identity.txt", &[]);
    assert_eq!(code, Some(0), "{shown}");
    fs::write(
        bench.path("terminal/fleet.yaml"),
        "fleet: terminal\nnetworks: { n: { prefixes: [10.9.0.0/24], links: mesh } }\n\
         hosts: { a: { endpoint: 'a.example.com:51820' }, b: { nat: true } }\n",
    )
    .unwrap();
    let keygen = "vault keygen --identity identity.txt -f terminal";
    let (code, shown) = on_a_terminal(&bench, keygen, &[]);
    assert_eq!(code, Some(0), "{shown}");
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert!(
        lines.contains(&"pinned new tunnel addresses in terminal/fleet.lock: commit it"),
        "{shown}"
    );
    assert_eq!(lines.iter().filter(|line| line.starts_with("a ")).count(), 1, "{shown}");
}

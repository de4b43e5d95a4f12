//! What stands between ssh and wgfleet on a host: odd login shells, startup files that print, exit or
//! lie, programs that are not there. None of them touches the plan of the other hosts.

use std::fs;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;

/// What a host answers, instead of what it is.
fn lies(lines: &str) -> String {
    format!(
        "printf '\\nwgfleet answers\\nobserve 3\\nmachine x86_64\\nkernel 1\\n'\n{lines}\nexit 0\n"
    )
}

const MARK: &str = "abababababababababababababababababababababababababababababababab";

/// The peak of a running process's memory in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// A host of each kind.
fn up() -> Fleet {
    let hosts = [
        "plain", "csh", "fish", "prints", "exits", "eats", "nologin", "noawk", "floods", "peers",
        "lines",
    ];
    let mut text = String::from(
        "fleet: ops\nnetworks:\n  net: { prefixes: [10.90.0.0/24], links: { hub: plain } }\nhosts:\n",
    );
    for (number, host) in (1..).zip(hosts) {
        let user = if host == "prints" { "ops" } else { "root" };
        let line = format!(
            "  {host}: {{ ssh: {user}@{host}.example.com, address: 10.90.0.{number}, endpoint: '{host}.example.com:51820' }}\n"
        );
        text.push_str(&line);
    }
    let fleet = Fleet::up(&text, &["--without", "noawk=awk,mawk,gawk,setsid"]);
    let shell = |host: &str, shell: &str| {
        fleet.sh(host, &format!("sed -i 's#^root:\\(.*\\):[^:]*$#root:\\1:{shell}#' /etc/passwd"));
        let now = fleet.sh(host, "sed -n 's/^root:.*://p' /etc/passwd");
        assert_eq!(now, shell, "{host}");
    };
    shell("csh", "/bin/tcsh");
    fleet.sh("csh", "echo 'echo welcome to csh' >/root/.cshrc");
    shell("fish", "/usr/bin/fish");
    shell("nologin", "/usr/sbin/nologin");
    let rc = |host: &str, text: &str| {
        let home = if host == "prints" { "/home/ops" } else { "/root" };
        let home = if fleet.root(host).join(&home[1..]).is_dir() { home } else { "/" };
        for name in [".bashrc", ".profile"] {
            fs::write(fleet.root(host).join(&home[1..]).join(name), text).unwrap();
        }
        if host != "prints" {
            shell(host, "/bin/bash");
        }
    };
    // Without a line end, and more on stderr than a pipe holds.
    rc(
        "prints",
        "printf 'observe 3\\nend\\nwelcome to %s' \"$HOSTNAME\"; head -c 200000 /dev/zero | tr '\\0' x >&2\n",
    );
    rc("exits", "echo bye; exit 3\n");
    rc("eats", "read -r line\n");
    rc("floods", "exec yes wgfleet answers\n");
    rc(
        "peers",
        &lies(
            "awk 'BEGIN { print \"interface wg0 kernel yes 1420\"; for (n = 0; n < 120000; n++) \
             printf \"peer\\twg0\\t%042dA=\\tnone\\t(none)\\t(none)\\t0\\t0\\t0\\toff\\n\", n; print \"end\" }'",
        ),
    );
    // Its file is all different from the wanted one, line by line.
    rc(
        "lines",
        &lies(&format!(
            "echo 'file 600 yes {MARK} /etc/wireguard/net.conf'; echo 'file 600 yes {MARK} /etc/wireguard/wg0.conf'
             seq -f '| PostUp = %.0f' 1000000; echo end"
        )),
    );
    fleet
}

/// The plan of all, and what it costs.
fn plan(fleet: &Fleet) -> serde_json::Value {
    let begun = Instant::now();
    let out = fleet.folder().join("plan.json");
    let mut plan = fleet.command(&["plan", "--format", "json"]);
    let mut child = plan
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(fleet.folder().join("said")).unwrap())
        .spawn()
        .unwrap();
    let mut most = 0;
    let status = loop {
        most = most.max(peak(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = begun.elapsed();
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(took < Duration::from_secs(90), "{took:?}");
    assert!(most < 600 << 10, "{most} KiB");
    assert!(text.len() < 2 << 20, "{} bytes", text.len());
    crate::documents::document(text.as_bytes())
}

#[test]
fn each_shell_is_coped_with_or_named_and_no_host_harms_the_others() {
    let fleet = up();
    let plan = plan(&fleet);
    let of = |name: &str| {
        let hosts = plan["hosts"].as_array().unwrap();
        hosts.iter().find(|host| host["host"] == name).unwrap().clone()
    };
    for fine in ["plain", "csh", "fish", "prints"] {
        assert_eq!(of(fine)["state"]["state"], "ready", "{fine}: {plan}");
    }
    for (name, state, reason) in [
        ("exits", "unreadable", "it printed: bye"),
        ("exits", "unreadable", "~/.bashrc"),
        ("eats", "unreadable", "reads the standard input"),
        ("nologin", "unreadable", "not available"),
        ("noawk", "blocked", "the host lacks awk and setsid"),
        ("noawk", "blocked", "apt-get install mawk util-linux"),
        ("floods", "unreadable", "longer than"),
        ("peers", "unreadable", "more than 100000 peers"),
    ] {
        let host = of(name);
        assert_eq!(host["state"]["state"], state, "{host}");
        let said = host["state"]["reason"]["text"].as_str().unwrap();
        assert!(said.contains(reason), "{name}: {said}");
    }

    // The others go on.
    let said = fleet.ends(7, &["apply", "--yes", "--limit", "plain,csh,fish,prints,noawk,exits"]);
    assert!(said.contains("apt-get install mawk util-linux"), "{said}");
    for host in ["csh", "fish", "prints"] {
        fleet.reaches(host, "10.90.0.1");
    }
    fleet.done(&["plan", "--detailed-exitcode", "--limit", "plain,csh,fish,prints"]);
    a_folder_is_private_and_does_not_stay(&fleet);
}

/// The folder of a run's control sockets, also where the run is killed.
fn a_folder_is_private_and_does_not_stay(fleet: &Fleet) {
    let parent = fleet.folder().join("t");
    fs::create_dir(&parent).unwrap();
    let short = format!("/tmp/o{}", std::process::id());
    std::os::unix::fs::symlink(&parent, &short).unwrap();
    let left = || fs::read_dir(&parent).unwrap().count();
    let mut killed =
        fleet.command(&["plan", "--limit", "floods,plain"]).env("TMPDIR", &short).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while left() == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let folder = fs::read_dir(&parent).unwrap().next().unwrap().unwrap().path();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&folder).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o700);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(left(), 1);
    let after =
        fleet.command(&["plan", "--limit", "plain"]).env("TMPDIR", &short).output().unwrap();
    assert!(after.status.success(), "{after:?}");
    assert_eq!(left(), 0);
    fs::remove_file(short).unwrap();
}

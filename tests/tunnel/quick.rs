//! `wgfleet quick` beside wg-quick(8): the same interface, and nothing left of it.

use crate::namespace::{Folder, Keys, Namespace, WGFLEET, end, interface, require_root, until};

/// Everything that either of them touches, without what is random.
fn state(namespace: &Namespace, name: &str) -> Vec<String> {
    let looks: [&[&str]; 9] = [
        &["ip", "-o", "address", "show", "dev", name],
        &["ip", "-4", "route", "show", "table", "all"],
        &["ip", "-6", "route", "show", "table", "all"],
        &["ip", "-4", "rule", "show"],
        &["ip", "-6", "rule", "show"],
        &["nft", "list", "ruleset"],
        &["wg", "showconf", name],
        &["ip", "-o", "link", "show", "dev", name],
        &["cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"],
    ];
    let mut lines = Vec::new();
    for look in looks {
        let output = crate::namespace::output(namespace.command(look[0]).args(&look[1..]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stable = text.lines().filter(|line| !line.contains("fe80")).map(|line| {
            let number =
                line.split_once(": ").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
            number.map_or(line, |(_, rest)| rest).trim().replace(" tentative", "")
        });
        lines.extend(stable);
    }
    lines.sort();
    lines
}

fn conf(folder: &Folder, name: &str, extra: &str) -> String {
    let keys = [Keys::new(folder), Keys::new(folder), Keys::new(folder)];
    let text = format!(
        "[Interface]\nAddress = 10.9.0.1/24, fd99::1/64 # two\nPrivateKey = {}\nListenPort = 4711\n\
         {extra}\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.9.0.2/32, 10.50.0.0/16, fd50::/48\n\
         Endpoint = 192.0.2.2:1\n\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\n\
         Endpoint = [2001:db8::2]:2\nPersistentKeepalive = 25\n",
        keys[0].private, keys[1].public, keys[2].public
    );
    folder.write(&format!("{name}.conf"), &text).to_string_lossy().into_owned()
}

#[test]
fn up_and_down_do_what_wg_quick_does() {
    require_root();
    let folder = Folder::new();
    let (namespace, _other) = Namespace::pair();
    namespace.run("ip", ["link", "set", "dev", "eth", "mtu", "1400"]);
    let link = folder.path("wgfleet-tunnel");
    std::os::unix::fs::symlink(WGFLEET, &link).expect("a link in our own folder");
    for extra in ["", "Table = off\nMTU = 1300", "Table = 77\nFwMark = 0x99"] {
        let name = interface();
        let file = conf(&folder, &name, extra);
        let before = state(&namespace, &name);

        namespace.run(WGFLEET, ["quick", "up", &file]);
        let ours = state(&namespace, &name);
        assert!(namespace.fails(WGFLEET, ["quick", "up", &file]).contains("already exists"));
        namespace.run(WGFLEET, ["quick", "down", &file]);
        namespace.wait_until_empty();
        let left: Vec<_> = difference(&state(&namespace, &name), &before);
        assert!(left.iter().all(|line| line == "1"), "{left:?}");

        let mut theirs = namespace.command("wg-quick");
        theirs.env("WG_QUICK_USERSPACE_IMPLEMENTATION", &link);
        crate::namespace::run(theirs.args(["up", &file]));
        assert_eq!(ours, state(&namespace, &name), "{extra}");
        namespace.run("wg-quick", ["down", &file]);
        namespace.wait_until_empty();
    }
}

fn difference(a: &[String], b: &[String]) -> Vec<String> {
    a.iter().filter(|line| !b.contains(line)).cloned().collect()
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    require_root();
    let folder = Folder::new();
    let (namespace, _other) = Namespace::pair();
    let name = interface();
    let before = state(&namespace, &name);
    for extra in [
        "PostUp = false",
        "PostUp = false; true",
        "PostUp = false | cat",
        "Address = 192.0.2.1/24\nAddress = 192.0.2.1/24",
    ] {
        let file = conf(&folder, &name, extra);
        namespace.fails(WGFLEET, ["quick", "up", &file]);
        namespace.wait_until_empty();
        let left = difference(&state(&namespace, &name), &before);
        assert!(left.iter().all(|line| line == "1"), "{left:?}");
    }
}

#[test]
fn a_start_that_is_interrupted_leaves_nothing() {
    require_root();
    let folder = Folder::new();
    let (namespace, _other) = Namespace::pair();
    let name = interface();
    let before = state(&namespace, &name);
    let there = folder.path("there");
    let file = conf(&folder, &name, &format!("PostUp = touch {}; sleep 2", there.display()));
    let mut up = namespace.command(WGFLEET);
    let up = up.args(["quick", "up", &file]).stderr(std::process::Stdio::piped());
    let up = up.spawn().expect("nsenter starts");
    until("the hook runs", || there.exists());
    end(up.id(), rustix::process::Signal::TERM);
    let output = up.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("interrupted; what was begun"), "{said}");
    namespace.wait_until_empty();
    let left = difference(&state(&namespace, &name), &before);
    assert!(left.iter().all(|line| line == "1"), "{left:?}");
}

#[test]
fn hooks_know_the_interface_and_save_keeps_what_there_is() {
    require_root();
    let folder = Folder::new();
    let (namespace, _other) = Namespace::pair();
    let name = interface();
    let log = folder.path("log");
    let hook = |word: &str| format!("{word} = echo {word} %i >> {}\n", log.display());
    let hooks = ["PreUp", "PostUp", "PreDown", "PostDown"].map(hook).concat();
    let file = conf(&folder, &name, &(hooks + "Table = off\nSaveConfig = true\n"));
    namespace.run(WGFLEET, ["quick", "up", &file]);
    let added = Keys::new(&folder).public;
    namespace.run("wg", ["set", &name, "peer", &added, "allowed-ips", "10.77.0.0/16"]);
    namespace.run(WGFLEET, ["quick", "down", &file]);
    let heard = std::fs::read_to_string(&log).expect("the hooks wrote it");
    let want: String =
        ["PreUp", "PostUp", "PreDown", "PostDown"].map(|word| format!("{word} {name}\n")).concat();
    assert_eq!(heard, want);
    let saved = std::fs::read_to_string(&file).expect("it was saved");
    assert!(saved.contains(&added) && saved.contains("Address = fd99::1/64"), "{saved}");
    assert!(saved.contains("SaveConfig = true") && saved.contains("PostUp = echo PostUp %i"));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("a file"));
    assert_eq!(mode & 0o777, 0o600);
    let stripped = namespace.run(WGFLEET, ["quick", "strip", &file]);
    assert_eq!(stripped, namespace.run("wg-quick", ["strip", &file]));
}

#[test]
fn dns_without_resolvconf_is_refused_before_anything_is_touched() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    let touched = folder.path("touched");
    let extra = format!("DNS = 192.0.2.53\nPreUp = touch {}", touched.display());
    let file = conf(&folder, &name, &extra);
    // Where the machine has one of them, a mount namespace hides it.
    let script = "for tool in resolvconf resolvectl; do for folder in /usr/sbin /usr/bin /sbin /bin; \
                  do [ ! -e $folder/$tool ] || mount --bind /dev/null $folder/$tool; done; done; \
                  exec \"$@\"";
    let words = ["-m", "sh", "-c", script, "sh", WGFLEET, "quick", "up", &file];
    let error = namespace.fails("unshare", words);
    assert!(error.contains("resolvconf is missing"), "{error}");
    assert!(!touched.exists() && namespace.pids().is_empty());
}

/// Files that wg-quick takes, whatever is in them.
const STRIPPED: [&[u8]; 12] = [
    b"[Interface]\nPreUp = \nMTU =\nTable\nAddress = 1.2.3.4/0 # x\n#Address = 5\n[Peer]\nMTU = 1\n",
    b"  [interface]  # main\n\taddress=10.0.0.1\n  PRIVATEKEY = x  \npostup = true\t1\n",
    b"[Interface]\nPostUp = echo B\xfcro\nPrivate Key = x\n",
    b"[Interface]\r\nAddress = 1\r\nListenPort = 5\r\n",
    b"[Interface]\nSaveConfig = TRUE\nDNS = ~corp.example, fe80::53%eth0\nTable = default",
    b"[ Interface ]\nAddress = 1\n[Interface]extra\nMTU = 2\n[Interface]\nMTU = 3\n",
    b"Address = 1\n[Interface]\n= 2\nAddress\nAddress == 3\n[x=y]\nDNS = 4\n",
    b"[Interface]\nAddr\0ess = 1\nListenPort = \0 7\n",
    b"",
    b"\n\n",
    b"[Interface]\nHello = $(reboot) `x` \\ \\n %i\nPreDown = x\n",
    b"[Interface]\n\x0bAddress\x0b= 1\n\x0cMTU = 1\nFwMark = \xe2\x80\x83 1\n",
];

#[test]
fn strip_prints_what_wg_quick_prints() {
    require_root();
    let folder = Folder::new();
    let file = folder.path("wt0.conf");
    for text in STRIPPED {
        std::fs::write(&file, text).expect("a file in our own folder");
        let print = |words: &[&str]| {
            let mut command = std::process::Command::new(words[0]);
            let output = crate::namespace::output(command.args(&words[1..]).arg(&file));
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(text));
            output.stdout
        };
        let (ours, theirs) = (print(&[WGFLEET, "quick", "strip"]), print(&["wg-quick", "strip"]));
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(show(&ours), show(&theirs), "of {:?}", show(text));
    }
    std::fs::write(&file, "[Interface]\nSaveConfig = yes\n").expect("a file in our own folder");
    for words in [[WGFLEET, "quick", "strip"], ["wg-quick", "strip", ""]] {
        let words = words.iter().filter(|word| !word.is_empty());
        let mut command = std::process::Command::new(words.clone().next().expect("a program"));
        let output = crate::namespace::output(command.args(words.skip(1)).arg(&file));
        assert!(!output.status.success() && output.stdout.is_empty());
    }
}

/// `wg syncconf IF <(wg-quick strip IF)`, where the second command fails.
#[test]
fn an_empty_file_wipes_no_interface_unless_told_to() {
    require_root();
    let folder = Folder::new();
    let namespace = Namespace::new();
    let name = interface();
    namespace.run(WGFLEET, ["tunnel", &name]);
    let [own, peer] = [Keys::new(&folder), Keys::new(&folder)];
    let whole = format!(
        "[Interface]\nPrivate Key = {}\n[ Peer ]\nPublicKey = {}\nAllowed IPs = 10.0.0.0/8\n",
        own.private, peer.public
    );
    let whole = folder.write("whole", &whole).to_string_lossy().into_owned();
    let sync = ["wg", "syncconf"];
    namespace.run(WGFLEET, sync.iter().copied().chain([name.as_str(), &whole]));
    let before = namespace.run("wg", ["showconf", &name]);
    assert!(before.contains(&peer.public) && before.contains("10.0.0.0/8"), "{before}");
    let partial = |file: &str, text: &str| folder.write(file, text).to_string_lossy().into_owned();
    let key = format!("[Interface]\nPrivateKey = {}\n", own.private);
    let peers = format!("[Peer]\nPublicKey = {}\n", peer.public);
    for (file, text) in [("empty", ""), ("key", &*key), ("peers", &*peers)] {
        let file = partial(file, text);
        let said = namespace.fails(WGFLEET, sync.iter().copied().chain([name.as_str(), &file]));
        assert!(said.contains("nothing was changed") && said.contains("--allow-empty"), "{said}");
        assert_eq!(namespace.run("wg", ["showconf", &name]), before);
    }
    let words = ["wg", "syncconf", "--allow-empty", &name, &partial("key", &key)];
    namespace.run(WGFLEET, words);
    let after = namespace.run("wg", ["showconf", &name]);
    assert!(!after.contains("[Peer]") && after.contains(&own.private));
    // The zone of an endpoint, as files have it.
    let endpoint = ["wg", "set", &name, "peer", &peer.public, "endpoint", "[fe80::1%lo]:51820"];
    namespace.run(WGFLEET, endpoint);
    assert!(namespace.run("wg", ["show", &name, "endpoints"]).contains("[fe80::1%lo]:51820"));
}

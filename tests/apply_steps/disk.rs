//! Disks that are full, and what is on them after a power cut.

use crate::sandbox::{Sandbox, assert_same};
use crate::{encode, files, ops};

#[test]
fn a_full_run_folder_is_named_and_keeps_nothing_out() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let payload = encode(&files(), &ops());
    // From where nothing fits to where the snapshot does not.
    for pages in (1..=16).chain((20..90).step_by(10)) {
        let mount = format!(
            "mkdir -p /run/wgfleet; mount -t tmpfs -o size={}k none /run/wgfleet",
            pages * 4
        );
        assert!(sandbox.sh(&mount).status.success());
        let said = sandbox.host("apply", &[&format!("a{pages}"), "5"], &payload);
        assert!(
            said.starts_with("failed 0 ") && said.lines().count() == 1,
            "{pages} pages: {said}"
        );
        assert!(said.contains("/run/wgfleet is full: "), "{pages} pages: {said}");
        assert_same(&sandbox.state(), &before, &said);
        sandbox.wait_until_quiet();
        sandbox.sh("mount -o remount,size=10m /run/wgfleet");
        let id = format!("b{pages}");
        assert_eq!(sandbox.host("apply", &[&id, "5"], &payload), "done\n", "{pages} pages");
        assert_eq!(sandbox.host("revert", &[&id], ""), "reverted\n", "{pages} pages");
        sandbox.sh("umount /run/wgfleet");
    }
}

#[test]
fn a_run_folder_that_others_fill_meanwhile_does_not_stop_the_rollback() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    sandbox.sh("mount -o remount,size=8m /run; mkdir -p /run/wgfleet; mount -t tmpfs -o size=600k none /run/wgfleet");
    assert_eq!(sandbox.host("apply", &["a1", "60"], &encode(&files(), &ops())), "done\n");
    sandbox.sh("dd if=/dev/zero of=/run/fill bs=1k 2>/dev/null; dd if=/dev/zero of=/run/wgfleet/fill bs=1k");
    assert_eq!(sandbox.host("revert", &["a1"], ""), "reverted\n");
    sandbox.sh("rm /run/fill /run/wgfleet/fill");
    assert_same(&sandbox.state(), &before, "after the rollback");
}

#[test]
fn a_full_disk_stops_no_interface() {
    let sandbox = Sandbox::new("dash");
    let mount = "mkdir /run/etc; mount -t tmpfs -o size=64k none /run/etc; cp -a /etc/wireguard/. /run/etc
        mount --bind /run/etc /etc/wireguard; dd if=/dev/zero of=/etc/wireguard/fill bs=1k 2>/dev/null; :";
    assert!(sandbox.sh(mount).status.success());
    let before = sandbox.state();
    let pid = || sandbox.sh("pgrep -f 'wireguard-go wg[1]'").stdout;
    let process = pid();
    // A restart, as wgfleet writes it.
    let ops = [
        "touch wg1",
        "try f2 wg1",
        "prepare f2 600 /etc/wireguard/wg1.conf",
        "quick-down wg1",
        "keep f2 600 /etc/wireguard/wg1.conf",
        "quick-up wg1 userspace",
    ]
    .map(str::to_owned);
    let payload = crate::payload(&files(), &ops, &[], &["quick-down wg1"]);
    let said = sandbox.host("apply", &["a1", "60"], &payload);
    assert!(said.starts_with("failed 3 prepare: ") && said.contains("No space left"), "{said}");
    assert!(said.ends_with("\nreverted\n"), "{said}");
    assert_same(&sandbox.state(), &before, "after the rollback");
    assert_eq!(pid(), process, "it went on");
}

#[test]
fn a_file_that_cannot_work_stops_no_interface() {
    let sandbox = Sandbox::new("dash");
    let before = sandbox.state();
    let pid = || sandbox.sh("pgrep -f 'wireguard-go wg[1]'").stdout;
    let process = pid();
    let ops = [
        "touch wg1",
        "try bad wg1",
        "prepare bad 600 /etc/wireguard/wg1.conf",
        "quick-down wg1",
        "keep bad 600 /etc/wireguard/wg1.conf",
        "quick-up wg1 userspace",
    ]
    .map(str::to_owned);
    for hook in ["/usr/local/bin/not-there %i", "/run/%i.sh; true", "/etc/passwd"] {
        let mut files = files();
        let conf = format!("[Interface]\nPrivateKey = {}\nPostUp = {hook}\n", crate::KEYS[4]);
        files.push(("bad", conf));
        let payload = crate::payload(&files, &ops, &[], &["quick-down wg1"]);
        let said = sandbox.host("apply", &["a1", "60"], &payload);
        let program = hook.split([' ', ';']).next().expect("a word").replace("%i", "wg1");
        let named = format!(
            "failed 2 try: a hook of wg1 runs {program}, which is not a program on this host"
        );
        assert!(said.starts_with(&named) && said.ends_with("\nreverted\n"), "{said}");
        assert_same(&sandbox.state(), &before, hook);
    }
    let key = crate::KEYS[4];
    let texts = [
        ("[Interface]\nPrivateKey = short\n".to_owned(), "wg does not understand it"),
        (format!("[Interface]\nPrivateKey = {key}\nnonsense\n"), "wg does not understand it"),
        (
            format!(
                "[Interface]\nPrivateKey = {key}\n[Peer]\nPublicKey = {}\nEndpoint = no.such.name.invalid:1\n",
                crate::KEYS[1]
            ),
            "no.such.name.invalid:1",
        ),
    ];
    for (text, why) in texts {
        let mut files = files();
        files.push(("bad", text));
        let payload = crate::payload(&files, &ops, &[], &["quick-down wg1"]);
        let said = sandbox.host("apply", &["a2", "60"], &payload);
        assert!(said.starts_with("failed 2 try: ") && said.contains(why), "{said}");
        assert!(said.ends_with("\nreverted\n"), "{said}");
        assert_same(&sandbox.state(), &before, why);
    }
    assert_eq!(pid(), process, "it went on");
}

#[test]
fn nothing_is_put_into_a_folder_of_a_files_name() {
    let sandbox = Sandbox::new("dash");
    sandbox.sh("mkdir /etc/wireguard/wg6.conf");
    let before = sandbox.state();
    let prepare = "prepare f2 600 /etc/wireguard/wg6.conf".to_owned();
    let said = sandbox.host("apply", &["a1", "60"], &encode(&files(), &[prepare]));
    assert!(said.starts_with("failed 1 prepare: /etc/wireguard/wg6.conf is a folder"), "{said}");
    assert_same(&sandbox.state(), &before, "after the rollback");
}

/// An image of ext4, which commits after some seconds by itself, is copied at once: a power cut.
#[test]
fn what_a_host_says_is_on_its_disk() {
    let sandbox = Sandbox::new("dash");
    let mount = "set -e; mkdir /run/disk /run/cut; mount -t tmpfs -o size=64m none /run/disk
        dd if=/dev/zero of=/run/disk/image bs=1M count=16 2>/dev/null; mkfs.ext4 -q /run/disk/image
        mkdir /run/disk/etc; mount -o loop /run/disk/image /run/disk/etc; cp -a /etc/wireguard/. /run/disk/etc
        mount --bind /run/disk/etc /etc/wireguard; sync";
    let mounted = sandbox.sh(mount);
    assert!(mounted.status.success(), "this test needs loop devices: {mounted:?}");
    let cut = || {
        let script =
            "set -e; cp /run/disk/image /run/disk/copy; mount -o loop /run/disk/copy /run/cut
            diff -r /etc/wireguard /run/cut && echo same; umount /run/cut; rm /run/disk/copy";
        String::from_utf8(sandbox.sh(script).stdout).expect("text")
    };
    let payload = encode(&files(), &ops());
    assert_eq!(sandbox.host("apply", &["a1", "60"], &payload), "done\n");
    assert_eq!(sandbox.host("revert", &["a1"], ""), "reverted\n");
    assert_eq!(cut(), "same\n", "after a rollback");
    assert_eq!(sandbox.host("apply", &["a2", "60"], &payload), "done\n");
    assert_eq!(sandbox.host("confirm", &["a2"], ""), "confirmed\n");
    assert_eq!(cut(), "same\n", "after a confirmation");
    let kept = sandbox.sh("grep -c Managed /etc/wireguard/wg0.conf").stdout;
    assert_eq!(kept, b"1\n", "the new file");
    sandbox.sh("umount /etc/wireguard; umount /run/disk/etc");
}

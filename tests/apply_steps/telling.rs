//! What a host tells of its files: no key, and no more than was asked for.

use std::time::{Duration, Instant};

use wgfleet::observed::{ObserveError, ObservedHost, parse};

use crate::sandbox::{KEYS, Sandbox};

fn question(text: usize) -> String {
    format!("{}\ninterface wg0\ntext {text}\n", "a5".repeat(32))
}

fn observe(sandbox: &Sandbox, text: usize) -> ObservedHost {
    let answer = sandbox.host("observe", &[], &question(text));
    parse(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn run(sandbox: &Sandbox, command: &str) {
    let done = sandbox.sh(command);
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}

const AGE: &str = "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT552MQRMNRYPP3AYJLAAK5NVW07H0F948QS2VECEM";
const PLUGIN: &str = "age-plugin-yubikey-1qyqszqgpqyqszqgpqyqsz";

/// A file that somebody wrote before wgfleet came, with keys wherever people put them.
fn no_key_is_told(shell: &'static str) {
    let sandbox = Sandbox::new(shell);
    let [private, public, _, other, psk] = KEYS;
    let conf = format!(
        "# the old key was {other}\n[Interface]\n  privatekey={private} # {other}\nPrivateKey\t= \
         {private}\nPostUp = echo {private} | wg set %i private-key /dev/stdin\nPostUp = wg set %i \
         peer {public} preshared-key <(echo {psk})\nPostUp = echo {AGE} >/k; echo {PLUGIN} # {AGE}\n\
         PostUp = echo '-----BEGIN PRIVATE KEY-----MC4CAQAwBQYDK2VwBCIE-----END PRIVATE KEY-----' >/k\n\
         # -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nQUJDREVGR0hJSktMTU5PUFFSU1RVVldY\n\
         -----END OPENSSH PRIVATE KEY-----\nMTU = 1400\n[Peer]\nPublicKey = {public} # was {other}\n\
         PresharedKey = {psk}\nAllowedIPs = 10.9.0.2/32\nEndpoint = 127.0.0.1:51901"
    );
    run(&sandbox, &format!("cat >/etc/wireguard/wg0.conf <<'TEXT'\n{conf}\nTEXT"));
    let answer = sandbox.host("observe", &[], &question(1 << 20));
    for secret in [private, psk, other, AGE, PLUGIN, "MC4CAQAw", "b3BlbnNz", "QUJDREVG"] {
        assert!(!answer.contains(secret), "{secret}: {answer}");
    }
    let text = &parse(&answer).expect("an answer").files["/etc/wireguard/wg0.conf"].public_text;
    let expected = format!(
        "# the old key was (key)\n[Interface]\n  privatekey=(hidden)\nPrivateKey\t= (hidden)\n\
         PostUp = echo (hidden) | wg set %i private-key /dev/stdin\n\
         PostUp = wg set %i peer (hidden) preshared-key <(echo (hidden))\n\
         PostUp = echo (hidden) >/k; echo (hidden) # (key)\n\
         PostUp = echo '(hidden)' >/k\n\
         # (key)\nMTU = 1400\n[Peer]\nPublicKey = {public} # was (key)\nPresharedKey = (hidden)\n\
         AllowedIPs = 10.9.0.2/32\nEndpoint = 127.0.0.1:51901\n"
    );
    assert_eq!(*text, expected.replace('\t', "?"));
}

#[test]
fn no_key_is_told_under_dash() {
    no_key_is_told("dash");
}

#[test]
fn no_key_is_told_under_busybox() {
    no_key_is_told("busybox sh");
}

#[test]
fn a_file_without_end_is_cut_at_a_line() {
    let sandbox = Sandbox::new("dash");
    let [_, public, _, private, _] = KEYS;
    // A million lines, and half a key where it is cut.
    run(
        &sandbox,
        &format!(
            "{{ head -c 9990 /dev/zero | tr '\\0' '\\n'; echo 'PostUp = {private}'
             seq 1000000; }} >/etc/wireguard/wg0.conf"
        ),
    );
    let begun = Instant::now();
    for most in [10_000, 10_020, 10_030] {
        let host = observe(&sandbox, most);
        let file = &host.files["/etc/wireguard/wg0.conf"];
        assert!(file.public_text.len() < most + 60, "{most}");
        assert!(!file.public_text.contains(&private[..8]), "{most}");
        assert_eq!(
            file.public_text.lines().last(),
            Some("(the file goes on: it has 6898940 bytes)"),
            "{most}"
        );
        assert_eq!(host.interfaces.len(), 3);
    }
    let long =
        format!("tr '\\0' x </dev/zero | head -c 60000000 >/etc/wireguard/wg0.conf; : {public}");
    run(&sandbox, &long);
    let file = &observe(&sandbox, 1 << 20).files["/etc/wireguard/wg0.conf"];
    assert_eq!(file.public_text, "(the file goes on: it has 60000000 bytes)\n");
    // What is not there is not read: a terabyte of nothing.
    run(&sandbox, "truncate -s 1T /etc/sysctl.d/60-wgfleet.conf");
    assert!(observe(&sandbox, 1 << 20).files.contains_key("/etc/sysctl.d/60-wgfleet.conf"));
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[test]
fn what_a_host_lacks_is_told_before_anything_else() {
    let sandbox = Sandbox::new("dash");
    // A file that cannot be run is no program.
    run(
        &sandbox,
        "for p in awk setsid sha256sum; do mount --bind /dev/null \"$(readlink -f \"$(command -v $p)\")\"; done",
    );
    let answer = sandbox.host("observe", &[], &question(1 << 20));
    let Err(ObserveError::Lacks(lacking)) = parse(&answer) else { panic!("{answer}") };
    let said = lacking.to_string();
    assert!(said.starts_with("the host lacks awk, setsid and sha256sum, which"), "{said}");
    assert!(said.contains("`apt-get install coreutils mawk util-linux`"), "{said}");
}

//! Why ssh(1) did not log in, read from what it said.

use super::route::Hop;
use crate::model::SshTarget;

/// What stands where the middle of a log was left out.
pub(super) const LEFT_OUT: &str = "debug1: wgfleet left out";

/// Most lines of ssh(1) that are repeated.
const LINES: usize = 4;

/// What a failed login means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An sshd ended the connection before it said anything: too many at a time, most likely.
    Busy(String),
    /// A host key is not known, or another one than is known; what to do about it.
    HostKey(String),
    /// Anything else, in ssh's own words.
    Other(String),
}

/// What sshd's refusal of a burst looks like from here.
const BUSY: &[&str] = &[
    "kex_exchange_identification",
    "ssh_exchange_identification",
    "banner exchange",
    "Exceeded MaxStartups",
    "Not allowed at this time",
];

/// What the same words follow from where no other attempt would help, or would do harm.
const FINAL: &[&str] = &[
    "Host key verification failed",
    "Permission denied",
    "Too many authentication failures",
    "Could not resolve",
    "Connection refused",
    "No route to host",
    "Network is unreachable",
    "timed out",
    "open failed",
    "not found",
    "No such file",
];

impl Refusal {
    /// Reads what ssh(1) and the ssh(1) processes of its jump hosts said; `config` is the file that
    /// replaces ~/.ssh/config; `before` is where the host's last login went, where that is another
    /// place.
    pub(super) fn of(
        log: &str,
        hops: &[Hop],
        config: Option<&str>,
        before: Option<&SshTarget>,
    ) -> Self {
        if let Some(text) = host_key(log, hops, config, before) {
            return Self::HostKey(text);
        }
        let log = &without_details(log);
        let words = words(log);
        let says = |all: &[&str]| all.iter().any(|one| log.contains(one));
        if says(BUSY) && !says(FINAL) { Self::Busy(words) } else { Self::Other(words) }
    }
}

/// What ssh(1) said without what it says with `-v` only.
fn without_details(log: &str) -> String {
    let details = ["debug", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: "];
    let is_detail = |line: &&str| details.iter().any(|detail| line.starts_with(detail));
    log.lines().filter(|line| !is_detail(line)).collect::<Vec<_>>().join("\n")
}

/// ssh's last lines, without what says nothing about a failure.
fn words(log: &str) -> String {
    let noise = ["Warning: Permanently added", "Pseudo-terminal will not be allocated", "@"];
    let lines = log.lines().map(|line| line.trim().trim_start_matches("ssh: "));
    let lines: Vec<String> = lines
        .filter(|line| !line.is_empty() && !noise.iter().any(|noise| line.starts_with(noise)))
        .map(|line| line.chars().take(300).collect())
        .collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() { "ssh ended without a word".to_owned() } else { last.join("; ") }
}

/// What `-v` says of each machine whose key was accepted.
const ACCEPTED: &str = "debug1: SSH2_MSG_NEWKEYS received";

/// What ssh(1) says of a host key that it does not accept: the machine, whether it has another key than
/// is known, and the lines before.
///
/// A machine's banner is text between these lines, and can have the same words. It comes once the key of
/// the machine was accepted: so no machine can speak so of itself, or of one before it on the way, and
/// none of what is not on the way.
fn not_accepted<'a>(log: &'a str, hops: &'a [Hop]) -> Option<(&'a Hop, bool, Vec<&'a str>)> {
    let (mut accepted, mut lines) = (0_usize, Vec::new());
    for line in log.lines() {
        if line.starts_with(ACCEPTED) {
            accepted = accepted.saturating_add(1);
        } else if line.starts_with(LEFT_OUT) {
            accepted = usize::MAX;
        }
        let unknown = || {
            let rest = line.strip_prefix("No ")?.split_once(" host key is known for ")?.1;
            rest.strip_suffix(" and you have requested strict checking.")
        };
        let changed = line.strip_prefix("Host key for ").and_then(|rest| {
            rest.strip_suffix(" has changed and you have requested strict checking.")
        });
        if let Some(name) = changed.or_else(unknown) {
            let mut on_the_way = hops.iter().skip(accepted);
            if let Some(hop) = on_the_way.find(|hop| hop.known_as == name) {
                return Some((hop, changed.is_some(), lines));
            }
        }
        lines.push(line);
    }
    None
}

fn host_key(
    log: &str,
    hops: &[Hop],
    config: Option<&str>,
    before: Option<&SshTarget>,
) -> Option<String> {
    let (hop, changed, said) = not_accepted(log, hops)?;
    let (name, is_jump) = (&hop.known_as, hop.is_jump);
    let what = if is_jump { "jump host " } else { "" };
    let config = config.map(|path| format!("-F {} ", quoted(path))).unwrap_or_default();
    let through = hop.through.as_ref().map(|through| format!("-J {through} "));
    let (through, target) = (through.unwrap_or_default(), hop.target.words());
    let ask = format!("ssh -o StrictHostKeyChecking=ask {config}{through}{target} true");
    let compare = "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on that machine";
    if said.iter().any(|line| line.contains("REVOKED HOST KEY DETECTED")) {
        return Some(format!(
            "the ssh host key of {what}`{name}` is marked as revoked; find out who answers there"
        ));
    }
    if changed {
        // The last one: a banner of a machine before it stands further up.
        let file = said.iter().rev().find_map(|line| {
            let (_, file) = line.strip_prefix("Offending ")?.split_once(" key in ")?;
            file.rsplit_once(':').map(|(file, _)| format!("-f {} ", quoted(file)))
        });
        let file = file.unwrap_or_default();
        return Some(format!(
            "the ssh host key of {what}`{name}` is not the one that is known: the machine was \
             reinstalled, or another one answers; if its fingerprint is the one that {compare}, run \
             `ssh-keygen {file}-R {}`, then `{ask}`",
            quoted(name)
        ));
    }
    let moved = before.filter(|_| !is_jump).map(|before| {
        format!(" (the last login to this host went to `{before}`, so accept-new does not count)")
    });
    Some(format!(
        "the ssh host key of {what}`{name}` is not known{}; run `{ask}` and say yes if the fingerprint \
         is the one that {compare}; a pipeline needs that line of known_hosts (`ssh-keyscan` prints \
         it: compare it too)",
        moved.unwrap_or_default()
    ))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@:,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::settings::HostKeys;

    fn hops() -> Vec<Hop> {
        let hop = |target: &str, known_as: &str, is_jump| Hop {
            target: target.parse().unwrap(),
            known_as: known_as.to_owned(),
            keys: HostKeys::Known,
            through: None,
            is_jump,
        };
        let mut inner = hop("ops@inner", "inner", true);
        inner.through = Some("outer".to_owned());
        vec![hop("outer", "[198.51.100.1]:2222", true), inner, hop("root@b7:22", "b7", false)]
    }

    fn of(log: &str) -> Refusal {
        Refusal::of(log, &hops(), Some("/etc/my conf"), None)
    }

    #[test]
    fn what_an_sshd_refuses_before_it_speaks_is_tried_again() {
        for busy in [
            "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.0.0.1 port 22\r\n",
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",
            "ssh_exchange_identification: Connection closed by remote host\r\n",
            "banner exchange: Connection to UNKNOWN port -1: Connection reset by peer\r\n",
        ] {
            assert!(matches!(of(busy), Refusal::Busy(_)), "{busy}");
        }
        for last in [
            "root@b7: Permission denied (publickey).\r\n",
            // The jump host turns the login away, and the host's own ssh sees a connection that ends.
            "ops@outer: Permission denied (publickey).\r\nkex_exchange_identification: Connection closed by remote host\r\n",
            "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\nkex_exchange_identification: Connection closed by remote host\r\n",
            "ssh: connect to host b7 port 22: Connection refused\r\n",
            "ssh: connect to host b7 port 22: Connection timed out\r\n",
            "ssh: Could not resolve hostname b7: Name or service not known\r\n",
            "sh: 1: nc: not found\nkex_exchange_identification: Connection closed by remote host\r\n",
            "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n",
            "",
        ] {
            assert!(matches!(of(last), Refusal::Other(_)), "{last}");
        }
        assert_eq!(of("\n"), Refusal::Other("ssh ended without a word".to_owned()));
        let noise =
            "Warning: Permanently added 'b7' (ED25519) to the list of known hosts.\r\nssh: x\r\n";
        assert_eq!(of(noise), Refusal::Other("x".to_owned()));
    }

    #[test]
    fn an_unknown_key_says_what_to_run() {
        let log = |name: &str| {
            format!(
                "No ED25519 host key is known for {name} and you have requested strict checking.\r\n\
                 Host key verification failed.\r\nkex_exchange_identification: Connection closed by remote host\r\n"
            )
        };
        let text = |name: &str| match of(&log(name)) {
            Refusal::HostKey(text) => text,
            other => panic!("{other:?}"),
        };
        let own = text("b7");
        assert!(own.starts_with("the ssh host key of `b7` is not known; run `ssh -o StrictHostKeyChecking=ask -F '/etc/my conf' -p 22 root@b7 true`"), "{own}");
        let outer = text("[198.51.100.1]:2222");
        assert!(outer.starts_with("the ssh host key of jump host `[198.51.100.1]:2222` is not known; run `ssh -o StrictHostKeyChecking=ask -F '/etc/my conf' outer true`"), "{outer}");
        let inner = text("inner");
        assert!(inner.contains("-J outer ops@inner true`"), "{inner}");
        // Nothing that was asked for.
        assert!(matches!(of(&log("x; reboot")), Refusal::Other(_)));
        let old = "root@old".parse().unwrap();
        let Refusal::HostKey(moved) = Refusal::of(&log("b7"), &hops(), None, Some(&old)) else {
            panic!("no host key");
        };
        assert!(moved.contains("the last login to this host went to `root@old`"), "{moved}");
    }

    #[test]
    fn no_banner_speaks_of_keys() {
        let words = |name: &str| {
            [
                format!(
                    "No ED25519 host key is known for {name} and you have requested strict checking.\r\n"
                ),
                format!(
                    "@    WARNING: REVOKED HOST KEY DETECTED!     @\r\nOffending ED25519 key in /etc/shadow:1\r\n\
                     Host key for {name} has changed and you have requested strict checking.\r\n"
                ),
            ]
        };
        let accepted = format!("{ACCEPTED}\r\n");
        let denied = "root@b7: Permission denied (publickey).\r\n";
        let names = ["[198.51.100.1]:2222", "inner", "b7", "elsewhere"];
        for (number, name) in (0..).zip(names) {
            for banner in words(name) {
                // Of the host itself, to which three keys have led, and of each before.
                let log = format!("{}{banner}{denied}", accepted.repeat(3));
                assert!(matches!(of(&log), Refusal::Other(_)), "{log}");
                let own = accepted.repeat(number + 1);
                let log = format!("{own}{banner}{denied}");
                assert!(matches!(of(&log), Refusal::Other(_)), "{log}");
                // Behind what was left out nobody knows.
                let log = format!("{LEFT_OUT} 9 bytes\r\n{banner}{denied}");
                assert!(matches!(of(&log), Refusal::Other(_)), "{log}");
                let log = format!("welcome! {banner}{denied}");
                assert!(
                    !banner.starts_with("No ") || matches!(of(&log), Refusal::Other(_)),
                    "{log}"
                );
                // What ssh(1) itself says.
                let log =
                    format!("{}{banner}Host key verification failed.\r\n", accepted.repeat(number));
                assert_eq!(matches!(of(&log), Refusal::HostKey(_)), name != "elsewhere", "{log}");
            }
        }
    }

    /// The file that is named is ssh's own, not one of a banner of a machine on the way.
    #[test]
    fn no_banner_names_a_file() {
        let log = format!(
            "{ACCEPTED}\r\nOffending ED25519 key in /etc/shadow:1\r\nOffending ED25519 key in /home/me/known:3\r\n\
             Host key for b7 has changed and you have requested strict checking.\r\n"
        );
        let Refusal::HostKey(text) = of(&log) else { panic!("no host key") };
        assert!(text.contains("`ssh-keygen -f /home/me/known -R b7`"), "{text}");
    }

    #[test]
    fn a_changed_key_says_what_to_run() {
        let log = "@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
                   Add correct host key in /home/o p/known_hosts to get rid of this message.\r\n\
                   Offending ED25519 key in /home/o p/known_hosts:3\r\n  remove with:\r\n\
                   Host key for [198.51.100.1]:2222 has changed and you have requested strict checking.\r\n\
                   Host key verification failed.\r\n";
        let Refusal::HostKey(text) = of(log) else { panic!("no host key") };
        assert!(text.contains("of jump host `[198.51.100.1]:2222` is not the one"), "{text}");
        assert!(
            text.contains("`ssh-keygen -f '/home/o p/known_hosts' -R '[198.51.100.1]:2222'`"),
            "{text}"
        );
        assert!(text.contains("then `ssh -o StrictHostKeyChecking=ask"), "{text}");
    }
}

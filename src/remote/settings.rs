//! What the user's `ssh_config` makes of a target, as `ssh -G` prints it.

use std::fmt::Write as _;
use std::path::Path;

use crate::model::SshTarget;

/// How host keys are checked; never weaker than `accept-new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostKeys {
    /// Only keys that are known (`yes`, `ask`).
    Known,
    /// A host's first key is believed, another one never (`accept-new`; `no` and `off` are raised to
    /// it).
    New,
}

impl HostKeys {
    /// The value of `StrictHostKeyChecking`.
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Known => "yes",
            Self::New => "accept-new",
        }
    }
}

/// What ssh(1) does for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshSettings {
    /// Where it connects to: `hostname:port`.
    pub(super) address: String,
    /// What its key is filed under in `known_hosts`.
    pub(super) known_as: String,
    /// How its key is checked.
    pub(super) keys: HostKeys,
    /// Its jump hosts, the first one first; `None` where they are not plain targets.
    pub(super) jumps: Option<Vec<SshTarget>>,
    /// Its `ProxyCommand`.
    pub(super) command: Option<String>,
}

impl SshSettings {
    /// Reads what `ssh -G` printed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(' ')?;
                name.eq_ignore_ascii_case(key).then_some(value.trim())
            })
        };
        let some = |key: &str| value(key).filter(|value| !matches!(*value, "none" | ""));
        let (hostname, port) = (value("hostname")?, value("port")?);
        let known_as = match (some("hostkeyalias"), port) {
            (Some(alias), _) => alias.to_owned(),
            (None, "22") => hostname.to_owned(),
            (None, port) => format!("[{hostname}]:{port}"),
        };
        let remembers = some("userknownhostsfile").is_some_and(|files| {
            files.split_whitespace().any(|file| !matches!(file, "/dev/null" | "none"))
        });
        let keys = match value("stricthostkeychecking").unwrap_or("yes") {
            // What is forgotten at once is believed each time.
            "accept-new" | "false" | "no" | "off" if remembers => HostKeys::New,
            _ => HostKeys::Known,
        };
        let jumps = match some("proxyjump") {
            None => Some(Vec::new()),
            Some(list) => list.split(',').map(|jump| jump.trim().parse().ok()).collect(),
        };
        Some(Self {
            address: format!("{hostname}:{port}"),
            known_as,
            keys,
            jumps,
            command: some("proxycommand").map(str::to_owned),
        })
    }
}

/// The words of ssh's command line that mean a target, behind all options; none of them can be one.
pub(super) fn words(target: &SshTarget) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(port) = target.port() {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = target.user() {
        words.extend(["-l".to_owned(), user.to_owned()]);
    }
    words.extend(["--".to_owned(), target.host().to_owned()]);
    words
}

/// A configuration for a target behind jump hosts: what holds for the target itself holds for the
/// ssh(1) processes of its jump hosts too, which get no option but the name of the file. `own`
/// replaces ~/.ssh/config; `None` where its path cannot be written into one.
pub(super) fn config_for_jumps(
    jumps: &[(&SshTarget, HostKeys)],
    own: Option<&Path>,
    seconds: u64,
) -> Option<String> {
    let mut text =
        "# wgfleet's, for this run: nobody is asked, also not by a jump host.\n".to_owned();
    for (jump, keys) in jumps {
        let _ = writeln!(text, "Host {}\n  StrictHostKeyChecking {}", jump.host(), keys.value());
    }
    let _ = writeln!(
        text,
        "Host *\n  BatchMode yes\n  ConnectTimeout {seconds}\n  ServerAliveInterval 5"
    );
    match own.map(|path| path.to_str().filter(|path| is_plain(path))) {
        // ssh(1) has this word for no configuration at all.
        Some(Some("none")) => {}
        Some(Some(path)) => {
            let _ = writeln!(text, "Include {path}");
        }
        Some(None) => return None,
        None => text += "Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n",
    }
    Some(text)
}

/// Whether `ssh_config` takes a path as it is, without quotes, patterns and tokens.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@:,=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(more: &str) -> SshSettings {
        let text = format!(
            "user root\nhostname 10.0.0.1\nport 22\nuserknownhostsfile /root/.ssh/known_hosts\n{more}"
        );
        SshSettings::parse(&text).unwrap()
    }

    #[test]
    fn host_keys_are_checked_as_the_user_says_and_never_less_than_accept_new() {
        for (said, keys) in [
            ("true", HostKeys::Known),
            ("yes", HostKeys::Known),
            ("ask", HostKeys::Known),
            ("accept-new", HostKeys::New),
            ("false", HostKeys::New),
            ("no", HostKeys::New),
            ("off", HostKeys::New),
            ("something-else", HostKeys::Known),
        ] {
            assert_eq!(settings(&format!("stricthostkeychecking {said}\n")).keys, keys, "{said}");
        }
        assert_eq!(settings("").keys, HostKeys::Known);
        // `no` with a file that forgets is the one setting that sees no other key at all.
        let forgets =
            "hostname h\nport 22\nstricthostkeychecking no\nuserknownhostsfile /dev/null\n";
        assert_eq!(SshSettings::parse(forgets).unwrap().keys, HostKeys::Known);
        assert_eq!(SshSettings::parse("ssh: no such thing\n"), None);
    }

    #[test]
    fn jump_hosts_are_taken_apart() {
        let of = |list: &str| settings(&format!("proxyjump {list}\n")).jumps;
        let targets = |list: &[&str]| Some(list.iter().map(|jump| jump.parse().unwrap()).collect());
        assert_eq!(settings("").jumps, targets(&[]));
        assert_eq!(of("none"), targets(&[]));
        assert_eq!(of("ops@a,ssh://b:99"), targets(&["ops@a", "b:99"]));
        assert_eq!(of("[fd00::1]:22"), targets(&["[fd00::1]:22"]));
        for odd in ["a,-V", "-oProxyCommand=x", "ssh://-V", "a@-b", "%h", "a b", "a,,b"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_key_is_known_under_its_alias_or_its_address() {
        assert_eq!(settings("").known_as, "10.0.0.1");
        assert_eq!(settings("hostkeyalias h1\n").known_as, "h1");
        let text = "hostname 10.0.0.1\nport 2222\n";
        assert_eq!(SshSettings::parse(text).unwrap().known_as, "[10.0.0.1]:2222");
        assert_eq!(SshSettings::parse(text).unwrap().address, "10.0.0.1:2222");
    }

    #[test]
    fn a_configuration_for_jump_hosts_asks_nobody_and_reads_the_users_last() {
        let jump = "ops@bastion".parse().unwrap();
        let text = config_for_jumps(&[(&jump, HostKeys::New)], None, 10).unwrap();
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>().join("\n"),
            "Host bastion\n  StrictHostKeyChecking accept-new\nHost *\n  BatchMode yes\n  \
             ConnectTimeout 10\n  ServerAliveInterval 5\nInclude ~/.ssh/config\n\
             Include /etc/ssh/ssh_config"
        );
        let with = |path: &str| config_for_jumps(&[], Some(Path::new(path)), 1);
        assert!(with("/etc/my.conf").unwrap().ends_with("Include /etc/my.conf\n"));
        assert!(!with("none").unwrap().contains("Include"));
        for odd in ["/a b", "/a\nMatch exec x", "/a*", "/%h", "/$HOME", "/\"a", "/~"] {
            assert_eq!(with(odd), None, "{odd}");
        }
    }

    proptest! {
        /// Whatever is taken for a target gives ssh(1) one host and no option of its own.
        #[test]
        fn no_word_of_a_target_is_an_option(text in r"(ssh://)?[-a-zA-Z@:\[\]._%/ $=,;\n0-9]{0,24}") {
            if let Ok(target) = text.parse::<SshTarget>() {
                let words = words(&target);
                let end = words.iter().position(|word| word == "--").unwrap();
                prop_assert_eq!(words.len(), end + 2, "one host behind the end of the options");
                prop_assert!(!words[end + 1].starts_with('-') && !words[end + 1].is_empty());
                for option in words[..end].chunks(2) {
                    prop_assert!(option[0] == "-p" || option[0] == "-l", "{:?}", option);
                    prop_assert!(!option[1].starts_with('-') && !option[1].is_empty());
                }
                prop_assert!(words.iter().all(|word| !word.contains([' ', '\n', '%', '=', ',', ';'])));
            }
        }
    }
}

//! Where ssh(1) connects to.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AddressError, HostName, Port};

/// Where ssh(1) connects to, in parts, none of which can be an option of it, a pattern, a path or
/// something that a shell would read.
///
/// Written as `[user@]host[:port]`, `ssh://[user@]host[:port]` or an alias of `ssh_config`; an IPv6
/// address stands in brackets where a port follows. Two spellings of one target are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshTarget {
    user: Option<Box<str>>,
    host: Box<str>,
    port: Option<Port>,
}

/// The most bytes that a target may have.
const LONGEST: usize = 255;

impl SshTarget {
    /// Who logs in; `None`: whom `ssh_config` says.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name, alias or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; `None`: the one that `ssh_config` says.
    #[must_use]
    pub fn port(&self) -> Option<Port> {
        self.port
    }

    /// The words of a command line behind `ssh` that mean this target.
    #[must_use]
    pub fn words(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} ")).unwrap_or_default();
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{port}{user}{}", self.host)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let rest = match text.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => text,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, behind) = inner.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (host, port)
        } else if rest.parse::<Ipv6Addr>().is_ok() {
            (rest, None)
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Port::new(port.parse().ok()?)?)
            }
            Some(_) => return None,
            None => None,
        };
        // `-` would begin an option, `.` a path where ssh_config has `%h` or `%r` in one.
        let word = |text: &str, more: &[u8]| {
            !text.is_empty()
                && !text.starts_with(['-', '.'])
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
        };
        let host = match host.parse::<Ipv6Addr>() {
            Ok(addr) => addr.to_string(),
            Err(_) if word(host, b"._-+") => host.to_owned(),
            Err(_) => return None,
        };
        // Users of a directory have its name behind an `@` of their own.
        user.is_none_or(|user| word(user, b"._-+@")).then(|| Self {
            user: user.map(Into::into),
            host: host.into(),
            port,
        })
    }
}

impl FromStr for SshTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).ok_or_else(|| AddressError::Ssh(text.to_owned()))
    }
}

impl From<&HostName> for SshTarget {
    /// The host's name: its characters are a subset of what ssh(1) takes.
    fn from(name: &HostName) -> Self {
        Self { user: None, host: name.as_str().into(), port: None }
    }
}

impl TryFrom<String> for SshTarget {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SshTarget> for String {
    fn from(target: SshTarget) -> Self {
        target.to_string()
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        let text = match self.port {
            None => format!("{user}{}", self.host),
            Some(port) if self.host.contains(':') => format!("{user}[{}]:{port}", self.host),
            Some(port) => format!("{user}{}:{port}", self.host),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        let check = |text: &str, canonical: &str, user: Option<&str>, host: &str, port| {
            let target = text.parse::<SshTarget>().unwrap();
            assert_eq!(target.to_string(), canonical);
            assert_eq!((target.user(), target.host()), (user, host), "{text}");
            assert_eq!(target.port().map(Port::get), port, "{text}");
        };
        check("paris-gw", "paris-gw", None, "paris-gw", None);
        check("my_alias.", "my_alias.", None, "my_alias.", None);
        check("ssh://my_Alias", "my_Alias", None, "my_Alias", None);
        let (root, ops) = (Some("root"), Some("ops"));
        check(
            "root@a.example.com:2222",
            "root@a.example.com:2222",
            root,
            "a.example.com",
            Some(2222),
        );
        check("ssh://ops@10.0.0.1:022/", "ops@10.0.0.1:22", ops, "10.0.0.1", Some(22));
        check("[2001:DB8::1]:22", "[2001:db8::1]:22", None, "2001:db8::1", Some(22));
        check("ssh://root@[2001:db8:0::1]", "root@2001:db8::1", root, "2001:db8::1", None);
        check("root@2001:db8::1", "root@2001:db8::1", root, "2001:db8::1", None);
        check("a@corp.example@h", "a@corp.example@h", Some("a@corp.example"), "h", None);
    }

    #[test]
    fn words_are_those_of_a_command_line() {
        let words = |text: &str| text.parse::<SshTarget>().unwrap().words();
        assert_eq!(words("ssh://root@a:2222"), "-p 2222 root@a");
        assert_eq!(words("[2001:db8::1]:22"), "-p 22 2001:db8::1");
    }

    #[test]
    fn targets_are_never_options() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "ssh://-V",
            "ssh://a@-V",
            "ssh://-oX@h",
            "ssh://-Fx.conf",
            "-l@h",
            "a@-h",
            "root@",
            "ssh://",
            "ssh:///",
            "@h",
            "a b",
            "a;b",
            "a|b",
            "a&b",
            "a>b",
            "a*",
            "a?",
            "~",
            "!a",
            "a,b",
            "a'b",
            "a\"b",
            "a\\b",
            "$(x)",
            "${x}",
            "`x`",
            "{a}",
            "h:",
            "h:0",
            "h:65536",
            "h:22:23",
            "h:-1",
            "h:+22",
            "h: 22",
            "[::1",
            "[h]:22",
            "[::1]x",
            "[::1]:",
            "[::1%eth0]",
            "fe80::1%eth0",
            "%h",
            "%r@h",
            "h%n",
            "a/b",
            "ssh://h/path",
            "ssh://h//",
            "h\n",
            "h\r",
            "h\0",
            "h\u{202e}",
            "é",
            "..",
            ".",
            "..@h",
            "SSH://h",
            "ssh://ssh://h",
            "h=x",
            "h#x",
        ] {
            assert!(bad.parse::<SshTarget>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(256).parse::<SshTarget>().is_err());
    }

    proptest! {
        /// Whatever is accepted has parts that are no options, and is what it says it is.
        #[test]
        fn parts_are_plain_words(text in r"(ssh://)?[-a-z@:\[\]._%/ $=]{0,20}") {
            if let Ok(target) = text.parse::<SshTarget>() {
                for part in [Some(target.host()), target.user()].into_iter().flatten() {
                    prop_assert!(!part.is_empty() && !part.starts_with('-'));
                    prop_assert!(!part.contains(['/', '%', '$', ' ', '=']));
                }
                prop_assert_eq!(target.to_string().parse::<SshTarget>().unwrap(), target);
            }
        }
    }
}

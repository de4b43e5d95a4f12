//! Programs that a host's script calls.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is missing where a host does not have a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everything: without it a host can neither be observed nor changed.
    Always,
    /// What a plan decides by: the host says whether it is there.
    Told,
    /// Something that the script can do without, or that comes with another program.
    Perhaps,
}

macro_rules! tools {
    ($($tool:ident = $name:literal, $need:ident, $package:literal;)*) => {
        /// A program that a host's script calls.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[expect(missing_docs, reason = "each is the program of its name")]
        pub enum Tool { $($tool,)* }

        impl Tool {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$tool,)*];

            /// What it is called as.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$tool => $name,)* }
            }

            /// What is missing without it.
            #[must_use]
            pub const fn need(self) -> Need {
                match self { $(Self::$tool => Need::$need,)* }
            }

            /// The package that has it in most distributions.
            const fn usual_package(self) -> &'static str {
                match self { $(Self::$tool => $package,)* }
            }
        }
    };
}

tools! {
    Awk = "awk", Always, "gawk";
    Cat = "cat", Always, "coreutils";
    Chmod = "chmod", Always, "coreutils";
    Chown = "chown", Always, "coreutils";
    Cmp = "cmp", Always, "diffutils";
    Cp = "cp", Always, "coreutils";
    Cut = "cut", Always, "coreutils";
    Dd = "dd", Always, "coreutils";
    Df = "df", Always, "coreutils";
    Du = "du", Always, "coreutils";
    Grep = "grep", Always, "grep";
    Head = "head", Always, "coreutils";
    Ln = "ln", Always, "coreutils";
    Mkdir = "mkdir", Always, "coreutils";
    Mv = "mv", Always, "coreutils";
    Readlink = "readlink", Always, "coreutils";
    Rm = "rm", Always, "coreutils";
    Rmdir = "rmdir", Always, "coreutils";
    Sed = "sed", Always, "sed";
    Setsid = "setsid", Always, "util-linux";
    Sha256sum = "sha256sum", Always, "coreutils";
    Sleep = "sleep", Always, "coreutils";
    Sort = "sort", Always, "coreutils";
    Stat = "stat", Always, "coreutils";
    Sync = "sync", Always, "coreutils";
    Tr = "tr", Always, "coreutils";
    Uname = "uname", Always, "coreutils";
    Wg = "wg", Told, "wireguard-tools";
    WgQuick = "wg-quick", Told, "wireguard-tools";
    Ip = "ip", Told, "iproute2";
    Nft = "nft", Told, "nftables";
    Resolvconf = "resolvconf", Told, "openresolv";
    WireguardGo = "wireguard-go", Told, "wireguard-go";
    Systemctl = "systemctl", Told, "systemd";
    SystemdRun = "systemd-run", Perhaps, "systemd";
    Journalctl = "journalctl", Perhaps, "systemd";
    Gzip = "gzip", Perhaps, "gzip";
    Ping = "ping", Perhaps, "iputils-ping";
    Modprobe = "modprobe", Perhaps, "kmod";
    Unshare = "unshare", Perhaps, "util-linux";
    Sh = "sh", Perhaps, "dash";
}

impl Tool {
    /// The package that has it, where `installer` is what installs packages.
    #[must_use]
    pub fn package(self, installer: &str) -> &'static str {
        match (self, installer) {
            // What Debian has by itself.
            (Self::Awk, "apt-get") => "mawk",
            (tool, _) => tool.usual_package(),
        }
    }
}

/// No program of the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no program that wgfleet asks hosts for")]
pub struct UnknownTool(String);

impl FromStr for Tool {
    type Err = UnknownTool;

    fn from_str(text: &str) -> Result<Self, UnknownTool> {
        let found = Self::ALL.iter().find(|tool| tool.name() == text);
        found.copied().ok_or_else(|| UnknownTool(text.to_owned()))
    }
}

impl TryFrom<String> for Tool {
    type Error = UnknownTool;
    fn try_from(text: String) -> Result<Self, UnknownTool> {
        text.parse()
    }
}

impl From<Tool> for String {
    fn from(tool: Tool) -> Self {
        tool.name().to_owned()
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Tool {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        super::schema::Word::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        super::schema::Word::json_schema(generator)
    }

    fn inline_schema() -> bool {
        super::schema::Word::inline_schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_its_name() {
        for tool in Tool::ALL {
            assert_eq!(tool.name().parse(), Ok(*tool));
        }
        assert_eq!("x".parse::<Tool>(), Err(UnknownTool("x".to_owned())));
        assert_eq!(Tool::Awk.package("apt-get"), "mawk");
        assert_eq!(Tool::Awk.package("apk"), "gawk");
    }
}

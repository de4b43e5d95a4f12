//! The variables that commands read.
//!
//! clap reads none of them: it would count them among the given arguments, in usage lines too, and
//! print their values in `--help`.

use std::path::PathBuf;

/// The name of an identity file.
pub(super) const IDENTITY: &str = "WGFLEET_IDENTITY";
/// An identity itself.
pub(super) const IDENTITY_KEY: &str = "WGFLEET_IDENTITY_KEY";
/// Further folders of includes.
pub(super) const INCLUDE_FROM: &str = "WGFLEET_INCLUDE_FROM";
/// The configuration file of ssh(1).
pub(super) const SSH_CONFIG: &str = "WGFLEET_SSH_CONFIG";
/// The folder of release binaries.
pub(super) const BINARIES: &str = "WGFLEET_BINARIES";
/// The shell that asks what can follow.
pub(super) const COMPLETE: &str = "WGFLEET_COMPLETE";

/// A variable for manual pages.
#[derive(Debug)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) meaning: &'static str,
    /// Whose it is.
    pub(super) of: Readers,
}

/// The commands that read a variable, or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Those that work on a fleet.
    Fleet,
    /// Those that stand in for wireguard-tools, and the tunnel.
    Tools,
    /// All.
    Every,
}

/// Every variable, in the order in which manual pages show them.
pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: IDENTITY,
        meaning: "The age identity file that opens the vault, where --identity names none.",
        of: Readers::Fleet,
    },
    Variable {
        name: IDENTITY_KEY,
        meaning: "An age identity itself, as CI systems keep it. It goes before WGFLEET_IDENTITY, and no \
                  program that is started inherits it.",
        of: Readers::Fleet,
    },
    Variable {
        name: INCLUDE_FROM,
        meaning: "Folders that `include` may read from, with colons between them, where --include-from \
                  names none.",
        of: Readers::Fleet,
    },
    Variable {
        name: SSH_CONFIG,
        meaning: "The configuration file of ssh(1), where --ssh-config names none.",
        of: Readers::Fleet,
    },
    Variable {
        name: BINARIES,
        meaning: "The folder of release binaries for hosts of other architectures, where --binaries \
                  names none.",
        of: Readers::Fleet,
    },
    Variable {
        name: "XDG_CONFIG_HOME",
        meaning: "Where wgfleet/identity-FLEET.txt lies; ~/.config where it is not set.",
        of: Readers::Fleet,
    },
    Variable {
        name: "XDG_STATE_HOME",
        meaning: "Where wgfleet keeps logins-FLEET.json, vault-FLEET.json and the journals that \
                  `wgfleet history` shows; ~/.local/state where it is not set.",
        of: Readers::Fleet,
    },
    Variable {
        name: "WG_QUICK_USERSPACE_IMPLEMENTATION",
        meaning: "The program that runs an interface where the kernel has no WireGuard, instead of \
                  `wgfleet tunnel`.",
        of: Readers::Tools,
    },
    Variable {
        name: "WG_ENDPOINT_RESOLUTION_RETRIES",
        meaning: "How often the name of an endpoint is looked up again, or `infinity`.",
        of: Readers::Tools,
    },
    Variable {
        name: "WG_COLOR_MODE",
        meaning: "`always`, `never` or `auto`: whether `wgfleet wg show` is in colour.",
        of: Readers::Tools,
    },
    Variable {
        name: "WG_HIDE_KEYS",
        meaning: "`never`: `wgfleet wg show` shows private and preshared keys.",
        of: Readers::Tools,
    },
    Variable {
        name: "NO_COLOR",
        meaning: "Where it is set, nothing is in colour.",
        of: Readers::Every,
    },
    Variable {
        name: COMPLETE,
        meaning: "Set by the script of `wgfleet completions`: the shell that asks what can follow.",
        of: Readers::Every,
    },
];

/// The file or folder that a variable names; an empty one counts as absent.
pub(super) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The files or folders that a variable names, with colons between them.
pub(super) fn paths(name: &str) -> Vec<PathBuf> {
    let text = std::env::var_os(name).unwrap_or_default();
    std::env::split_paths(&text).filter(|path| !path.as_os_str().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every variable of wgfleet's own is in the table, so that manual pages tell of it.
    #[test]
    fn the_table_is_whole() {
        let own = [IDENTITY, IDENTITY_KEY, INCLUDE_FROM, SSH_CONFIG, BINARIES, COMPLETE];
        let named: BTreeSet<&str> = VARIABLES.iter().map(|one| one.name).collect();
        assert_eq!(named.len(), VARIABLES.len(), "each stands once");
        assert!(own.iter().all(|name| named.contains(name)));
        let source = include_str!("environment.rs");
        assert_eq!(source.matches(": &str = \"WGFLEET_").count(), own.len(), "`own` is whole");
    }
}

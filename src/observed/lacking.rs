//! Programs that a host's script needs and the host does not have.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Tool, list};

/// What a host lacks, and what installs it there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lacking {
    /// The programs.
    programs: BTreeSet<Tool>,
    /// The host's package manager, where it has one that is known.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub(super) installer: Option<String>,
}

impl Lacking {
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    pub(super) fn add(&mut self, program: Tool) {
        self.programs.insert(program);
    }
}

/// The command by which a package manager installs something.
fn command(installer: &str) -> &'static str {
    match installer {
        "apk" => "apk add",
        "dnf" => "dnf install",
        "yum" => "yum install",
        "zypper" => "zypper install",
        "pacman" => "pacman -S",
        _ => "apt-get install",
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let programs: Vec<&str> = self.programs.iter().map(|program| program.name()).collect();
        let installer = self.installer.as_deref().unwrap_or_default();
        let packages: BTreeSet<&str> =
            self.programs.iter().map(|program| program.package(installer)).collect();
        let packages: Vec<&str> = packages.into_iter().collect();
        write!(f, "the host lacks {}, which wgfleet works with there: ", list(&programs))?;
        if installer.is_empty() {
            write!(f, "install {} on it", list(&packages))
        } else {
            write!(f, "run `{} {}` on it", command(installer), packages.join(" "))
        }
    }
}

impl std::error::Error for Lacking {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_that_of_the_host() {
        let said = |programs: &[&str], installer: Option<&str>| {
            let mut lacking = Lacking::default();
            for program in programs {
                lacking.add(program.parse().unwrap());
            }
            lacking.installer = installer.map(str::to_owned);
            lacking.to_string()
        };
        assert!(said(&["awk"], Some("apk")).ends_with("run `apk add gawk` on it"));
        let two = said(&["sha256sum", "stat", "cmp"], None);
        let expected = "the host lacks cmp, sha256sum and stat, which wgfleet works with there: \
                        install coreutils and diffutils on it";
        assert_eq!(two, expected);
    }
}

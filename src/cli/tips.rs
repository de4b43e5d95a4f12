//! What a wrong argument was probably meant for, where clap does not know it.

use std::ffi::OsString;
use std::path::Path;

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A word that a command does not take is a host, or an inventory. `root` has all commands.
pub(super) fn added(mut root: clap::Command, mut error: Error, given: &[OsString]) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return error };
    if word.starts_with('-') {
        return error;
    }
    root.build();
    let command = given.iter().skip(1).filter_map(|word| word.to_str()).fold(&root, |at, word| {
        at.get_subcommands().find(|inner| inner.get_name() == word).unwrap_or(at)
    });
    let takes = |option: &str| command.get_arguments().any(|one| one.get_long() == Some(option));
    let is_file = word.contains('/') || Path::new(word).extension().is_some();
    let tip = if is_file && takes("file") {
        format!("name the inventory with `--file {word}`")
    } else if takes("limit") {
        format!("name the hosts with `--limit {word}`")
    } else {
        return error;
    };
    let tips = vec![StyledStr::from(tip)];
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, arguments};

    fn said(line: &str) -> String {
        let given: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        added(arguments(), Cli::try_parse_from(&given).unwrap_err(), &given).render().to_string()
    }

    #[test]
    fn a_host_or_an_inventory_in_the_wrong_place_gets_its_option() {
        assert!(said("wgfleet plan b7").contains("tip: name the hosts with `--limit b7`"));
        assert!(said("wgfleet status b7").contains("--limit b7"));
        assert!(
            said("wgfleet check a.yaml").contains("tip: name the inventory with `--file a.yaml`")
        );
        assert!(said("wgfleet plan ./a.yaml").contains("--file ./a.yaml"));
        assert!(!said("wgfleet check b7").contains("tip: name"));
        assert!(!said("wgfleet plan --limitt b7").contains("tip: name"));
        assert!(said("wgfleet plna").contains("plan"), "clap knows subcommands");
    }
}

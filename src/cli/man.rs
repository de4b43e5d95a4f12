//! `wgfleet man`: a manual page for each command.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

use super::{CommandError, CommandResult, Context, Exit};
use crate::sys::{Mode, write_atomic};

/// Write the manual pages into a folder: wgfleet.1, wgfleet-plan.1, …
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  wgfleet man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder; it is made where it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ManArgs {
    /// `root` has all commands.
    pub(super) fn run(&self, mut root: clap::Command, context: &Context) -> CommandResult {
        std::fs::create_dir_all(&self.dir)?;
        root.build();
        let pages = pages(&root, &self.dir)?;
        if !context.quiet {
            let dir = self.dir.display();
            anstream::eprintln!("wrote {} into {dir}", crate::model::count(pages, "manual page"));
        }
        Ok(Exit::Done)
    }
}

/// Writes the page of a command and those of its subcommands; gives their number.
fn pages(command: &clap::Command, dir: &Path) -> Result<usize, CommandError> {
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    let path = dir.join(man.get_filename());
    man.render(&mut page)?;
    write_atomic(&path, &page, Mode::Public)
        .map_err(|error| CommandError::new(Exit::Failed, &error))?;
    let mut written = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        if inner.get_name() != "help" {
            written += pages(inner, dir)?;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments;

    #[test]
    fn every_command_has_a_page_with_its_full_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut root = arguments();
        root.build();
        let written = pages(&root, dir.path()).unwrap();
        assert_eq!(written, std::fs::read_dir(dir.path()).unwrap().count());
        let page = std::fs::read_to_string(dir.path().join("wgfleet-vault-init.1")).unwrap();
        assert!(page.contains("wgfleet vault init"), "{page}");
    }
}

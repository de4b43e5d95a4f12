//! `wgfleet init`: a folder to begin a fleet in.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::desired::DEFAULT_TEMPLATE;
use crate::model::{FleetName, Kind, Version};
use crate::report::document::Init;
use crate::sys;

use super::output::{json, print};
use super::vault::{self, Access};
use super::{CommandError, CommandResult, Context, Exit, Format, FormatArgs};
use crate::fleet::load::FLEET_FILE;

/// Begin a fleet: an inventory with comments, a vault, and what to do next
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wgfleet init acme
  wgfleet init acme --templates --passphrase
  wgfleet init acme --recipient \"$(cat colleague.pub)\"")]
pub(super) struct Args {
    /// The folder; it is made where it does not exist
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,

    /// Copy the template of wg0.conf too, to change it
    #[arg(long)]
    templates: bool,

    #[command(flatten)]
    access: Access,

    #[command(flatten)]
    pub(super) format: FormatArgs,
}

/// The files of a new fleet, relative to its folder.
const FILES: &[(&str, &str)] = &[
    (FLEET_FILE, include_str!("scaffold/fleet.yaml")),
    (".gitignore", include_str!("scaffold/gitignore")),
];

/// The fleet's name within the scaffold.
const NAME: &str = "my-fleet";

pub(super) fn run(args: &Args, context: &Context) -> CommandResult {
    let dir = &args.dir;
    let fleet = dir.join(FLEET_FILE);
    if fleet.symlink_metadata().is_ok() {
        let message = format!("{} is already there; nothing was written", fleet.display());
        return Err(CommandError::message(Exit::Failed, message)
            .hint("name another folder, or change the inventory that is there"));
    }
    let (name, mut written) = scaffold(dir)?;
    if args.templates {
        let path = dir.join("templates/wg0.conf.j2");
        fs::create_dir_all(dir.join("templates"))?;
        if !path.exists() {
            sys::write_atomic(&path, DEFAULT_TEMPLATE.as_bytes(), sys::Mode::Public)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?;
            written.push(path);
        }
    }
    let vault = if dir.join("vault").exists() {
        None
    } else {
        Some(vault::make(context, dir, &name, &args.access)?)
    };
    if context.format == Format::Json {
        return print(&json(&Init {
            kind: Kind::default(),
            version: Version::default(),
            fleet: &name,
            files: &written,
            vault,
        })?);
    }
    let mut text = String::new();
    for path in &written {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "wrote {}", path.display());
    }
    text.push_str(&next_steps(dir));
    print(&text)
}

/// Writes the files of a new fleet and returns their paths. A file that is there stays as it is.
fn scaffold(dir: &Path) -> Result<(FleetName, Vec<PathBuf>), CommandError> {
    fs::create_dir_all(dir)?;
    let name = fs::canonicalize(dir)?
        .file_name()
        .and_then(|name| name.to_str()?.parse::<FleetName>().ok())
        .or_else(|| NAME.parse().ok())
        .ok_or_else(|| CommandError::message(Exit::Failed, "the scaffold has no name"))?;
    let mut written = Vec::new();
    for (file, text) in FILES {
        let path = dir.join(file);
        let text = text.replace(NAME, name.as_str());
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                written.push(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((name, written))
}

fn next_steps(dir: &Path) -> String {
    let at =
        if dir == Path::new(".") { String::new() } else { format!(" --file {}", dir.display()) };
    format!(
        "\nnext:\n  \
         1. edit {}: your networks, sites and hosts\n  \
         2. wgfleet check{at}           says what is wrong with it\n  \
         3. wgfleet vault keygen{at}    makes the keys of hosts that have none\n  \
         4. wgfleet plan{at}            reads the hosts and shows what would change\n  \
         5. wgfleet apply{at}           changes the hosts; one that can no longer be reached rolls back by itself\n",
        dir.join(FLEET_FILE).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::load::load;

    #[test]
    fn a_new_fleet_has_no_findings_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("acme");
        assert_eq!(scaffold(&dir).unwrap().1, [dir.join("fleet.yaml"), dir.join(".gitignore")]);
        let loaded = load(&dir).unwrap();
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let inventory = loaded.inventory.unwrap();
        assert_eq!(inventory.fleet.value.as_str(), "acme");
        assert_eq!(inventory.hosts.len(), 3);
        fs::write(dir.join("fleet.yaml"), "mine").unwrap();
        assert!(scaffold(&dir).unwrap().1.is_empty());
        assert_eq!(fs::read_to_string(dir.join("fleet.yaml")).unwrap(), "mine");
    }
}

//! What a lab needs of the machine.

use std::path::{Path, PathBuf};

use super::LabError;

/// Programs that the lab runs, with the Debian packages that have them.
const PROGRAMS: [(&str, &str); 7] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("env", "coreutils"),
];

/// Refuses a machine on which no lab can be raised, with what is missing.
pub(super) fn check() -> Result<(), LabError> {
    root()?;
    if !Path::new("/dev/net/tun").exists() {
        return Err(LabError::NoTun);
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            return Err(LabError::NoProgram { program, package });
        }
    }
    Ok(())
}

/// Refuses anybody but root.
pub(super) fn root() -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// Where the machine has a program, within the folders that hosts search.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let folders = FOLDERS.iter();
    folders.map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

/// Everywhere that a host would find a program, for [`super::HostSpec::hide`]; an absolute path
/// stands for itself.
#[must_use]
pub fn places_of(program: &str) -> Vec<PathBuf> {
    if program.starts_with('/') {
        return vec![program.into()];
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).collect()
}

/// What runs as PID 1 of a host that asks for systemd.
pub(super) const SYSTEMD: &str = "/lib/systemd/systemd";

/// Where a host looks for programs.
pub(super) const FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The same for its environment.
pub(super) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

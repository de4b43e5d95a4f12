//! The disk of one host: the uppermost layer, which survives a power cut.

use std::fs;
use std::path::Path;

use super::LabError;
use super::error::Tried as _;
use super::folder::Folder;
use super::netns::run;
use super::skeleton::{whiteout, write};
use super::spec::{HostSpec, Node};

/// Makes the disk of a host and returns its public host key; `None` for a host without sshd.
pub(super) fn make(
    dir: &Folder,
    index: usize,
    host: &HostSpec,
) -> Result<Option<String>, LabError> {
    let home = dir.host(&Node::Host(index).id());
    let upper = home.join("up");
    let ssh = upper.join("etc/ssh");
    let lay = || -> std::io::Result<()> {
        for folder in ["work", "root", "net", "up/etc/ssh"] {
            fs::create_dir_all(home.join(folder))?;
        }
        write(&upper.join("etc/hostname"), &format!("{}\n", host.name), 0o644)?;
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id)?;
        let id = format!("{:032x}\n", u128::from_ne_bytes(id));
        write(&upper.join("etc/machine-id"), &id, 0o444)?;
        for path in &host.hide {
            whiteout(&upper, path.strip_prefix("/").unwrap_or(path))?;
        }
        Ok(())
    };
    lay().tried(|| format!("make the disk of {}", host.name))?;
    if host.ssh.is_none() {
        return Ok(None);
    }
    key(&ssh.join("ssh_host_ed25519_key"), host.name.as_str()).map(Some)
}

/// Makes a key pair and returns its public half.
pub(super) fn key(path: &Path, comment: &str) -> Result<String, LabError> {
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path);
    run(&mut keygen, "ssh-keygen", &[])?;
    let public = path.with_extension("pub");
    fs::read_to_string(&public).tried(|| format!("read {}", public.display()))
}

//! The layers that all hosts of a lab share, between the machine's root and their own disks.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use super::error::Tried as _;
use super::folder::Folder;
use super::{LabError, Spec};

/// The layer of every host.
pub(super) const BASE: &str = "base";
/// The layer of hosts whose PID 1 is systemd.
pub(super) const SYSTEMD: &str = "systemd";

/// Folders of the machine that a host begins with empty, with their modes.
const EMPTY: [(&str, u32); 12] = [
    ("root", 0o700),
    ("home", 0o755),
    ("tmp", 0o1777),
    ("run", 0o755),
    ("var/tmp", 0o1777),
    ("var/lib/systemd", 0o755),
    ("etc/wireguard", 0o700),
    ("etc/ssh", 0o755),
    ("etc/systemd/system", 0o755),
    ("etc/systemd/network", 0o755),
    ("etc/sudoers.d", 0o750),
    ("etc/sysctl.d", 0o755),
];

/// What a host must not have at all, unless its operator makes it.
const GONE: [&str; 3] = ["var/lib/wgfleet", "etc/wgfleet", "usr/local/lib/wgfleet"];

/// The unprivileged user that every host has.
const OPS: &str = "ops";
/// Its user and group id: above what Debian gives to people, below what systemd takes.
const OPS_ID: u32 = 59_000;

/// Units of Debian and Ubuntu that cannot or should not run in a host.
const MASKED: [&str; 27] = [
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-modules-load.service",
    "systemd-timesyncd.service",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-random-seed.service",
    "systemd-binfmt.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-journal-flush.service",
    "systemd-firstboot.service",
    "systemd-sysusers.service",
    "systemd-user-sessions.service",
    "ldconfig.service",
    "getty.target",
    "console-getty.service",
    "proc-sys-fs-binfmt_misc.automount",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
];

/// Writes the layers.
pub(super) fn make(dir: &Folder, spec: &Spec, public_key: &str) -> Result<(), LabError> {
    let base = dir.layer(BASE);
    lay(&base, spec, public_key).tried(|| format!("lay {}", base.display()))?;
    let systemd = dir.layer(SYSTEMD);
    units(&systemd).tried(|| format!("lay {}", systemd.display()))
}

fn lay(base: &Path, spec: &Spec, public_key: &str) -> io::Result<()> {
    fs::create_dir_all(base)?;
    for (folder, mode) in EMPTY {
        empty(base, folder, mode)?;
    }
    for path in GONE {
        whiteout(base, Path::new(path))?;
    }
    let users: Vec<(&str, u32)> =
        std::iter::once(OPS).chain(spec.users.iter().map(String::as_str)).zip(OPS_ID..).collect();
    accounts(base, &users)?;
    let homes = users.iter().map(|(user, id)| (format!("home/{user}"), *id));
    for (home, id) in std::iter::once(("root".to_owned(), 0)).chain(homes) {
        let home = base.join(home);
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh)?;
        let keys = ssh.join("authorized_keys");
        write(&keys, public_key, 0o600)?;
        for (path, mode) in [(&home, 0o700), (&ssh, 0o700), (&keys, 0o600)] {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            chown(path, Some(id), Some(id))?;
        }
    }
    let mut sudoers = String::from("Defaults !lecture\nroot ALL=(ALL:ALL) ALL\n");
    let mut doas = String::new();
    for (user, _) in &users {
        let _ = writeln!(sudoers, "{user} ALL=(ALL:ALL) NOPASSWD: ALL");
        let _ = writeln!(doas, "permit nopass {user} as root");
    }
    write(&base.join("etc/sudoers"), &sudoers, 0o440)?;
    write(&base.join("etc/doas.conf"), &doas, 0o400)?;
    write(
        &base.join("etc/ssh/sshd_config"),
        include_str!("../../templates/lab/sshd_config"),
        0o644,
    )?;
    fs::create_dir_all(base.join("usr/local/sbin"))?;
    write(
        &base.join("usr/local/sbin/wgfleet-lab-init"),
        include_str!("../../templates/lab/init.sh"),
        0o755,
    )?;
    let mut hosts = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
    for (name, addr) in &spec.names {
        let _ = writeln!(hosts, "{addr} {name}");
    }
    write(&base.join("etc/hosts"), &hosts, 0o644)?;
    // Without a server the resolver asks the host itself, which refuses at once.
    write(
        &base.join("etc/resolv.conf"),
        "# A lab knows no names but those of /etc/hosts.\n",
        0o644,
    )?;
    write(&base.join("etc/fstab"), "", 0o644)
}

/// The machine's accounts, with `users` beside them and root open to keys.
fn accounts(base: &Path, users: &[(&str, u32)]) -> io::Result<()> {
    let mut passwd = fs::read_to_string("/etc/passwd")?;
    let mut group = fs::read_to_string("/etc/group")?;
    let shell = if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    for (user, id) in users {
        let line = format!("{user}:x:{id}:{id}:lab operator:/home/{user}:{shell}");
        passwd = with_account(&passwd, &line);
        group = with_account(&group, &format!("{user}:x:{id}:"));
    }
    write(&base.join("etc/passwd"), &passwd, 0o644)?;
    write(&base.join("etc/group"), &group, 0o644)?;
    // Nobody's password: an account whose field starts with '!' is locked to sshd, '*' is not.
    let mut shadow = String::new();
    for account in passwd.lines() {
        if let Some((name, _)) = account.split_once(':') {
            let _ = writeln!(shadow, "{name}:*:19000:0:99999:7:::");
        }
    }
    write(&base.join("etc/shadow"), &shadow, 0o600)
}

/// A file of accounts with one line put in place of any of the same name.
fn with_account(text: &str, line: &str) -> String {
    let name = line.split_once(':').map_or(line, |(name, _)| name);
    let others = text.lines().filter(|other| other.split_once(':').is_none_or(|(n, _)| n != name));
    let mut all: Vec<&str> = others.collect();
    all.push(line);
    all.join("\n") + "\n"
}

/// What systemd needs to run without hardware, consoles and the machine's own services.
fn units(layer: &Path) -> io::Result<()> {
    // Its own settings are applied at boot; the machine's are about more than one network namespace.
    fs::create_dir_all(layer)?;
    empty(layer, "usr/lib/sysctl.d", 0o755)?;
    let system = layer.join("etc/systemd/system");
    fs::create_dir_all(system.join("multi-user.target.wants"))?;
    for unit in MASKED {
        symlink("/dev/null", system.join(unit))?;
    }
    symlink("/lib/systemd/system/multi-user.target", system.join("default.target"))?;
    write(
        &system.join("lab-sshd.service"),
        include_str!("../../templates/lab/sshd.service"),
        0o644,
    )?;
    symlink("../lab-sshd.service", system.join("multi-user.target.wants/lab-sshd.service"))?;
    let conf = layer.join("etc/systemd");
    fs::create_dir_all(conf.join("journald.conf.d"))?;
    fs::create_dir_all(conf.join("system.conf.d"))?;
    write(
        &conf.join("journald.conf.d/lab.conf"),
        "[Journal]\nStorage=volatile\nRuntimeMaxUse=4M\nForwardToConsole=no\n",
        0o644,
    )?;
    write(
        &conf.join("system.conf.d/lab.conf"),
        "[Manager]\nDefaultTimeoutStartSec=60s\nStatusUnitFormat=name\nLogLevel=notice\n",
        0o644,
    )
}

/// Writes a file of a layer with its mode, whatever the umask.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// A folder that hides the machine's (overlayfs: `trusted.overlay.opaque`).
fn empty(layer: &Path, folder: &str, mode: u32) -> io::Result<()> {
    let path = layer.join(folder);
    parents(layer, Path::new(folder))?;
    fs::create_dir_all(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(setxattr(&path, "trusted.overlay.opaque", b"y", XattrFlags::empty())?)
}

/// Hides a path of the machine (overlayfs: a character device 0:0); nothing where there is none.
pub(super) fn whiteout(layer: &Path, path: &Path) -> io::Result<()> {
    let machine = Path::new("/").join(path);
    // A link on the way, such as /bin, would become a folder of the layer and hide the real one.
    let (Some(folder), Some(name)) = (machine.parent(), machine.file_name()) else {
        return Ok(());
    };
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let machine = folder.join(name);
    if machine.symlink_metadata().is_err() {
        return Ok(());
    }
    let path: PathBuf = machine.components().skip(1).collect();
    parents(layer, &path)?;
    let mode = Mode::empty();
    match mknodat(CWD, layer.join(&path), FileType::CharacterDevice, mode, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes the folders above a path, owned and open as the machine's are: a layer's folder decides.
fn parents(layer: &Path, path: &Path) -> io::Result<()> {
    let mut below = PathBuf::new();
    for part in path.parent().into_iter().flat_map(Path::components) {
        below.push(part);
        let here = layer.join(&below);
        if here.exists() {
            continue;
        }
        fs::create_dir(&here)?;
        let (mode, uid, gid) = match fs::metadata(Path::new("/").join(&below)) {
            Ok(there) => (there.mode() & 0o7777, there.uid(), there.gid()),
            Err(_) => (0o755, 0, 0),
        };
        fs::set_permissions(&here, Permissions::from_mode(mode))?;
        chown(&here, Some(uid), Some(gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_replaces_its_namesake() {
        let text = "root:x:0:0::/root:/bin/sh\nops:x:7:7::/:/bin/false\n";
        assert_eq!(with_account(text, "ops:y"), "root:x:0:0::/root:/bin/sh\nops:y\n");
    }
}

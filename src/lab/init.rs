//! The inner half of a host's start: its root, its devices, and then its PID 1.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};

use super::error::Tried as _;
use super::folder::Folder;
use super::spec::{Init, Node};
use super::{LabError, machine, skeleton};
use crate::model::HostName;

/// Character devices of a host: name, major, minor.
const DEVICES: [(&str, u32, u32); 7] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
    ("net/tun", 10, 200),
];

/// Links of a host's /dev.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "fd/0"),
    ("stdout", "fd/1"),
    ("stderr", "fd/2"),
];

/// Turns this process, the first of new namespaces, into PID 1 of a host. Called through the
/// hidden `wgfleet lab init`; it returns only with an error.
#[must_use]
pub fn init(dir: &Path, index: usize, name: &HostName, init: Init) -> LabError {
    let folder = Folder::at(dir.to_owned());
    if let Err(error) = enter(&folder, &Node::Host(index).id(), name, init) {
        return error;
    }
    let mut pid1 = match init {
        Init::Plain => Command::new("/usr/local/sbin/wgfleet-lab-init"),
        Init::Systemd => {
            let mut systemd = Command::new(machine::SYSTEMD);
            systemd.args(["--system", "--show-status=0", "--log-target=journal"]);
            systemd
        }
    };
    let (_, path) = machine::PATH.split_at("PATH=".len());
    pid1.env_clear()
        .envs([("PATH", path), ("HOME", "/root"), ("TERM", "dumb"), ("LANG", "C.UTF-8")])
        .env("container", "wgfleet-lab")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    LabError::Io { what: "start PID 1".to_owned(), source: pid1.exec() }
}

/// Makes the host's root this process's.
fn enter(folder: &Folder, id: &str, name: &HostName, init: Init) -> Result<(), LabError> {
    let home = folder.host(id);
    publish_pid(&home).tried(|| "say the PID".to_owned())?;
    let root = home.join("root");
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private).tried(|| "make mounts private".to_owned())?;
    overlay(folder, &home, &root, init)?;
    std::env::set_current_dir(&root).tried(|| format!("enter {}", root.display()))?;
    kernel_folders(&home, init)?;
    devices().tried(|| "make devices".to_owned())?;
    rustix::system::sethostname(name.as_str().as_bytes())
        .tried(|| "set the hostname".to_owned())?;
    let pivot = || -> std::io::Result<()> {
        fs::create_dir("run/.old")?;
        rustix::process::pivot_root(".", "run/.old")?;
        std::env::set_current_dir("/")?;
        unmount("/run/.old", UnmountFlags::DETACH)?;
        fs::remove_dir("/run/.old")
    };
    pivot().tried(|| "change the root".to_owned())
}

/// Writes the PID as the machine sees it: /proc is still the machine's.
fn publish_pid(home: &Path) -> std::io::Result<()> {
    let pid = fs::read_link("/proc/self")?;
    let draft = home.join("pid.new");
    fs::write(&draft, pid.as_os_str().as_encoded_bytes())?;
    fs::rename(draft, home.join("pid"))
}

/// Mounts the host's disk over the shared layers over the machine's root.
fn overlay(folder: &Folder, home: &Path, root: &Path, init: Init) -> Result<(), LabError> {
    let base = folder.layer(skeleton::BASE);
    let mut lower = String::new();
    if init == Init::Systemd {
        lower = format!("{}:", folder.layer(skeleton::SYSTEMD).display());
    }
    // Labs are named with a-z, 0-9, '-' and '.': nothing here needs the escapes of overlayfs.
    let options = format!(
        "lowerdir={lower}{}:/,upperdir={},workdir={},xino=off",
        base.display(),
        home.join("up").display(),
        home.join("work").display()
    );
    let options = CString::new(options).tried(|| "name the layers".to_owned())?;
    mount("overlay", root, "overlay", MountFlags::empty(), options.as_c_str())
        .tried(|| "mount the overlay".to_owned())
}

/// /proc, /sys, /dev and /run of a host, in the folder that is to be its root.
fn kernel_folders(home: &Path, init: Init) -> Result<(), LabError> {
    let none = MountFlags::empty();
    let read_only = MountFlags::BIND | MountFlags::RDONLY;
    let fresh = |kind: &str, target: &str, options: &'static std::ffi::CStr| {
        mount(kind, target, kind, none, options).tried(|| format!("mount {target}"))
    };
    fresh("proc", "proc", c"")?;
    fresh("sysfs", "sys", c"")?;
    fresh("tmpfs", "dev", c"mode=755,size=1m")?;
    fresh("tmpfs", "run", c"mode=755")?;
    // What /proc/sys holds beside net/ is the whole machine's.
    let net = home.join("net");
    let sysctls = || -> rustix::io::Result<()> {
        mount_bind("proc/sys/net", &net)?;
        mount_bind("proc/sys", "proc/sys")?;
        mount_remount("proc/sys", read_only, c"")?;
        mount_bind(&net, "proc/sys/net")
    };
    sysctls().tried(|| "protect /proc/sys".to_owned())?;
    if init == Init::Systemd {
        // A cgroup tree of its own; a read-only /sys tells systemd to leave devices alone.
        fresh("cgroup2", "sys/fs/cgroup", c"")?;
        let sys = || -> rustix::io::Result<()> {
            mount_bind("sys", "sys")?;
            mount_remount("sys", read_only, c"")?;
            // The bind hides what was mounted below.
            mount("cgroup2", "sys/fs/cgroup", "cgroup2", none, c"")
        };
        sys().tried(|| "protect /sys".to_owned())?;
    }
    fs::create_dir("dev/pts").tried(|| "make /dev/pts".to_owned())?;
    fresh("devpts", "dev/pts", c"newinstance,ptmxmode=666,mode=620,gid=5")
}

/// The devices of a host, in the folder that is to be its root.
fn devices() -> std::io::Result<()> {
    fs::create_dir("dev/net")?;
    fs::create_dir("dev/shm")?;
    let all = |bits| Mode::from_raw_mode(bits);
    rustix::fs::chmod("dev/shm", all(0o1777))?;
    for (name, major, minor) in DEVICES {
        let path = Path::new("dev").join(name);
        mknodat(CWD, &path, FileType::CharacterDevice, all(0o666), makedev(major, minor))?;
        rustix::fs::chmod(&path, all(0o666))?;
    }
    for (name, target) in LINKS {
        symlink(target, Path::new("dev").join(name))?;
    }
    Ok(())
}

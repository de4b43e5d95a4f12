//! A lab on this machine: its folder, its lock, and what runs in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};

use super::LabError;
use super::error::Tried as _;
use super::folder::{Folder, STATE_ROOT};
use super::spec::{Node, Spec};
use crate::model::{FleetName, closest};
use crate::sys::{Mode, read_limited, write_atomic};

/// The largest state file that is read, in bytes: far above a lab that fits on one machine.
const STATE_LIMIT: u64 = 256 << 20;

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    pub(super) spec: Spec,
    /// The `wgfleet` that starts hosts and connects ssh.
    pub(super) program: PathBuf,
    pub(super) dir: Folder,
}

/// What the state file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) spec: Spec,
    pub(super) program: PathBuf,
}

/// What there is to say about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `host`, `lan`, `router` or `controller`.
    pub kind: &'static str,
    /// Whether it is on; everything but a host always is.
    pub on: bool,
    /// PID of a host's first process, as the machine sees it.
    pub pid: Option<u32>,
    /// Its addresses on the underlay or in its LAN.
    pub addresses: Vec<std::net::IpAddr>,
}

/// A held lock; its file goes with the last lab that it guards.
///
/// Children inherit it: where `up` is killed, nobody else begins before its last child, which may
/// still make something, has ended.
#[derive(Debug)]
pub(super) struct LabLock {
    _file: File,
    path: PathBuf,
}

impl LabLock {
    /// Waits for the lock `name` below the state root.
    pub(super) fn take(name: &str) -> Result<Self, LabError> {
        let path = Path::new(STATE_ROOT).join(name);
        let what = || format!("lock {}", path.display());
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(STATE_ROOT).tried(what)?;
            let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
            let file = match open {
                // The last lab has just gone, and the folder with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.tried(what)?,
            };
            file.lock().tried(what)?;
            rustix::io::fcntl_setfd(&file, FdFlags::empty()).tried(what)?;
            let held = file.metadata().tried(what)?;
            // Whoever held it before may have removed it.
            match fs::metadata(&path) {
                Ok(there) if there.ino() == held.ino() => return Ok(Self { _file: file, path }),
                _ => {}
            }
        }
    }

    /// The lock of one lab.
    pub(super) fn of(name: &FleetName) -> Result<Self, LabError> {
        Self::take(&format!(".lock-{name}"))
    }

    /// Removes the file, for there is nothing left to guard, and then lets go.
    pub(super) fn remove(self) -> Result<(), LabError> {
        fs::remove_file(&self.path).tried(|| format!("remove {}", self.path.display()))?;
        // Succeeds where no other lab is left.
        let _ = fs::remove_dir(STATE_ROOT);
        Ok(())
    }
}

impl Lab {
    /// Finds a lab that is up.
    ///
    /// # Errors
    /// [`LabError::NoLab`], or [`LabError::NotWhole`] where it is half made or half removed.
    pub fn open(name: &FleetName) -> Result<Self, LabError> {
        let dir = Folder::of(name);
        if !dir.path().exists() {
            return Err(LabError::NoLab { name: name.to_string() });
        }
        if !dir.ready().exists() {
            return Err(LabError::NotWhole { name: name.to_string() });
        }
        let path = dir.state();
        let bytes = read_limited(&path, STATE_LIMIT)?;
        let State { spec, program } =
            serde_json::from_slice(&bytes).map_err(|source| LabError::State { path, source })?;
        Ok(Self { spec, program, dir })
    }

    /// The names of all labs, whole or not.
    #[must_use]
    pub fn list() -> Vec<FleetName> {
        let entries = fs::read_dir(STATE_ROOT).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut names: Vec<FleetName> = names.collect();
        names.sort();
        names
    }

    /// What the lab consists of.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The configuration that makes ssh(1) reach the lab's hosts.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.ssh_config()
    }

    pub(super) fn save(&self) -> Result<(), LabError> {
        let path = self.dir.state();
        let state = State { spec: self.spec.clone(), program: self.program.clone() };
        let text = serde_json::to_vec(&state)
            .map_err(|source| LabError::State { path: path.clone(), source })?;
        Ok(write_atomic(&path, &text, Mode::Private)?)
    }

    /// Looks a node up.
    ///
    /// # Errors
    /// [`LabError::NoNode`].
    pub fn node(&self, name: &str) -> Result<Node, LabError> {
        self.spec.node(name).ok_or_else(|| LabError::NoNode {
            lab: self.spec.name.to_string(),
            node: name.to_owned(),
            close: closest(name, self.spec.nodes().map(|(_, name)| name)).map(str::to_owned),
        })
    }

    /// A command that runs `argv` in a node: with all namespaces, the root and the environment of
    /// a login on a host, with the network of any other node.
    ///
    /// # Errors
    /// [`LabError::Off`] where the host is switched off.
    pub fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        node: Node,
        argv: &[S],
    ) -> Result<Command, LabError> {
        let mut command = Command::new("nsenter");
        if let Node::Host(index) = node {
            let pid = self
                .dir
                .pid(node)
                .ok_or_else(|| LabError::Off { host: self.spec.hosts[index].name.to_string() })?;
            command.arg("-t").arg(pid.to_string()).args([
                "-m",
                "-u",
                "-i",
                "-n",
                "-p",
                "-C",
                "-r",
                "-w",
                "--",
                "env",
                "-i",
                super::machine::PATH,
                "HOME=/root",
                "USER=root",
                "LANG=C.UTF-8",
            ]);
            command
                .arg(format!("TERM={}", std::env::var("TERM").unwrap_or_else(|_| "dumb".into())));
        } else {
            let mut net = std::ffi::OsString::from("--net=");
            net.push(self.dir.pin(node));
            command.arg(net).arg("--");
        }
        command.args(argv);
        Ok(command)
    }

    /// What there is to say about every node.
    #[must_use]
    pub fn status(&self) -> Vec<NodeStatus> {
        let nodes = self.spec.nodes();
        nodes
            .map(|(node, name)| {
                let (kind, addresses) = match node {
                    Node::Host(index) => ("host", self.spec.hosts[index].uplink.addresses.clone()),
                    Node::Lan(index) => ("lan", vec![self.spec.lans[index].client.addr()]),
                    Node::Router(index) => ("router", self.spec.routers[index].gateways.clone()),
                    Node::Controller => ("controller", Vec::new()),
                };
                let pid = self.dir.pid(node);
                let on = pid.is_some() || !matches!(node, Node::Host(_));
                NodeStatus { name: name.to_owned(), kind, on, pid, addresses }
            })
            .collect()
    }
}

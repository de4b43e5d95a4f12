//! Switching hosts on and off, and pulling cables.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::Tried as _;
use super::netns::{NetworkId, network_of, network_of_process};
use super::spec::Node;
use super::state::{Lab, LabLock};
use super::{LabError, cgroup, netns, ssh, wiring};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends every process whose network namespace is one of `networks`, and waits until all are gone.
/// Returns what is left.
pub(super) fn end_all_in(networks: &HashSet<NetworkId>) -> Vec<u32> {
    let mut networks = networks.clone();
    // Never one's own, whatever a pin says.
    if let Some(own) = network_of(Path::new("/proc/self/ns/net")) {
        networks.remove(&own);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut left = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if network_of_process(pid).is_some_and(|network| networks.contains(&network)) {
                left.push(pid);
                end(pid, &networks);
            }
        }
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        sleep(Duration::from_millis(5));
    }
}

/// Kills a process that is still in one of `networks` once it is held by a descriptor.
fn end(pid: u32, networks: &HashSet<NetworkId>) {
    let Some(pid_) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(held) = pidfd_open(pid_, PidfdFlags::empty())
        && network_of_process(pid).is_some_and(|network| networks.contains(&network))
    {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&held, Signal::KILL);
    }
}

/// Starts the processes of a host whose network is there.
pub(super) fn boot(lab: &Lab, index: usize) -> Result<(), LabError> {
    let host = &lab.spec.hosts[index];
    let home = lab.dir.host(&Node::Host(index).id());
    let log = home.join("log");
    let open = |path: &Path| -> std::io::Result<(File, File)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok((file.try_clone()?, file))
    };
    let (out, err) = open(&log).tried(|| format!("open {}", log.display()))?;
    let status = Command::new(&lab.program)
        .args(["lab", "boot", "--dir"])
        .arg(lab.dir.path())
        .args(["--index", &index.to_string(), "--init", host.init.as_str()])
        .arg(host.name.as_str())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .tried(|| format!("run {}", lab.program.display()))?;
    if status.success() {
        return Ok(());
    }
    Err(LabError::Silent { host: host.name.to_string(), said: ssh::tail(&log) })
}

/// Gives a host its network: a new namespace, its cables and both their ends.
pub(super) fn wire(lab: &Lab, index: usize) -> Result<(), LabError> {
    let pin = lab.dir.pin(Node::Host(index));
    netns::create(&pin)?;
    let pins = lab.dir.pins();
    netns::within(&pin, || netns::ip(&wiring::host(&lab.spec, index, &pins)))
}

/// What a cable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    /// It is in.
    Up,
    /// It is out.
    Down,
}

impl Lab {
    fn host_index(&self, name: &str) -> Result<usize, LabError> {
        if let Node::Host(index) = self.node(name)? {
            return Ok(index);
        }
        let lab = self.spec.name.to_string();
        Err(LabError::NotHost { lab, node: name.to_owned() })
    }

    /// Cuts a host's power: every process is killed, memory and network are lost, the disk stays.
    ///
    /// # Errors
    /// [`LabError::NoNode`], [`LabError::NotHost`], or [`LabError::Held`] where a process will not go.
    pub fn stop(&self, name: &str) -> Result<(), LabError> {
        let _lock = LabLock::of(&self.spec.name)?;
        let index = self.host_index(name)?;
        let node = Node::Host(index);
        cgroup::kill(&self.spec.name, Some(&node.id()));
        let pin = self.dir.pin(node);
        let left = end_all_in(&network_of(&pin).into_iter().collect());
        if !left.is_empty() {
            let what = format!("{name} still runs {left:?}");
            return Err(LabError::Held { name: self.spec.name.to_string(), what });
        }
        let file = self.dir.host(&node.id()).join("pid");
        let _ = fs::remove_file(file);
        if pin.exists() {
            // The namespace dies later, by the kernel's leisure; its cables must be gone now.
            let cables = wiring::host_cables(&self.spec.hosts[index]);
            let gone: Vec<String> = cables.map(|name| format!("link del {name}")).collect();
            netns::within(&pin, || netns::ip(&gone))?;
        }
        netns::remove(&pin).tried(|| format!("remove {}", pin.display()))
    }

    /// Switches a host on and waits until it answers; nothing where it is on.
    ///
    /// # Errors
    /// [`LabError`] where it does not come up.
    pub fn start(&self, name: &str) -> Result<(), LabError> {
        let _lock = LabLock::of(&self.spec.name)?;
        let index = self.host_index(name)?;
        if self.dir.pid(Node::Host(index)).is_some() {
            return Ok(());
        }
        self.power_on(index)
    }

    pub(super) fn power_on(&self, index: usize) -> Result<(), LabError> {
        let pin = self.dir.pin(Node::Host(index));
        netns::remove(&pin).tried(|| format!("remove {}", pin.display()))?;
        wire(self, index)?;
        for (node, lines) in wiring::host_ports(&self.spec, index) {
            netns::within(&self.dir.pin(node), || netns::ip(&lines))?;
        }
        boot(self, index)?;
        ssh::wait(self, &[index])
    }

    /// Pulls or replugs the underlay cable of a host or of a site's router; management stays.
    ///
    /// # Errors
    /// [`LabError::NoNode`], or [`LabError::NoCable`] for a node that has none.
    pub fn cable(&self, name: &str, to: Cable) -> Result<(), LabError> {
        let node = self.node(name)?;
        let uplink = match node {
            Node::Host(index) => Some(&self.spec.hosts[index].uplink),
            Node::Router(index) => self.spec.routers[index].uplink.as_ref(),
            Node::Lan(_) | Node::Controller => None,
        };
        let Some(uplink) = uplink else {
            let lab = self.spec.name.to_string();
            return Err(LabError::NoCable { lab, node: name.to_owned() });
        };
        let above = Node::Router(uplink.router);
        let lines = match to {
            Cable::Down => vec![format!("link set {} down", node.id())],
            // Addresses and routes went with the link.
            Cable::Up => {
                let ports = match node {
                    Node::Host(index) => wiring::host_ports(&self.spec, index),
                    Node::Router(index) => {
                        wiring::router_port(&self.spec, index).into_iter().collect()
                    }
                    Node::Lan(_) | Node::Controller => Vec::new(),
                };
                let at = ports.into_iter().filter(|(node, _)| *node == above);
                at.flat_map(|(_, lines)| lines).collect()
            }
        };
        netns::within(&self.dir.pin(above), || netns::ip(&lines))
    }
}

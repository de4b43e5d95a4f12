//! Raising a lab.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Mutex;

use rustix::mount::{MountFlags, mount};

use super::error::Tried as _;
use super::folder::Folder;
use super::spec::Node;
use super::state::{Lab, LabLock};
use super::workers::each;
use super::{
    LabError, Spec, disk, down, limits, machine, nat, netns, power, skeleton, ssh, wiring,
};

impl Lab {
    /// Raises a lab, or completes one that is up with the same content: hosts that are off are
    /// switched on. `program` is the `wgfleet` that starts hosts and connects ssh. Whatever a
    /// failed attempt has made is removed again.
    ///
    /// # Errors
    /// [`LabError`], above all where the machine lacks something that a lab needs.
    pub fn up(spec: Spec, program: &Path) -> Result<Self, LabError> {
        machine::check()?;
        let _lock = LabLock::of(&spec.name)?;
        match Self::open(&spec.name) {
            Ok(lab) if lab.spec == spec => {
                let hosts = 0..lab.spec.hosts.len();
                let off = hosts.filter(|host| lab.dir.pid(Node::Host(*host)).is_none());
                let off: Vec<usize> = off.collect();
                each(&off, |host| lab.power_on(*host))?;
                return Ok(lab);
            }
            Ok(lab) => return Err(LabError::Differs { name: lab.spec.name.to_string() }),
            Err(LabError::NoLab { .. }) => {}
            // Half a lab is of no use to anybody.
            Err(_) => down::remove(&spec.name)?,
        }
        let dir = Folder::of(&spec.name);
        let lab = Self { spec, program: program.to_owned(), dir };
        match lab.raise() {
            Ok(()) => Ok(lab),
            Err(error) => {
                // The first failure is the one to tell; `down` can be asked for again.
                let _ = down::remove(&lab.spec.name);
                Err(error)
            }
        }
    }

    fn raise(&self) -> Result<(), LabError> {
        let dir = &self.dir;
        let what = || format!("make {}", dir.path().display());
        DirBuilder::new().mode(0o700).create(dir.path()).tried(what)?;
        // A filesystem of its own: overlayfs refuses layers that lie within one another.
        mount("wgfleet-lab", dir.path(), "tmpfs", MountFlags::empty(), c"mode=700")
            .tried(|| format!("mount a tmpfs on {}", dir.path().display()))?;
        limits::raise(&self.spec.name)?;
        for folder in [dir.pins(), dir.path().join("hosts"), dir.path().join("layers")] {
            fs::create_dir(&folder).tried(|| format!("make {}", folder.display()))?;
        }
        self.save()?;
        let public_key = disk::key(&dir.ssh_key(), "wgfleet lab")?;
        skeleton::make(dir, &self.spec, &public_key)?;
        self.disks()?;
        self.underlay()?;
        self.hosts()?;
        fs::write(dir.ready(), "").tried(|| "say that the lab is whole".to_owned())
    }

    /// The hosts' disks and keys, and with them the configuration of ssh(1).
    fn disks(&self) -> Result<(), LabError> {
        let hosts = &self.spec.hosts;
        let keys = Mutex::new(vec![None; hosts.len()]);
        each(&(0..hosts.len()).collect::<Vec<_>>(), |index| {
            let key = disk::make(&self.dir, *index, &hosts[*index])?;
            keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[*index] = key;
            Ok(())
        })?;
        ssh::configure(self, &keys.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Everything between the hosts.
    fn underlay(&self) -> Result<(), LabError> {
        let (spec, dir) = (&self.spec, &self.dir);
        let nodes: Vec<Node> =
            spec.nodes().map(|(n, _)| n).filter(|n| !matches!(n, Node::Host(_))).collect();
        each(&nodes, |node| netns::create(&dir.pin(*node)))?;
        let pins = dir.pins();
        each(&nodes, |node| {
            let pin = dir.pin(*node);
            netns::within(&pin, || match node {
                Node::Router(index) => {
                    forwarding()?;
                    netns::ip(&wiring::router(spec, *index, &pins))?;
                    nat::rules(spec, *index).map_or(Ok(()), |rules| netns::nft(&rules))
                }
                Node::Lan(index) => netns::ip(&wiring::lan(spec, *index)),
                Node::Controller => netns::ip(&wiring::management(spec)),
                Node::Host(_) => Ok(()),
            })
        })?;
        let ports = (0..spec.routers.len()).filter_map(|index| wiring::router_port(spec, index));
        self.plug(ports)
    }

    /// The hosts: cables first, then all at once.
    fn hosts(&self) -> Result<(), LabError> {
        let all: Vec<usize> = (0..self.spec.hosts.len()).collect();
        each(&all, |index| power::wire(self, *index))?;
        self.plug(all.iter().flat_map(|index| wiring::host_ports(&self.spec, *index)))?;
        each(&all, |index| power::boot(self, *index))?;
        ssh::wait(self, &all)
    }

    /// Sets up the far ends of cables, all ends in one namespace with one process.
    fn plug(&self, ports: impl Iterator<Item = (Node, Vec<String>)>) -> Result<(), LabError> {
        let mut batches: BTreeMap<String, (Node, Vec<String>)> = BTreeMap::new();
        for (node, lines) in ports {
            batches.entry(node.id()).or_insert_with(|| (node, Vec::new())).1.extend(lines);
        }
        let batches: Vec<_> = batches.into_values().collect();
        each(&batches, |(node, lines)| netns::within(&self.dir.pin(*node), || netns::ip(lines)))
    }
}

/// Makes this thread's namespace a router.
fn forwarding() -> Result<(), LabError> {
    for (name, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv6/conf/all/forwarding", "1"),
    ] {
        // A machine without IPv6 has a lab without it.
        if name.starts_with("ipv6/") && !Path::new("/proc/sys/net/ipv6").exists() {
            continue;
        }
        netns::sysctl(name, value)?;
    }
    Ok(())
}

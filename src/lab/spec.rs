//! What a lab consists of, as a value.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::model::{Family, FleetName, HostName, Port, closest, did_you_mean};

/// A whole lab: pure data, kept in the lab's state folder while the lab is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Name of the lab, which is the fleet's unless the operator chose another.
    pub name: FleetName,
    /// The hosts, with indices that name their interfaces at the other end of each cable.
    pub hosts: Vec<HostSpec>,
    /// The routers of the underlay; the first one is `internet`, to which all others are cabled.
    pub routers: Vec<Router>,
    /// The LANs behind gateways.
    pub lans: Vec<Lan>,
    /// Addresses of the stub that stands for the outside world, at most one for each family.
    pub internet: Vec<IpAddr>,
    /// What /etc/hosts says on every host, beside `localhost`.
    pub names: Vec<(String, IpAddr)>,
    /// Login names that the inventory uses, beside root and `ops`: every host has them, with the
    /// same rights as `ops`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The management segment; its first address is the controller's.
    pub management: Ipv4Net,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name, which is also its hostname.
    pub name: HostName,
    /// The names that ssh(1) knows it by beside its own; `None` for an unmanaged peer, which runs
    /// no sshd.
    pub ssh: Option<Vec<String>>,
    /// Who logs in where the command line names nobody.
    pub login: Login,
    /// Its underlay interface.
    pub uplink: Cabling,
    /// Address on the management segment.
    pub management: Ipv4Addr,
    /// Its LAN interfaces `lan0`, `lan1`, …: index into [`Spec::lans`] and its address there.
    pub lans: Vec<(usize, IpNet)>,
    /// Addresses on its loopback, for prefixes too small for a LAN.
    pub loopback: Vec<IpAddr>,
    /// What runs as PID 1.
    pub init: Init,
    /// Files of the machine that the host must not have, absolute.
    pub hide: Vec<PathBuf>,
}

/// How something hangs off a router: a point-to-point cable with /32 and /128 addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cabling {
    /// Index into [`Spec::routers`].
    pub router: usize,
    /// Its addresses; the first of each family is the source of what it sends.
    pub addresses: Vec<IpAddr>,
    /// Further addresses that only its own site reaches.
    pub local: Vec<IpAddr>,
    /// MTU of the cable in bytes.
    pub mtu: u16,
    /// Whether it is behind the router's source NAT.
    pub nat: bool,
}

impl Cabling {
    /// The address that it sends from.
    #[must_use]
    pub fn source(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|addr| Family::of_addr(addr) == family)
    }

    /// All addresses.
    pub fn all(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().chain(&self.local).copied()
    }
}

/// A router of the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Its name: `internet`, or `router-` and the site's.
    pub name: String,
    /// The gateway address of each family that its public cables use.
    pub gateways: Vec<IpAddr>,
    /// Its cable to `internet`; `None` for `internet` itself.
    pub uplink: Option<Cabling>,
    /// Ports that it passes on to hosts behind its NAT.
    pub forwards: Vec<Forward>,
}

/// A port-forward of a NAT router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Address of the router.
    pub from: IpAddr,
    /// UDP port of the router.
    pub from_port: Port,
    /// Address of the host.
    pub to: IpAddr,
    /// UDP port of the host.
    pub to_port: Port,
}

/// A LAN segment with one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lan {
    /// Its name, and its client's: `lan-SITE-1`, or `lan-HOST-1` for a prefix behind one host.
    pub name: String,
    /// Its prefix.
    pub subnet: IpNet,
    /// The client's address.
    pub client: IpNet,
    /// The client's default gateway.
    pub gateway: IpAddr,
}

/// What runs as PID 1 of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// A small shell that starts sshd and reaps.
    #[default]
    Plain,
    /// The machine's systemd.
    Systemd,
}

impl Init {
    /// The word for it in arguments.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Systemd => "systemd",
        }
    }
}

/// Who logs in to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// root.
    #[default]
    Root,
    /// The unprivileged user `ops`, who may use sudo and doas without a password.
    Ops,
}

impl Login {
    /// The name of the account.
    #[must_use]
    pub const fn user(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ops => "ops",
        }
    }
}

/// Something in a lab that commands can run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A host, by index.
    Host(usize),
    /// A router, by index; 0 is `internet`.
    Router(usize),
    /// A LAN client, by index.
    Lan(usize),
    /// The management segment's first address, where the controller's ssh comes from.
    Controller,
}

impl Spec {
    /// Looks a node up by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Node> {
        if name == "controller" {
            return Some(Node::Controller);
        }
        let host = self.hosts.iter().position(|host| host.name.as_str() == name).map(Node::Host);
        let router = || self.routers.iter().position(|r| r.name == name).map(Node::Router);
        let lan = || self.lans.iter().position(|lan| lan.name == name).map(Node::Lan);
        host.or_else(router).or_else(lan)
    }

    /// The host of a name, or all hosts for `all`.
    ///
    /// # Errors
    /// [`SpecError::NoHost`].
    pub fn select(&mut self, name: &str) -> Result<Vec<&mut HostSpec>, SpecError> {
        let wanted = |host: &HostSpec| name == "all" || host.name.as_str() == name;
        if !self.hosts.iter().any(wanted) {
            let names = self.hosts.iter().map(|host| host.name.as_str());
            let close = closest(name, names).map(str::to_owned);
            return Err(SpecError::NoHost { name: name.to_owned(), close });
        }
        Ok(self.hosts.iter_mut().filter(|host| wanted(host)).collect())
    }

    /// All nodes with their names: hosts, LAN clients, routers, the controller.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, &str)> {
        let hosts = self.hosts.iter().enumerate().map(|(i, h)| (Node::Host(i), h.name.as_str()));
        let lans = self.lans.iter().enumerate().map(|(i, l)| (Node::Lan(i), l.name.as_str()));
        let routers =
            self.routers.iter().enumerate().map(|(i, r)| (Node::Router(i), r.name.as_str()));
        hosts.chain(lans).chain(routers).chain([(Node::Controller, "controller")])
    }
}

impl Node {
    /// The file name of its network namespace, and of its interface at the far end of its cables.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Host(index) => format!("h{index}"),
            Self::Router(index) => format!("r{index}"),
            Self::Lan(index) => format!("l{index}"),
            Self::Controller => "mgmt".to_owned(),
        }
    }
}

/// Why an inventory has no twin on one machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Two hosts without NAT claim one underlay address.
    #[error("{a} and {b} both have the endpoint address {addr}, and neither is behind NAT")]
    SharedAddress {
        /// One host.
        a: HostName,
        /// The other host.
        b: HostName,
        /// The address.
        addr: IpAddr,
    },
    /// Two hosts are the same to ssh(1).
    #[error("{a} and {b} are both reached as {ssh:?} by ssh; the lab cannot tell them apart")]
    SharedSsh {
        /// One host.
        a: HostName,
        /// The other host.
        b: HostName,
        /// The name that ssh(1) is given.
        ssh: String,
    },
    /// An address range of the lab is used up, or the inventory uses all of them.
    #[error("there are not enough addresses for {0}")]
    NoAddress(String),
    /// A host was named that the inventory does not have.
    #[error("there is no host `{name}`{}", did_you_mean(.close.as_deref()))]
    NoHost {
        /// What was named.
        name: String,
        /// The host with the closest name.
        close: Option<String>,
    },
}

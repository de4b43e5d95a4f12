//! Why the changes of a host cannot be made, as a value to decide on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{
    Backend, FleetName, HostName, InterfaceName, Port, SshTarget, Untrusted, worded,
};
use crate::observed::{PathKind, Record, RecordError, Unanswered};

/// Why the changes of a host cannot be made. `Display` says it in words, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Obstacle {
    /// Another change is armed there. It ends by itself.
    Armed {
        /// Its id.
        change: Untrusted,
    },
    /// It was reached, but could not be observed.
    Unobserved {
        /// Why.
        #[serde(with = "worded")]
        #[cfg_attr(test, schemars(with = "worded::Worded<Unanswered>"))]
        reason: Unanswered,
    },
    /// It needs wgfleet's own binary, and there is none for its machine.
    NoBinary {
        /// As `uname -m` says.
        machine: Untrusted,
        /// Where one is looked for.
        hint: String,
    },
    /// The inventory wants the kernel's `WireGuard`, and it has none.
    NoKernelWireguard,
    /// The inventory wants wireguard-go, and it does not have it.
    NoWireguardGo,
    /// A userspace tunnel needs /dev/net/tun.
    NoTun,
    /// wg-quick(8) would take the kernel's `WireGuard`, which the interface is not to have.
    TakenByKernel {
        /// The interface.
        interface: InterfaceName,
        /// What the inventory wants.
        backend: Backend,
    },
    /// systemd takes no unit for a name.
    NoUnit {
        /// The name.
        interface: InterfaceName,
    },
    /// An interface has DNS servers, and the host no resolvconf.
    NoResolvconf {
        /// The interface.
        interface: InterfaceName,
    },
    /// It has to masquerade, and has no nft(8).
    NoNft,
    /// It has no ip(8).
    NoIp,
    /// Something else is where a file belongs.
    NoFile {
        /// The place.
        path: Untrusted,
        /// What is there.
        is: PathKind,
    },
    /// The machine is another host.
    OtherHost {
        /// Where the machine is logged in to.
        ssh: SshTarget,
        /// The host that it is taken for.
        host: HostName,
        /// The host that it is.
        other: HostName,
        /// What says so.
        because: Untrusted,
    },
    /// The machine is not the one that was this host.
    OtherMachine {
        /// Where the machine is logged in to.
        ssh: SshTarget,
        /// The host.
        host: HostName,
        /// Whose record it has: who changed it, when and from what.
        record: Untrusted,
        /// Where that record is.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        path: String,
    },
    /// A newer wgfleet wrote its record.
    NewerRecord {
        /// The host.
        host: HostName,
        /// The version of the record.
        found: u32,
    },
    /// Two hosts reach one machine.
    SharedMachine {
        /// The host.
        host: HostName,
        /// The other one.
        other: HostName,
    },
    /// Another fleet has an interface of that name there.
    InterfaceTaken {
        /// The interface.
        interface: InterfaceName,
        /// Whose it is.
        owner: Owner,
        /// Who wants it.
        wanted: Owner,
    },
    /// Another fleet has the port there.
    PortTaken {
        /// The port.
        port: Port,
        /// The interface that has it.
        by: InterfaceName,
        /// Whose that is.
        owner: Owner,
        /// The interface that wants it.
        interface: InterfaceName,
        /// Whose that is.
        wanted: Owner,
    },
    /// It could not be read when the saved plan was made.
    UnreadWhenPlanned,
    /// It was blocked when the saved plan was made.
    BlockedWhenPlanned,
}

/// A host of a fleet, where a machine has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The host.
    pub host: HostName,
    /// Its fleet.
    pub fleet: FleetName,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of fleet `{}`", self.host, self.fleet)
    }
}

impl From<&Record> for Owner {
    fn from(record: &Record) -> Self {
        Self { host: record.host.clone(), fleet: record.fleet.clone() }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Armed { change } => write!(
                f,
                "another change ({change}) is armed there and not yet confirmed; wait until it is \
                 confirmed or has rolled back by itself"
            ),
            Self::Unobserved { reason } => reason.fmt(f),
            Self::NoBinary { machine, hint } => write!(
                f,
                "the host needs wgfleet's own binary for {machine}, and there is none: {hint}"
            ),
            Self::NoKernelWireguard => f.write_str(
                "backend: kernel, but this kernel has no WireGuard; write backend: auto",
            ),
            Self::NoWireguardGo => f.write_str(
                "backend: wireguard-go, but the host does not have it: install it, or write \
                 backend: embedded",
            ),
            Self::NoTun => {
                f.write_str("a userspace tunnel needs /dev/net/tun, and the host has none")
            }
            Self::TakenByKernel { interface, backend } => {
                let runs = if *backend == Backend::Auto { " keeps what runs" } else { "" };
                write!(
                    f,
                    "backend: {backend}{runs}, but {interface} has hooks, DNS servers or a full \
                     tunnel, so that wg-quick starts it, and that takes the kernel's WireGuard where \
                     there is one; write backend: kernel"
                )
            }
            Self::NoUnit { interface } => write!(
                f,
                "systemd takes no unit for the interface name {interface}; use letters, digits, \
                 '_', '.' and '-'"
            ),
            Self::NoResolvconf { interface } => write!(
                f,
                "{interface} has DNS servers, but the host has no resolvconf: install openresolv, \
                 or systemd-resolved with its resolvconf command"
            ),
            Self::NoNft => {
                f.write_str("the host has to masquerade, but has no nft(8): install nftables")
            }
            Self::NoIp => f.write_str("the host has no ip(8): install iproute2"),
            Self::NoFile { path, is } => write!(
                f,
                "{path} is {is} there, where a file belongs: look at it, then run `mv {path} \
                 {path}.moved` on the host"
            ),
            Self::OtherHost { ssh, host, other, because } => write!(
                f,
                "the machine at {ssh} is `{other}`, not `{host}`: {because}; correct `ssh:` of \
                 `{host}`, or, where `{host}` takes the place of `{other}`, add --replace {host}"
            ),
            Self::OtherMachine { ssh, host, record, path } => write!(
                f,
                "the machine at {ssh} is not the one that was `{host}`: its machine-id and its ssh \
                 host keys are not those of the record of {record}; if it is a copy, remove {path} \
                 there; if it takes the place of `{host}` or was installed anew, add --replace {host}"
            ),
            Self::NewerRecord { host, found } => write!(
                f,
                "its record cannot be read: {}; use the wgfleet that wrote it, or add --replace \
                 {host}",
                RecordError::Newer { found: *found }
            ),
            Self::SharedMachine { host, other } => write!(
                f,
                "`{host}` and `{other}` reach the same machine: it has one machine-id and one set of \
                 ssh host keys; correct `ssh:` of one of them, or, where one machine is a copy of \
                 the other, give it a machine-id and ssh host keys of its own"
            ),
            Self::InterfaceTaken { interface, owner, wanted } => write!(
                f,
                "{interface} on this machine is {owner}; {wanted} needs another: give its network \
                 another `interface:`"
            ),
            Self::PortTaken { port, by, owner, interface, wanted } => write!(
                f,
                "UDP port {port} on this machine is that of {by}, which is {owner}; give {interface} \
                 of {wanted} another `listen_port:`"
            ),
            Self::UnreadWhenPlanned => f.write_str(
                "it could not be read when the plan was made; run `wgfleet plan` again for it",
            ),
            Self::BlockedWhenPlanned => f.write_str(
                "it was blocked when the plan was made; run `wgfleet plan` again for it",
            ),
        }
    }
}

#[cfg(test)]
#[path = "obstacle_tests.rs"]
mod tests;

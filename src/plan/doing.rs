//! A change in words: what is done to what.

use super::{Change, FileAction, NewInterface, Rename};
use crate::model::Untrusted;

impl Change {
    /// What is done, such as "adding peer b7 to wg0". How exactly it is done is not in it.
    #[must_use]
    pub fn doing(&self) -> String {
        let shown = |text: &str| Untrusted::new(text);
        match self {
            Self::PushHelper { machine, .. } => {
                format!("sending wgfleet for {}", shown(machine))
            }
            Self::File { path, action: FileAction::Remove, .. } => {
                format!("removing {}", shown(path))
            }
            Self::File { path, .. } => format!("writing {}", shown(path)),
            Self::Hook { interface, when, command, comes, now } => {
                let runs = match (comes, now) {
                    (true, _) => "running",
                    (false, true) => "running for the last time",
                    (false, false) => "no longer running",
                };
                format!("{runs} as root {}: {command}", when.of(interface))
            }
            Self::Forward { family, on: true, .. } => format!("turning on forwarding of {family}"),
            Self::Forward { family, on: false, .. } => {
                format!("turning off forwarding of {family}")
            }
            Self::Firewall { digest: Some(_), .. } => "setting the masquerading rules".to_owned(),
            Self::Firewall { digest: None, .. } => "removing the masquerading rules".to_owned(),
            Self::Create(NewInterface { interface, .. }) => format!("making interface {interface}"),
            Self::Restart { interface, .. } => format!("restarting {interface}"),
            Self::Delete { interface } => format!("removing interface {interface}"),
            Self::Device { interface, .. } => format!("changing {interface}"),
            Self::AddPeer { interface, peer, .. } => {
                format!("adding peer {} to {interface}", peer.name)
            }
            Self::ChangePeer { interface, peer, .. } => {
                format!("changing peer {peer} of {interface}")
            }
            Self::RemovePeer { interface, peer } => {
                format!("removing peer {peer} from {interface}")
            }
            Self::AddAddress { interface, address } => {
                format!("adding address {address} to {interface}")
            }
            Self::RemoveAddress { interface, address } => {
                format!("removing address {address} from {interface}")
            }
            Self::AddRoute { interface, table, prefix } => {
                format!("adding route {prefix} through {interface}, table {table}")
            }
            Self::RemoveRoute { interface, table, prefix } => {
                format!("removing route {prefix} through {interface}, table {table}")
            }
            Self::Rename(Rename::Table { from, to }) => {
                format!("renaming {} to {}", shown(from), shown(to))
            }
            Self::Rename(Rename::File { from, to, .. }) => {
                format!("renaming {} to {}", shown(from), shown(to))
            }
            Self::Rename(Rename::Reference { path, to, .. }) => {
                format!("naming {} in {}", shown(to), shown(path))
            }
            Self::Record { path, .. } => {
                format!("keeping a record in {}", shown(path))
            }
            Self::Unit { unit, .. } => format!("setting unit {}", shown(unit)),
        }
    }
}

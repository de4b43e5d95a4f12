//! Changes to an operator's YAML that leave the rest of the text as it is: comments, order and style.
//!
//! Nothing is taken on trust: each changed text is read again, and has to say exactly what the old one
//! says with the change made.

mod entry;
mod list;
mod plain;
mod set;

pub use list::{append, unset};
pub use set::set;

use std::ops::Range;

use crate::finding::Finding;
use crate::model::{FileId, HostName};

use super::node::{Kind, Node};
use super::yaml;
use plain::Plain;

/// The key of a file that has its unmanaged peers.
const PEERS: &str = "peers";

/// A change to the unmanaged peers of one file.
#[derive(Debug, Clone, Copy)]
pub enum PeerChange<'a> {
    /// It is new; the text is its value, such as `{ via: hub }`.
    Add(&'a str),
    /// A key of it gets another value.
    Set(&'static str, &'a str),
    /// A key of it goes, where it is there.
    Unset(&'static str),
    /// It goes.
    Remove,
}

/// Why a text was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error("the file cannot be read as it is")]
    Unreadable,
    /// It does not have the peer.
    #[error("the file has no such peer")]
    Absent,
    /// It has the peer already.
    #[error("the file has such a peer already")]
    Present,
    /// It is written in a way that only a person can change: with anchors, aliases or `<<`, or on one
    /// line with something else.
    #[error("the file writes its peers in a way that only a person can change safely")]
    Unchangeable,
}

/// The text with a change to the peer of this name made.
///
/// # Errors
/// [`EditError`]; what is returned otherwise says exactly what was asked for.
pub fn change_peer(
    text: &str,
    name: &HostName,
    change: PeerChange<'_>,
) -> Result<String, EditError> {
    let root = read(text).ok_or(EditError::Unreadable)?;
    let peers = value_of(&root, PEERS);
    let peer = peers.as_ref().and_then(|(_, peers)| value_of(peers, name.as_str()));
    match (change, &peer) {
        (PeerChange::Add(_), Some(_)) => return Err(EditError::Present),
        (PeerChange::Add(_), None) => {}
        (_, None) => return Err(EditError::Absent),
        (PeerChange::Unset(key), Some((_, peer))) if value_of(peer, key).is_none() => {
            return Ok(text.to_owned());
        }
        _ => {}
    }
    let mut wanted = Plain::from(&root);
    let changed = match change {
        PeerChange::Add(value) => {
            let entry = Plain::from(&read(value).ok_or(EditError::Unreadable)?);
            wanted.at(PEERS).insert(name.as_str(), entry);
            entry::add(text, peers.as_ref(), PEERS, name.as_str(), value)
        }
        PeerChange::Set(key, value) => {
            let plain = Plain::from(&read(value).ok_or(EditError::Unreadable)?);
            wanted.at(PEERS).at(name.as_str()).insert(key, plain);
            peer.and_then(|(at, _)| set(text, at.end, key, value))
        }
        PeerChange::Unset(key) => {
            wanted.at(PEERS).at(name.as_str()).remove(key);
            peer.and_then(|(_, peer)| value_of(peer, key))
                .and_then(|(at, _)| entry::remove(text, at))
        }
        PeerChange::Remove => {
            wanted.at(PEERS).remove(name.as_str());
            peer.and_then(|(at, _)| entry::remove(text, at))
        }
    };
    let changed = changed.ok_or(EditError::Unchangeable)?;
    let says = read(&changed).map(|root| Plain::from(&root));
    if says.is_some_and(|says| says.same(&wanted)) {
        Ok(changed)
    } else {
        Err(EditError::Unchangeable)
    }
}

/// A document that is in order.
fn read(text: &str) -> Option<Node> {
    let mut findings: Vec<Finding> = Vec::new();
    let root = yaml::parse(text, FileId(0), &mut yaml::Budget::default(), &mut findings);
    root.filter(|_| findings.is_empty())
}

/// The value of a key of a map, and where the key stands.
fn value_of<'n>(map: &'n Node, name: &str) -> Option<(Range<usize>, &'n Node)> {
    let Kind::Map(entries) = &map.kind else { return None };
    let (key, value) = entries.iter().find(|(key, _)| &*key.value == name)?;
    Some((key.at.start as usize..key.at.end as usize, value))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

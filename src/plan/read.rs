//! Reading a plan's JSON: what it refers to by number is put back in its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde_json::Value;

use super::form::{CHANGE_PEERS, CREATE, NO_SUCH_PEER, NO_TABLE, TOO_MANY, TWICE};
use super::{
    Change, Disruption, Drifted, Felt, FieldChange, HostPlan, HostState, NewInterface, NewPeer,
    Newer, Orphan, PeerField, PeerRef, Plan, SecretState,
};
use crate::check::Difference;
use crate::model::{Become, Fingerprint, FleetName, HostName, InterfaceName, SshTarget};

/// The most references to peers that a plan is read with.
const MOST_REFERENCES: usize = 50_000_000;

/// How many of them a change to a peer counts for: it takes more memory.
const WEIGHT: usize = 4;

/// A plan as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    version: u32,
    fleet: FleetName,
    secrets: SecretState,
    hosts: Vec<ReadHost>,
    peers: Vec<NewPeer>,
    peer_changes: Vec<ReadPeerChange>,
    orphans: Vec<Orphan>,
    newer: Vec<Newer>,
    reachability: Option<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadPeerChange {
    peer: PeerRef,
    fields: Vec<FieldChange<PeerField>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadHost {
    host: HostName,
    ssh: SshTarget,
    r#become: Become,
    payload: Option<Fingerprint>,
    target: Option<Fingerprint>,
    state: HostState,
    disruption: Disruption,
    feels: Felt,
    changes: Vec<ReadChange>,
    drift: Option<BTreeSet<Drifted>>,
    notes: Vec<String>,
}

/// A change as it is read, with numbers of the tables.
enum ReadChange {
    Create(NewInterface, Vec<usize>),
    Peers(InterfaceName, Vec<usize>),
    Other(Change),
}

/// Changes to peers of one interface.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadPeers {
    #[serde(rename = "change")]
    _change: IgnoredAny,
    interface: InterfaceName,
    peer_changes: Vec<usize>,
}

impl<'a> Deserialize<'a> for ReadChange {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if value["change"] == CHANGE_PEERS {
            let ReadPeers { interface, peer_changes, .. } =
                serde_json::from_value(value).map_err(D::Error::custom)?;
            return Ok(Self::Peers(interface, peer_changes));
        }
        let mut peers = Vec::new();
        if value["change"] == CREATE
            && let Some(numbers) = value.get_mut("peers")
        {
            let numbers = std::mem::replace(numbers, Value::Array(Vec::new()));
            peers = Vec::deserialize(numbers).map_err(D::Error::custom)?;
        }
        Ok(match Change::deserialize(value).map_err(D::Error::custom)? {
            Change::Create(new) => Self::Create(new, peers),
            // They have one form.
            Change::ChangePeer { .. } => return Err(D::Error::custom(NO_TABLE)),
            other => Self::Other(other),
        })
    }
}

/// What changes refer to.
struct ReadTables {
    peers: Vec<Arc<NewPeer>>,
    peer_changes: Vec<ReadPeerChange>,
    /// How many references there may still be.
    references: usize,
}

impl ReadTables {
    /// Adds what a change stands for.
    fn resolve<E: serde::de::Error>(
        &mut self,
        change: ReadChange,
        into: &mut Vec<Change>,
    ) -> Result<(), E> {
        let mut refer = |numbers: &[usize], weight: usize| {
            let left = self.references.checked_sub(numbers.len() * weight);
            self.references = left.ok_or_else(|| E::custom(TOO_MANY))?;
            Ok(())
        };
        match change {
            ReadChange::Other(change) => into.push(change),
            ReadChange::Create(mut new, numbers) => {
                refer(&numbers, 1)?;
                let peers = numbers.into_iter().map(|number| self.peers.get(number).cloned());
                let peers: Option<Vec<Arc<NewPeer>>> = peers.collect();
                new.peers = peers.ok_or_else(|| E::custom(NO_SUCH_PEER))?;
                into.push(Change::Create(new));
            }
            ReadChange::Peers(interface, numbers) => {
                refer(&numbers, WEIGHT)?;
                into.reserve_exact(numbers.len());
                for number in numbers {
                    let change = self.peer_changes.get(number);
                    let ReadPeerChange { peer, fields } =
                        change.ok_or_else(|| E::custom(NO_SUCH_PEER))?;
                    let (peer, fields) = (peer.clone(), fields.clone());
                    into.push(Change::ChangePeer { interface: interface.clone(), peer, fields });
                }
            }
        }
        Ok(())
    }
}

impl<'a> Deserialize<'a> for Plan {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let mut known = BTreeSet::new();
        // Of two that contradict each other, nobody could tell which was reviewed.
        let once = read.hosts.iter().all(|host| known.insert(&host.host))
            && read.peer_changes.iter().all(|change| {
                let mut fields = change.fields.iter().enumerate();
                fields.all(|(at, one)| change.fields[..at].iter().all(|b| b.field != one.field))
            });
        if !once {
            return Err(D::Error::custom(TWICE));
        }
        let mut tables = ReadTables {
            peers: read.peers.into_iter().map(Arc::new).collect(),
            peer_changes: read.peer_changes,
            references: MOST_REFERENCES,
        };
        let mut hosts = Vec::new();
        for host in read.hosts {
            let ReadHost {
                host,
                ssh,
                r#become,
                payload,
                target,
                state,
                disruption,
                feels,
                changes,
                drift,
                notes,
            } = host;
            let mut resolved = Vec::new();
            for change in changes {
                tables.resolve(change, &mut resolved)?;
            }
            hosts.push(HostPlan {
                host,
                ssh,
                r#become,
                payload,
                target,
                state,
                disruption,
                feels,
                changes: resolved,
                drift,
                notes,
            });
        }
        Ok(Self {
            version: read.version,
            fleet: read.fleet,
            secrets: read.secrets,
            hosts,
            orphans: read.orphans,
            newer: read.newer,
            reachability: read.reachability,
        })
    }
}

//! Reading a plan's JSON: what it refers to by number is put back in its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde_json::Value;

use super::form::{CHANGE_PEERS, CREATE, NO_SUCH_PEER, NO_TABLE, TWICE};
use super::weight::{self, MOST_MEMORY, TooLarge};
use super::{
    Change, Disruption, Drifted, Felt, FieldChange, HostPlan, HostState, KeptLink, NewInterface,
    NewPeer, Newer, Orphan, PeerField, PeerRef, Plan, Rollout, SecretState,
};
use crate::check::Difference;
use crate::model::{Become, Fingerprint, FleetName, HostName, InterfaceName, Kind, SshTarget};

/// A plan as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "kind")]
    _kind: Kind<Plan>,
    version: u32,
    fleet: FleetName,
    secrets: SecretState,
    hosts: Vec<ReadHost>,
    peers: Vec<NewPeer>,
    peer_changes: Vec<ReadPeerChange>,
    orphans: Vec<Orphan>,
    newer: Vec<Newer>,
    reachability: Option<Difference>,
    #[serde(default)]
    rollout: Option<Rollout>,
    #[serde(default)]
    kept: Vec<KeptLink>,
    /// Of a saved plan. It is of the bytes of the file, which [`super::verify`] has.
    #[serde(default, rename = "mac")]
    _mac: Option<Fingerprint>,
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
    notes: Vec<ReadNote>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadNote {
    text: String,
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
    /// How many bytes what is referred to may still take.
    memory: usize,
}

impl ReadTables {
    /// Adds what a change stands for.
    fn resolve<E: serde::de::Error>(
        &mut self,
        change: ReadChange,
        into: &mut Vec<Change>,
    ) -> Result<(), E> {
        let mut take = |bytes: usize| {
            let left = self.memory.checked_sub(bytes);
            self.memory = left.ok_or_else(|| E::custom(TooLarge::Memory))?;
            Ok(())
        };
        match change {
            ReadChange::Other(change) => into.push(change),
            ReadChange::Create(mut new, numbers) => {
                take(numbers.len().saturating_mul(weight::of_new_peer()))?;
                let peers = numbers.into_iter().map(|number| self.peers.get(number).cloned());
                let peers: Option<Vec<Arc<NewPeer>>> = peers.collect();
                new.peers = peers.ok_or_else(|| E::custom(NO_SUCH_PEER))?;
                into.push(Change::Create(new));
            }
            ReadChange::Peers(interface, numbers) => {
                let changes = numbers.into_iter().map(|number| self.peer_changes.get(number));
                let changes: Option<Vec<&ReadPeerChange>> = changes.collect();
                let changes = changes.ok_or_else(|| E::custom(NO_SUCH_PEER))?;
                // All of them, before the first is there.
                for ReadPeerChange { peer, fields } in &changes {
                    take(weight::of_change(&interface, peer, fields))?;
                }
                into.reserve_exact(changes.len());
                for ReadPeerChange { peer, fields } in changes {
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
            memory: MOST_MEMORY,
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
                notes: notes.into_iter().map(|note| note.text).collect(),
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
            rollout: read.rollout,
            kept: read.kept,
        })
    }
}

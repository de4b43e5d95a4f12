//! The JSON form of a plan, printed and saved: each peer's settings once, in a table that the
//! interfaces refer to by number. docs/json.md has it for readers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, SerializeStruct as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Change, Disruption, Drifted, Felt, HostPlan, HostState, NewInterface, NewPeer, Newer, Orphan,
    Plan, SecretState,
};
use crate::check::Difference;
use crate::model::{Become, Fingerprint, FleetName, HostName, SshTarget};

/// The most references to peers that a plan is read with.
const MOST_REFERENCES: usize = 50_000_000;

/// Why a text is not a plan that can be used. Nothing of the text is repeated, it may be any file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// No JSON, or not all of it.
    #[error("{what} (line {line}, column {column})")]
    Syntax {
        /// What is wrong there.
        what: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// JSON, but no plan.
    #[error("it is JSON, but no plan: {what} (line {line}, column {column})")]
    Shape {
        /// What is wrong there.
        what: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A plan of another version of wgfleet.
    #[error("it is a plan of version {found}, and this wgfleet reads version {}", Plan::VERSION)]
    Version {
        /// Its version.
        found: u64,
    },
}

impl Plan {
    /// The JSON of a plan, compact; the same plan gives the same bytes.
    ///
    /// # Errors
    /// None that is known: every value of a plan has a form.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        json(&Form { plan: self, reasons: true })
    }

    /// The JSON of a plan that is saved: without ssh's words about hosts that could not be read, which
    /// differ from one time to the next.
    ///
    /// # Errors
    /// None that is known: every value of a plan has a form.
    pub fn to_saved(&self) -> Result<Vec<u8>, serde_json::Error> {
        json(&Form { plan: self, reasons: false })
    }

    /// Reads a plan, printed or saved.
    ///
    /// # Errors
    /// [`FormError`], for anything else and for plans of other versions.
    pub fn from_json(text: &[u8]) -> Result<Self, FormError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(FormError::Syntax { what: "it is no JSON object", line: 1, column: 1 });
        }
        let Versioned { version } = serde_json::from_slice(text).map_err(|error| said(&error))?;
        if version != u64::from(Self::VERSION) {
            return Err(FormError::Version { found: version });
        }
        serde_json::from_slice(text).map_err(|error| said(&error))
    }
}

fn json(form: &Form<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(form)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// An error of `serde_json` without what it quotes.
fn said(error: &serde_json::Error) -> FormError {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => {
            FormError::Syntax { what: "it is cut off", line, column }
        }
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            FormError::Syntax { what: "it is no JSON", line, column }
        }
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // The only ones that name no more than we do.
            let ours = ["missing field `", "duplicate field `", NO_SUCH_PEER, TOO_MANY];
            let known = ours.iter().any(|begin| text.starts_with(begin));
            let what = text.split(" at line ").next().filter(|_| known);
            let what = what.unwrap_or(if text.starts_with("unknown field `") {
                "a field that no plan has there"
            } else {
                "a value that no plan has there"
            });
            let what = what.to_owned();
            FormError::Shape { what, line, column }
        }
    }
}

const NO_SUCH_PEER: &str = "an interface refers to a peer that the table does not have";
const TOO_MANY: &str = "interfaces refer to more peers than any fleet has";

/// A plan as it is written.
struct Form<'a> {
    plan: &'a Plan,
    /// Whether the reasons of hosts that could not be read are in it.
    reasons: bool,
}

/// The settings of new interfaces' peers, each once, and the number of each.
#[derive(Default)]
struct Table<'a> {
    peers: Vec<&'a NewPeer>,
    numbers: HashMap<&'a NewPeer, usize>,
}

impl<'a> Table<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut table = Self::default();
        for change in plan.hosts.iter().flat_map(|host| &host.changes) {
            let Change::Create(new) = change else { continue };
            for peer in &new.peers {
                table.numbers.entry(peer).or_insert_with(|| {
                    table.peers.push(peer);
                    table.peers.len() - 1
                });
            }
        }
        table
    }
}

impl Serialize for Form<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Plan { version, fleet, secrets, hosts, orphans, newer, reachability } = self.plan;
        let table = Table::of(self.plan);
        let hosts: Vec<HostForm<'_>> = hosts
            .iter()
            .map(|host| HostForm { host, table: &table, reasons: self.reasons })
            .collect();
        let mut form = serializer.serialize_struct("Plan", 8)?;
        form.serialize_field("version", version)?;
        form.serialize_field("fleet", fleet)?;
        form.serialize_field("secrets", secrets)?;
        form.serialize_field("hosts", &hosts)?;
        form.serialize_field("peers", &table.peers)?;
        form.serialize_field("orphans", orphans)?;
        form.serialize_field("newer", newer)?;
        form.serialize_field("reachability", reachability)?;
        form.end()
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form { plan: self, reasons: true }.serialize(serializer)
    }
}

struct HostForm<'a> {
    host: &'a HostPlan,
    table: &'a Table<'a>,
    reasons: bool,
}

impl Serialize for HostForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let HostPlan {
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
        } = self.host;
        let silent = HostState::Unreadable(String::new());
        let unread = matches!(state, HostState::Unreadable(_));
        let changes: Vec<ChangeForm<'_>> =
            changes.iter().map(|change| ChangeForm { change, table: self.table }).collect();
        let mut form = serializer.serialize_struct("HostPlan", 11)?;
        form.serialize_field("host", host)?;
        form.serialize_field("ssh", ssh)?;
        form.serialize_field("become", r#become)?;
        form.serialize_field("payload", payload)?;
        form.serialize_field("target", target)?;
        form.serialize_field("state", if unread && !self.reasons { &silent } else { state })?;
        form.serialize_field("disruption", disruption)?;
        form.serialize_field("feels", feels)?;
        form.serialize_field("changes", &changes)?;
        form.serialize_field("drift", drift)?;
        form.serialize_field("notes", notes)?;
        form.end()
    }
}

struct ChangeForm<'a> {
    change: &'a Change,
    table: &'a Table<'a>,
}

impl Serialize for ChangeForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Change::Create(new) = self.change else { return self.change.serialize(serializer) };
        let numbers: Option<Vec<usize>> =
            new.peers.iter().map(|peer| self.table.numbers.get(&**peer).copied()).collect();
        let bare = Change::Create(NewInterface { peers: Vec::new(), ..new.clone() });
        let mut value = serde_json::to_value(bare).map_err(S::Error::custom)?;
        value["peers"] = serde_json::to_value(numbers).map_err(S::Error::custom)?;
        value.serialize(serializer)
    }
}

/// A plan as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    version: u32,
    fleet: FleetName,
    secrets: SecretState,
    hosts: Vec<ReadHost>,
    peers: Vec<NewPeer>,
    orphans: Vec<Orphan>,
    newer: Vec<Newer>,
    reachability: Option<Difference>,
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

/// A change, and the numbers of the peers of a new interface.
struct ReadChange {
    change: Change,
    peers: Vec<usize>,
}

impl<'a> Deserialize<'a> for ReadChange {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let mut peers = Vec::new();
        if value["change"] == "create"
            && let Some(numbers) = value.get_mut("peers")
        {
            let numbers = std::mem::replace(numbers, Value::Array(Vec::new()));
            peers = Vec::deserialize(numbers).map_err(D::Error::custom)?;
        }
        let change = Change::deserialize(value).map_err(D::Error::custom)?;
        Ok(Self { change, peers })
    }
}

impl<'a> Deserialize<'a> for Plan {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let table: Vec<Arc<NewPeer>> = read.peers.into_iter().map(Arc::new).collect();
        let mut references = 0;
        let mut change = |ReadChange { mut change, peers }: ReadChange| {
            references += peers.len();
            if references > MOST_REFERENCES {
                return Err(D::Error::custom(TOO_MANY));
            }
            if let Change::Create(new) = &mut change {
                let peers = peers.into_iter().map(|number| table.get(number).cloned());
                let peers: Option<Vec<Arc<NewPeer>>> = peers.collect();
                new.peers = peers.ok_or_else(|| D::Error::custom(NO_SUCH_PEER))?;
            }
            Ok(change)
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
            let changes = changes.into_iter().map(&mut change).collect::<Result<_, _>>()?;
            hosts.push(HostPlan {
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

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;

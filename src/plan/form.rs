//! The JSON form of a plan, printed and saved: each peer's settings, and each change of them, once, in
//! tables that the changes of hosts refer to by number. docs/json.md has it for readers.

use std::collections::HashMap;

use ipnet::IpNet;
use serde::ser::{SerializeStruct as _, Serializer};
use serde::{Deserialize, Serialize};

use super::weight::{TooLarge, count_values};
use super::{
    Change, FieldChange, HostPlan, HostState, NewInterface, NewPeer, PeerField, PeerRef, Plan,
};
use crate::model::{FwMark, InterfaceName, Mtu, Port, PublicKey};
use crate::observed::LiveBackend;

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
    /// More than is read.
    #[error("it is no plan that wgfleet can have saved: {0}")]
    TooLarge(#[from] TooLarge),
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

    /// The JSON of a plan without ssh's words about hosts that could not be read.
    pub(super) fn to_json_without_reasons(&self) -> Result<Vec<u8>, serde_json::Error> {
        json(&Form { plan: self, reasons: false })
    }

    /// Reads a plan, printed or saved. Whether it was changed since is for [`super::verify`] to say.
    ///
    /// # Errors
    /// [`FormError`], for anything else and for plans of other versions.
    pub fn from_json(text: &[u8]) -> Result<Self, FormError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(FormError::Syntax { what: "it is not a JSON object", line: 1, column: 1 });
        }
        count_values(text)?;
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
            FormError::Syntax { what: "it is not JSON", line, column }
        }
        serde_json::error::Category::Data => {
            let text = error.to_string();
            if text.starts_with(&TooLarge::Memory.to_string()) {
                return TooLarge::Memory.into();
            }
            // The only ones that name no more than we do.
            let ours = ["missing field `", "duplicate field `", NO_SUCH_PEER, NO_TABLE, TWICE];
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

pub(super) const NO_SUCH_PEER: &str = "a change refers to a peer that the table does not have";
pub(super) const NO_TABLE: &str = "a change of a peer that is not in the table of them";
pub(super) const TWICE: &str = "a host, or a setting of a peer, is there twice";

/// A plan as it is written.
struct Form<'a> {
    plan: &'a Plan,
    /// Whether the reasons of hosts that could not be read are in it.
    reasons: bool,
}

/// What many changes have in common, each once, and the number of each.
#[derive(Default)]
struct Table<'a> {
    /// The settings of new interfaces' peers.
    peers: Vec<&'a NewPeer>,
    numbers: HashMap<&'a NewPeer, usize>,
    /// What changes of peers.
    peer_changes: Vec<PeerChange<'a>>,
    change_numbers: HashMap<PeerChange<'a>, usize>,
}

/// A peer and the settings of it that change: in a mesh the same on every other host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct PeerChange<'a> {
    peer: &'a PeerRef,
    fields: &'a [FieldChange<PeerField>],
}

impl<'a> Table<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut table = Self::default();
        for change in plan.hosts.iter().flat_map(|host| &host.changes) {
            match change {
                Change::Create(new) => {
                    for peer in &new.peers {
                        number(&**peer, &mut table.peers, &mut table.numbers);
                    }
                }
                Change::ChangePeer { peer, fields, .. } => {
                    let change = PeerChange { peer, fields };
                    number(change, &mut table.peer_changes, &mut table.change_numbers);
                }
                _ => {}
            }
        }
        table
    }

    /// The changes of a host as they are written: those to peers of one interface that follow each
    /// other are one.
    fn forms(&self, changes: &'a [Change]) -> Vec<ChangeForm<'a>> {
        let mut forms: Vec<ChangeForm<'a>> = Vec::new();
        for change in changes {
            match change {
                Change::Create(new) => {
                    let numbers = new.peers.iter().filter_map(|peer| self.numbers.get(&**peer));
                    forms.push(ChangeForm::Create(CreateForm::of(new, numbers.copied().collect())));
                }
                Change::ChangePeer { interface, peer, fields } => {
                    let number = self.change_numbers.get(&PeerChange { peer, fields }).copied();
                    match forms.last_mut() {
                        Some(ChangeForm::Peers { interface: last, peer_changes, .. })
                            if *last == interface =>
                        {
                            peer_changes.extend(number);
                        }
                        _ => forms.push(ChangeForm::Peers {
                            change: CHANGE_PEERS,
                            interface,
                            peer_changes: number.into_iter().collect(),
                        }),
                    }
                }
                other => forms.push(ChangeForm::Other(other)),
            }
        }
        forms
    }
}

/// Adds a value to a table that does not have it yet.
fn number<T: Copy + Eq + std::hash::Hash>(
    value: T,
    values: &mut Vec<T>,
    numbers: &mut HashMap<T, usize>,
) {
    numbers.entry(value).or_insert_with(|| {
        values.push(value);
        values.len() - 1
    });
}

impl Serialize for Form<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Plan { version, fleet, secrets, hosts, orphans, newer, reachability } = self.plan;
        let table = Table::of(self.plan);
        let hosts: Vec<HostForm<'_>> = hosts
            .iter()
            .map(|host| HostForm { host, table: &table, reasons: self.reasons })
            .collect();
        let mut form = serializer.serialize_struct("Plan", 9)?;
        form.serialize_field("version", version)?;
        form.serialize_field("fleet", fleet)?;
        form.serialize_field("secrets", secrets)?;
        form.serialize_field("hosts", &hosts)?;
        form.serialize_field("peers", &table.peers)?;
        form.serialize_field("peer_changes", &table.peer_changes)?;
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
        let changes = self.table.forms(changes);
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

/// The words of the changes that refer to tables.
pub(super) const CREATE: &str = "create";
pub(super) const CHANGE_PEERS: &str = "change-peers";

/// A change as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum ChangeForm<'a> {
    Create(CreateForm<'a>),
    Peers { change: &'static str, interface: &'a InterfaceName, peer_changes: Vec<usize> },
    Other(&'a Change),
}

/// A new interface with the numbers of its peers.
#[derive(Serialize)]
struct CreateForm<'a> {
    change: &'static str,
    interface: &'a InterfaceName,
    backend: LiveBackend,
    public_key: PublicKey,
    addresses: &'a [IpNet],
    listen_port: Option<Port>,
    mtu: Mtu,
    table: String,
    fwmark: Option<FwMark>,
    dns: &'a [String],
    peers: Vec<usize>,
}

impl<'a> CreateForm<'a> {
    fn of(new: &'a NewInterface, numbers: Vec<usize>) -> Self {
        let NewInterface {
            interface,
            backend,
            public_key,
            addresses,
            listen_port,
            mtu,
            table,
            fwmark,
            dns,
            peers: _,
        } = new;
        Self {
            change: CREATE,
            interface,
            backend: *backend,
            public_key: *public_key,
            addresses,
            listen_port: *listen_port,
            mtu: *mtu,
            table: table.to_string(),
            fwmark: *fwmark,
            dns,
            peers: numbers,
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;

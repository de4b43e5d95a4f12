//! The JSON form of a plan, printed and saved: each peer's settings, and each change of them, once, in
//! tables that the changes of hosts refer to by number. docs/json.md has it for readers.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::weight::{TooLarge, count_values};
use super::{
    Change, Disruption, Drifted, Felt, FieldChange, HostPlan, HostState, KeptLink, NewInterface,
    NewPeer, Newer, Orphan, PeerField, PeerRef, Plan, Rollout, SecretState,
};
use crate::check::Difference;
use crate::model::{
    Become, Fingerprint, FleetName, FwMark, HostName, InterfaceName, Kind, Mtu, Port, PublicKey,
    RouteTable, SshTarget, Version,
};
use crate::observed::{LiveBackend, Unanswered};

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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PeerChange<'a> {
    /// The peer.
    peer: &'a PeerRef,
    /// The settings.
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
                    let new = Numbered::create(new, numbers.copied().collect());
                    forms.push(ChangeForm::Numbered(new));
                }
                Change::ChangePeer { interface, peer, fields } => {
                    let number = self.change_numbers.get(&PeerChange { peer, fields }).copied();
                    match forms.last_mut() {
                        Some(ChangeForm::Numbered(Numbered::ChangePeers {
                            interface: last,
                            peer_changes,
                        })) if *last == interface => peer_changes.extend(number),
                        _ => forms.push(ChangeForm::Numbered(Numbered::ChangePeers {
                            interface,
                            peer_changes: number.into_iter().collect(),
                        })),
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
        let Plan { version: _, fleet, secrets, hosts, orphans, newer, reachability, rollout, kept } =
            self.plan;
        let table = Table::of(self.plan);
        let form = PlanForm {
            kind: Kind::default(),
            version: Version::default(),
            fleet,
            secrets: *secrets,
            hosts: hosts.iter().map(|host| HostForm::of(host, &table, self.reasons)).collect(),
            peers: &table.peers,
            peer_changes: &table.peer_changes,
            orphans: if self.reasons {
                Cow::Borrowed(orphans)
            } else {
                orphans.iter().cloned().map(Orphan::without_reason).collect()
            },
            newer,
            reachability: reachability.as_ref(),
            rollout: rollout.as_ref(),
            kept,
            mac: None,
        };
        form.serialize(serializer)
    }
}

/// What would be done to a fleet.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Plan"))]
struct PlanForm<'a> {
    /// `plan`.
    kind: Kind<Plan>,
    /// Its version.
    version: Version<Plan>,
    /// The fleet.
    fleet: &'a FleetName,
    /// Whether keys were compared.
    secrets: SecretState,
    /// Every host that was asked, in order of the file.
    hosts: Vec<HostForm<'a>>,
    /// The settings of the peers of new interfaces, each once; interfaces refer to them by number.
    peers: &'a [&'a NewPeer],
    /// What changes of peers, each once; changes refer to them by number.
    peer_changes: &'a [PeerChange<'a>],
    /// What wgfleet set up and the inventory no longer has.
    orphans: Cow<'a, [Orphan]>,
    /// Hosts that were changed from newer files than these.
    newer: &'a [Newer],
    /// The flows that begin and cease to work; null where nobody asked.
    reachability: Option<&'a Difference>,
    /// Which hosts change together, and in which order; absent where each changes by itself in one wave.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<&'a Rollout>,
    /// Links that keep their old values, because one of their ends cannot change now; absent where there
    /// are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    kept: &'a [KeptLink],
    /// Of a saved plan, at its very end: the MAC of every byte before. `saved.rs` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<Fingerprint>,
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form { plan: self, reasons: true }.serialize(serializer)
    }
}

/// What would be done to one host.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HostPlan"))]
struct HostForm<'a> {
    /// The host.
    host: &'a HostName,
    /// Where it is logged in to.
    ssh: &'a SshTarget,
    /// How the login user becomes root.
    r#become: Become,
    /// Keyed digest of everything that is sent there and run; null where nothing is.
    payload: Option<Fingerprint>,
    /// Keyed digest of all that the host is to have; null where it could not be read.
    target: Option<Fingerprint>,
    /// Whether it can be done.
    state: Cow<'a, HostState>,
    /// The worst that traffic feels.
    disruption: Disruption,
    /// What it feels, and of which change.
    feels: &'a Felt,
    /// What is done, in order.
    changes: Vec<ChangeForm<'a>>,
    /// What of it undoes drift; null where no record tells.
    drift: Option<&'a BTreeSet<Drifted>>,
    /// What else the operator should know.
    notes: Vec<NoteForm<'a>>,
}

/// What the operator should know, and no change can say.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Note"))]
struct NoteForm<'a> {
    /// A sentence.
    text: &'a str,
}

impl<'a> HostForm<'a> {
    fn of(plan: &'a HostPlan, table: &Table<'a>, reasons: bool) -> Self {
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
        } = plan;
        let silent = !reasons && matches!(state, HostState::Unreadable(_));
        Self {
            host,
            ssh,
            r#become: *r#become,
            payload: *payload,
            target: *target,
            state: if silent {
                Cow::Owned(HostState::Unreadable(Unanswered::NotTold))
            } else {
                Cow::Borrowed(state)
            },
            disruption: *disruption,
            feels,
            changes: table.forms(changes),
            drift: drift.as_ref(),
            notes: notes.iter().map(|text| NoteForm { text }).collect(),
        }
    }
}

/// The words of the changes that refer to tables.
pub(super) const CREATE: &str = "create";
pub(super) const CHANGE_PEERS: &str = "change-peers";

/// A change as it is written.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Change"))]
#[serde(untagged)]
enum ChangeForm<'a> {
    Numbered(Numbered<'a>),
    Other(&'a Change),
}

/// A change that refers to tables by number.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "NumberedChange"))]
#[serde(tag = "change", rename_all = "kebab-case")]
enum Numbered<'a> {
    /// A new interface with all its settings.
    Create {
        /// Its name.
        interface: &'a InterfaceName,
        /// What carries its packets.
        backend: LiveBackend,
        /// Public half of its key.
        public_key: PublicKey,
        /// Its addresses with their prefix lengths.
        #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
        addresses: &'a [IpNet],
        /// Its UDP port; null: any.
        listen_port: Option<Port>,
        /// Its MTU in bytes.
        mtu: Mtu,
        /// Where its routes go: `auto`, `off` or the number of a table.
        #[serde(with = "super::new::words")]
        #[cfg_attr(test, schemars(with = "crate::model::schema::Table"))]
        table: RouteTable,
        /// The mark of its encrypted packets; null: none.
        fwmark: Option<FwMark>,
        /// DNS servers and search domains.
        #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Word>"))]
        dns: &'a [String],
        /// Its peers: numbers in the plan's `peers`, from 0.
        peers: Vec<usize>,
    },
    /// Settings of peers change in place.
    ChangePeers {
        /// The interface.
        interface: &'a InterfaceName,
        /// Numbers in the plan's `peer_changes`, from 0.
        peer_changes: Vec<usize>,
    },
}

impl<'a> Numbered<'a> {
    fn create(new: &'a NewInterface, peers: Vec<usize>) -> Self {
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
        Self::Create {
            interface,
            backend: *backend,
            public_key: *public_key,
            addresses,
            listen_port: *listen_port,
            mtu: *mtu,
            table: *table,
            fwmark: *fwmark,
            dns,
            peers,
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Plan {
    fn schema_name() -> Cow<'static, str> {
        PlanForm::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        PlanForm::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        PlanForm::json_schema(generator)
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;

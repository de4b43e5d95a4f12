//! What a host is to keep about a change: its record, and when the record alone has to change.

use jiff::Timestamp;

use super::{Change, FileAction, HostPlan, HostState, RenderedHost, SecretState, Target};
use crate::desired::key_mark;
use crate::model::{FleetName, Kind, Untrusted};
use crate::observed::{Commit, ObservedHost, Record};

/// Who changes a fleet, and from which state of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Who it is, as `user@machine`.
    pub who: Untrusted,
    /// The commit that the inventory is at; `None` outside git.
    pub commit: Option<Commit>,
    /// The generation of the lock file, where it has one.
    pub generation: Option<u64>,
    /// When.
    pub now: Timestamp,
}

/// The record of a change that makes a host what `target` says; `before` is what it keeps now, and the
/// changes.
#[must_use]
pub fn record(
    fleet: &FleetName,
    target: &Target<'_>,
    rendered: &RenderedHost,
    observed: &ObservedHost,
    provenance: &Provenance,
    transaction: String,
    before: (Option<&Record>, &[Change]),
) -> Record {
    let desired = target.desired;
    let files = target.files.iter();
    let interfaces = desired.interfaces.iter().map(|own| (own.name.clone(), own.public_key));
    // What wgfleet made stays its own for as long as it runs and nothing removes it.
    let (kept, changes) = before;
    let kept = kept.filter(|kept| kept.host == desired.name);
    let left = kept.into_iter().flat_map(|kept| &kept.interfaces).filter(|(name, key)| {
        let live = observed.interfaces.get(*name).and_then(|live| live.public_key);
        live == Some(**key) && changes.iter().all(|change| change.interface() != Some(*name))
    });
    let left = left.map(|(name, key)| (name.clone(), *key));
    Record {
        kind: Kind::default(),
        version: Record::VERSION,
        fleet: fleet.clone(),
        host: desired.name.clone(),
        transaction,
        who: provenance.who.clone(),
        commit: provenance.commit.clone(),
        generation: provenance.generation,
        written: provenance.now,
        ssh: Untrusted::new(desired.ssh.to_string()),
        r#become: desired.r#become,
        machine_id: observed.machine_id,
        host_key: observed.host_key,
        fingerprint_key: key_mark(&rendered.key),
        fingerprints: files.map(|(path, file)| (path.to_string(), file.fingerprint)).collect(),
        interfaces: left.chain(interfaces).collect(),
        units: target.units.keys().map(ToString::to_string).collect(),
        tables: target.firewall.iter().map(|_| format!("inet {}", target.names.table)).collect(),
    }
}

impl HostPlan {
    /// Has a host that keeps no record yet write one, and one whose record alone is not what it is to
    /// be write it anew: a change of anything else renews the record by itself. `kept` is the record
    /// that it has.
    ///
    /// Where `secrets` are not compared, fingerprints are not either.
    pub fn keep_record(&mut self, kept: Option<&Record>, wanted: &Record, secrets: SecretState) {
        let same = |kept: &Record| match secrets {
            SecretState::Compared => says_the_same(kept, wanted),
            SecretState::NotCompared => {
                let fingerprint_key = kept.fingerprint_key;
                let fingerprints = kept.fingerprints.clone();
                says_the_same(kept, &Record { fingerprint_key, fingerprints, ..wanted.clone() })
            }
        };
        let action = match kept {
            None => FileAction::Create,
            Some(kept) if kept.host != wanted.host => FileAction::Update,
            Some(kept) if self.changes.is_empty() && !same(kept) => FileAction::Update,
            Some(_) => return,
        };
        if !matches!(self.state, HostState::Unreadable(_)) {
            let path = Record::path(&wanted.fleet);
            self.changes.push(Change::Record { path, action });
        }
    }
}

/// Whether two records differ in no more than who wrote them, when and from what.
fn says_the_same(one: &Record, other: &Record) -> bool {
    let plain = |record: &Record| Record {
        transaction: String::new(),
        who: Untrusted::new(""),
        commit: None,
        generation: None,
        written: Timestamp::UNIX_EPOCH,
        ..record.clone()
    };
    plain(one) == plain(other)
}

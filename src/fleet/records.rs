//! What hosts remember, and what an operator does although they remember something else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Advice, Error, Kind};
use crate::desired::DesiredHost;
use crate::inventory::Moved;
use crate::model::{FleetName, HostName, PublicKey, count};
use crate::observed::{Commit, ObservedHost, Record, RecordError};
use crate::plan::{Obstacle, Plan, same_machines, stranger};

/// What is done although hosts remember something else.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Hosts that the machines are taken for, although their records or keys say another.
    pub replace: Vec<HostName>,
    /// Hosts that were changed from newer files get what the older ones say.
    pub allow_older: bool,
    /// Hosts that a saved plan does not change: their links stay as that plan has them.
    pub left_out: Vec<HostName>,
    /// No traffic is made to prove that sessions work.
    pub no_probe: bool,
}

impl Overrides {
    /// Refuses to give hosts older configuration than they have.
    ///
    /// # Errors
    /// [`Kind::Stale`].
    pub fn refuse_older(&self, plan: &Plan) -> Result<(), Error> {
        let Some(first) = plan.newer.first().filter(|_| !self.allow_older && !plan.is_empty())
        else {
            return Ok(());
        };
        let more = match plan.newer.len() {
            1 => String::new(),
            some => format!(", and so were {}", count(some - 1, "other host")),
        };
        Err(Error::message(
            Kind::Stale,
            format!(
                "these files are older than what `{}` was changed from{more} (by {}: {}); no host was \
                 changed",
                first.host,
                first.record,
                first.because.words()
            ),
        )
        .advise(Advice::AllowOlder))
    }
}

/// The records that hosts keep about one fleet.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<HostName, Result<Record, RecordError>>);

impl Records {
    /// Reads those of the hosts that answered. The record of a host that has got another name is its own.
    pub(super) fn of<'a>(
        fleet: &FleetName,
        moved: &[Moved],
        seen: impl IntoIterator<Item = (&'a HostName, &'a ObservedHost)>,
    ) -> Self {
        let texts = seen.into_iter().filter_map(|(name, host)| {
            let text = host.records.get(fleet.as_str())?;
            let mut record = Record::parse(fleet, text);
            if let Ok(record) = &mut record
                && moved.iter().any(|one| one.new.value == *name && one.old.value == record.host)
            {
                record.host = name.clone();
            }
            Some((name.clone(), record))
        });
        Self(texts.collect())
    }

    /// The record of a host, where it has one that can be read.
    pub(super) fn kept(&self, name: &HostName) -> Option<&Record> {
        self.0.get(name)?.as_ref().ok()
    }

    /// The records of hosts whose machines say that they are these hosts.
    pub(super) fn of_themselves(&self) -> impl Iterator<Item = &Record> {
        let kept = self.0.iter().filter_map(|(name, kept)| Some((name, kept.as_ref().ok()?)));
        kept.filter(|(name, record)| record.host == **name).map(|(_, record)| record)
    }

    /// The commits that hosts have recorded, the newest first, each once.
    pub(super) fn commits(&self) -> Vec<&Commit> {
        let commits = self.of_themselves().filter_map(|record| record.commit.as_ref());
        let mut commits: Vec<&Commit> = commits.collect();
        commits.sort_by(|a, b| (b.time, &b.id, a.dirty).cmp(&(a.time, &a.id, b.dirty)));
        commits.dedup_by_key(|commit| &commit.id);
        commits
    }

    /// The highest generation that a host has recorded.
    pub(super) fn generation(&self) -> Option<u64> {
        self.of_themselves().filter_map(|record| record.generation).max()
    }

    /// Hosts whose machines are not to be taken for them, with the reasons.
    pub(super) fn strangers<'a>(
        &self,
        fleet: &FleetName,
        seen: impl IntoIterator<Item = (&'a DesiredHost, &'a ObservedHost)>,
        names: &BTreeMap<PublicKey, HostName>,
        overrides: &Overrides,
    ) -> Result<BTreeMap<HostName, Obstacle>, Error> {
        let seen: Vec<(&DesiredHost, &ObservedHost)> = seen.into_iter().collect();
        let known: BTreeSet<&HostName> = seen.iter().map(|(desired, _)| &desired.name).collect();
        if let Some(name) = overrides.replace.iter().find(|name| !known.contains(name)) {
            return Err(Error::message(
                Kind::Usage,
                format!("`{name}` was not read, so no other machine can be taken for it"),
            )
            .advise(Advice::IncludeHost));
        }
        let mut strangers = BTreeMap::new();
        for (desired, host) in &seen {
            let name = &desired.name;
            if !overrides.replace.contains(name)
                && let Some(why) = stranger(fleet, desired, host, self.0.get(name), names)
            {
                strangers.insert(name.clone(), why);
            }
        }
        let rest = seen.iter().filter(|(desired, _)| !strangers.contains_key(&desired.name));
        let same = same_machines(rest.map(|(desired, host)| (&desired.name, *host)));
        strangers
            .extend(same.into_iter().map(|(name, other)| {
                (name.clone(), Obstacle::SharedMachine { host: name, other })
            }));
        Ok(strangers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Located, Location, SourceMap};

    #[test]
    fn the_record_under_a_former_name_is_the_hosts_own() {
        let fleet: FleetName = "acme".parse().unwrap();
        let text = serde_json::json!({
            "version": 1, "fleet": "acme", "host": "old", "transaction": "c0123", "who": "ann@ctl",
            "commit": null, "generation": 7, "written": "2026-11-20T12:00:00Z",
            "ssh": "root@192.0.2.7", "become": "auto", "machine_id": null, "host_key": null,
            "fingerprint_key": "ef".repeat(32), "fingerprints": {}, "interfaces": {},
            "units": [], "tables": [],
        });
        let seen = ObservedHost {
            records: [("acme".to_owned(), text.to_string())].into(),
            ..ObservedHost::default()
        };
        let name = |text: &str| -> HostName { text.parse().unwrap() };
        let at = Location::start_of(SourceMap::default().add("f.yaml".into(), String::new()));
        let moved = |old: &str| Moved {
            old: Located::new(name(old), at),
            new: Located::new(name("new"), at),
        };
        let own = |moved: &[Moved]| {
            let records = Records::of(&fleet, moved, [(&name("new"), &seen)]);
            let own: Vec<HostName> =
                records.of_themselves().map(|record| record.host.clone()).collect();
            own
        };
        assert_eq!(own(&[moved("old")]), [name("new")]);
        assert!(own(&[moved("other")]).is_empty() && own(&[]).is_empty());
    }
}

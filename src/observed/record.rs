//! What a host keeps about the last change that was confirmed there: /var/lib/wgfleet/FLEET.json.
//!
//! It holds no secret. The host's root can write anything into it, so every part of it is as hostile
//! as the rest of an observation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    Become, Document, Fingerprint, FleetName, HostName, HostPath, InterfaceName, Kind, PublicKey,
    Untrusted, is_deceptive,
};

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The most bytes that a record may have; hosts do not send longer ones.
const MOST_BYTES: usize = 1 << 20;

/// The most characters that a word or a name in a record may have.
const LONGEST: usize = 256;

/// What a host keeps about the last change of one fleet that was confirmed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    /// `record`; records that version 0.1.0 wrote have no kind.
    #[serde(default)]
    pub kind: Kind<Self>,
    /// Version of the format.
    pub version: u32,
    /// The fleet.
    pub fleet: FleetName,
    /// Which host of the fleet the machine is.
    pub host: HostName,
    /// The id of the change.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub transaction: String,
    /// Who made it, as `user@machine`.
    pub who: Untrusted,
    /// The commit that the inventory was at; `None` outside git.
    #[serde(default)]
    pub commit: Option<Commit>,
    /// The generation of the lock file; `None` where it has none.
    #[serde(default)]
    pub generation: Option<u64>,
    /// When it was made, by the clock of who made it.
    #[cfg_attr(test, schemars(with = "crate::model::Moment"))]
    #[serde(with = "time")]
    pub written: Timestamp,
    /// How ssh(1) reached the host.
    pub ssh: Untrusted,
    /// How the login user became root.
    pub r#become: Become,
    /// Digest of the machine's id.
    #[serde(default)]
    pub machine_id: Option<Fingerprint>,
    /// Digest of its ssh host keys.
    #[serde(default)]
    pub host_key: Option<Fingerprint>,
    /// By which key the fingerprints were made: two records with the same one have comparable ones.
    pub fingerprint_key: Fingerprint,
    /// Keyed digests of the files that the change left there, by path.
    #[cfg_attr(test, schemars(with = "BTreeMap<crate::model::schema::Word, Fingerprint>"))]
    pub fingerprints: BTreeMap<String, Fingerprint>,
    /// The public key of each interface.
    pub interfaces: BTreeMap<InterfaceName, PublicKey>,
    /// The units that start them.
    #[cfg_attr(test, schemars(with = "BTreeSet<crate::model::schema::Word>"))]
    pub units: BTreeSet<String>,
    /// Tables of nftables.
    #[cfg_attr(test, schemars(with = "BTreeSet<crate::model::schema::Word>"))]
    pub tables: BTreeSet<String>,
}

/// A commit of git, as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Commit {
    /// Its id, in hexadecimal.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
    pub id: CommitId,
    /// When it was committed.
    #[cfg_attr(test, schemars(with = "crate::model::Moment"))]
    #[serde(with = "time")]
    pub time: Timestamp,
    /// Whether files of the fleet differed from it.
    #[serde(default)]
    pub dirty: bool,
}

/// The whole id of a commit: 40 or 64 hexadecimal digits, so that it can be no option of git(1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(Box<str>);

impl CommitId {
    /// All of its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CommitId {
    /// As many digits as people read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0[..12])
    }
}

impl TryFrom<String> for CommitId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        if hex && matches!(text.len(), 40 | 64) {
            Ok(Self(text.into()))
        } else {
            Err("a commit's id has 40 or 64 hexadecimal digits")
        }
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0.into()
    }
}

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not what wgfleet writes.
    #[error("it is not what wgfleet wrote (line {line}, column {column})")]
    Syntax {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error, from 1.
        column: usize,
    },
    /// Written by a later wgfleet.
    #[error("it has version {found}, and this wgfleet reads version {VERSION}")]
    Newer {
        /// The version that it has.
        found: u32,
    },
    /// Longer than any that wgfleet writes, or with a text in it that is.
    #[error("it is longer than any that wgfleet writes")]
    TooLong,
    /// It is about another fleet than its file's name says.
    #[error("it is of fleet `{0}`, which its name does not say")]
    OtherFleet(FleetName),
}

impl Document for Record {
    const KIND: &'static str = "record";
    const VERSION: u32 = VERSION;
}

impl Record {
    /// The version that this program writes.
    pub const VERSION: u32 = VERSION;

    /// Where a fleet's record lies.
    #[must_use]
    pub fn path(fleet: &FleetName) -> HostPath {
        HostPath::made(&format!("/var/lib/wgfleet/{fleet}.json"))
    }

    /// Reads the record of a fleet.
    ///
    /// # Errors
    /// [`RecordError`]; nothing of such a record is used.
    pub fn parse(fleet: &FleetName, text: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if text.len() > MOST_BYTES {
            return Err(RecordError::TooLong);
        }
        let syntax = |error: serde_json::Error| RecordError::Syntax {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        let Versioned { version } = serde_json::from_str(text).map_err(syntax)?;
        if version > VERSION {
            return Err(RecordError::Newer { found: version });
        }
        let record: Self = serde_json::from_str(text).map_err(syntax)?;
        if record.fleet != *fleet {
            return Err(RecordError::OtherFleet(record.fleet));
        }
        let words = record.fingerprints.keys().chain(&record.units).chain(&record.tables);
        let words = words.chain([&record.transaction]).map(String::as_str);
        let shown = [record.who.raw(), record.ssh.raw()];
        // Paths, units and tables are compared and shown: what could hide in one is no name.
        if words.clone().any(|word| word.chars().any(is_deceptive)) {
            return Err(RecordError::Syntax { line: 1, column: 1 });
        }
        if words.chain(shown).any(|word| word.chars().count() > LONGEST) {
            return Err(RecordError::TooLong);
        }
        Ok(record)
    }

    /// The text of its file.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Every part of it has a form in JSON.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Whether it claims a file.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        self.fingerprints.contains_key(path)
    }

    /// Who made the change, when, and from which commit, for a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let day = self.written.strftime("%Y-%m-%d");
        let from = match (&self.commit, self.generation) {
            (Some(commit), _) => {
                let dirty = if commit.dirty { " and files that were not committed" } else { "" };
                format!(", from commit {}{dirty}", commit.id)
            }
            (None, Some(generation)) => format!(", generation {generation}"),
            (None, None) => String::new(),
        };
        format!("{} on {day}{from}", self.who)
    }
}

/// Times as RFC 3339 writes them, in whole seconds.
mod time {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Timestamp::from_second(time.as_second()).unwrap_or(*time))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Option<Timestamp> = text.parse().ok();
        let whole = time.and_then(|time| Timestamp::from_second(time.as_second()).ok());
        whole.ok_or_else(|| de::Error::custom("not a time"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn fleet() -> FleetName {
        "acme".parse().unwrap()
    }

    fn value() -> Value {
        json!({
            "version": 1, "fleet": "acme", "host": "b7", "transaction": "c0123", "who": "ann@ctl",
            "commit": { "id": "0123456789abcdef0123456789abcdef01234567",
                        "time": "2026-11-20T10:00:00Z", "dirty": true },
            "generation": 7, "written": "2026-11-20T12:00:00Z", "ssh": "root@192.0.2.7",
            "become": "auto", "machine_id": "ab".repeat(32), "host_key": null,
            "fingerprint_key": "ef".repeat(32),
            "fingerprints": { "/etc/wireguard/wg0.conf": "cd".repeat(32) },
            "interfaces": { "wg0": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=" },
            "units": ["wg-quick@wg0.service"], "tables": ["wgfleet-acme"],
        })
    }

    fn parse(change: impl Fn(&mut Value)) -> Result<Record, RecordError> {
        let mut value = value();
        change(&mut value);
        Record::parse(&fleet(), &value.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let record = parse(|_| ()).unwrap();
        assert_eq!(Record::parse(&fleet(), &record.to_text()), Ok(record.clone()));
        assert_eq!(
            record.summary(),
            "ann@ctl on 2026-11-20, from commit 0123456789ab and files that were not committed"
        );
        assert!(record.has_file("/etc/wireguard/wg0.conf") && !record.has_file("/etc/passwd"));
        // A later version of this format may say more.
        assert_eq!(parse(|value| value["more"] = json!([1])), Ok(record));
        let outside = parse(|value| value["commit"] = Value::Null).unwrap();
        assert_eq!(outside.summary(), "ann@ctl on 2026-11-20, generation 7");
    }

    #[test]
    fn what_wgfleet_does_not_write_is_refused_in_words() {
        type Edit = fn(&mut Value);
        let told = |edit: Edit| parse(edit).unwrap_err().to_string();
        assert_eq!(
            told(|value| value["version"] = json!(2)),
            "it has version 2, and this wgfleet reads version 1"
        );
        let other = told(|value| value["fleet"] = json!("beta"));
        assert_eq!(other, "it is of fleet `beta`, which its name does not say");
        let long = told(|value| value["who"] = json!("x".repeat(300)));
        assert_eq!(long, "it is longer than any that wgfleet writes");
        let odd: [Edit; 7] = [
            |value| value["host"] = json!("../x"),
            |value| value["commit"]["id"] = json!("--upload-pack=x"),
            |value| value["written"] = json!("yesterday"),
            |value| value["fingerprints"] = json!({ "/etc/\u{202e}x": "cd".repeat(32) }),
            |value| value["transaction"] = json!("a\u{1b}[2J"),
            |value| value["interfaces"] = json!({ "wg0": "no key" }),
            |value| *value = json!([]),
        ];
        for edit in odd {
            assert!(told(edit).starts_with("it is not what wgfleet wrote (line 1, column "));
        }
        assert_eq!(Record::parse(&fleet(), &" ".repeat(2 << 20)), Err(RecordError::TooLong));
    }

    #[test]
    fn hostile_words_are_shown_escaped() {
        let record = parse(|value| value["who"] = json!("\u{202e}\u{1b}[2J")).unwrap();
        assert!(!record.summary().chars().any(is_deceptive), "{}", record.summary());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Record::parse(&fleet(), &text);
        }

        #[test]
        fn no_damage_panics(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = value().to_string().into_bytes();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if let Ok(record) = Record::parse(&fleet(), &String::from_utf8_lossy(&bytes)) {
                prop_assert!(!record.summary().chars().any(is_deceptive));
                prop_assert!(Record::parse(&fleet(), &record.to_text()).is_ok());
            }
        }
    }
}

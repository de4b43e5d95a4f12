//! Notices as lines for people.

use crate::event::Notice;
use crate::model::{HostName, Untrusted, count};

/// Most hosts that a line names.
const NAMED: usize = 8;

/// A notice as one line.
pub(super) fn line(notice: &Notice) -> String {
    match notice {
        Notice::Pinned { lock } => {
            format!("pinned new tunnel addresses in {}: commit it", lock.display())
        }
        Notice::NoCommit { folder } => format!(
            "git cannot read the repository of {}, so hosts do not record a commit, and an old \
             checkout will not be noticed; run `git status` there",
            folder.display()
        ),
        Notice::LoginsNotKept { why } => format!(
            "where hosts were logged in to is not kept, so `accept-new` believes new addresses of \
             them: {}",
            Untrusted::new(why)
        ),
        Notice::VaultNotRemembered { why } => format!(
            "what the vault's secrets are known by is not kept on this controller, so a pull request \
             that exchanges them is not noticed: {}",
            Untrusted::new(why)
        ),
        Notice::Reconfirmed { added, removed } => {
            let added = added.iter().map(|one| format!("\n  + {one}"));
            let lines = added.chain(removed.iter().map(|one| format!("\n  - {one}")));
            format!(
                "somebody has confirmed other recipients of the vault since it was written to from \
                 here:{}",
                lines.collect::<String>()
            )
        }
        Notice::HalfRotated { hosts } => {
            let some = hosts.iter().take(NAMED).map(HostName::as_str).collect::<Vec<_>>().join(" ");
            let more = if hosts.len() > NAMED { " …" } else { "" };
            format!(
                "an interrupted rotation left {} with two keys; the one in use stays; finish with \
                 `wgfleet rotate {some}{more}`",
                count(hosts.len(), "host"),
            )
        }
        Notice::WaitsForRollback { host } => {
            format!("{host}: waiting for it to roll back an unconfirmed change")
        }
        Notice::Resuming { left, done } => format!(
            "resuming an interrupted rotation: {} left, {done} done; to rotate all hosts anew, run \
             the same command once more afterwards",
            count(*left, "host"),
        ),
        Notice::TellPeers { peers } => {
            let peers: Vec<&str> = peers.iter().map(HostName::as_str).collect();
            format!(
                "unmanaged peers must be given the new public keys by hand: {}",
                peers.join(", ")
            )
        }
        Notice::Confirmed { recipients } => format!(
            "this vault did not say who was confirmed as a recipient, as those of version 0.1.0 do \
             not; from now on it does, in its psk folder, and whoever is added needs `wgfleet vault \
             rekey`:\n  {}",
            recipients.join("\n  ")
        ),
        Notice::FingerprintSecret { file } => format!(
            "made the secret that keys fingerprints in plans, {}: commit it with the index; plans \
             that were saved before are stale",
            file.display()
        ),
        Notice::KeyProven { host } => {
            format!("{host}: the new key is proven, the old one is retired")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_a_sentence() {
        let hosts = |names: &[&str]| -> Vec<HostName> {
            names.iter().map(|n| n.parse().unwrap()).collect()
        };
        let many: Vec<String> = (1..=9).map(|number| format!("b{number}")).collect();
        let many = hosts(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let b7 = || "b7".parse().unwrap();
        let all = [
            Notice::Pinned { lock: "fleet.lock".into() },
            Notice::NoCommit { folder: "fleet".into() },
            Notice::LoginsNotKept { why: "read-only\u{1b}[2J".to_owned() },
            Notice::VaultNotRemembered { why: "read-only\u{1b}[2J".to_owned() },
            Notice::Reconfirmed {
                added: vec!["age1x".to_owned()],
                removed: vec!["age1y".to_owned()],
            },
            Notice::HalfRotated { hosts: hosts(&["b7"]) },
            Notice::HalfRotated { hosts: many },
            Notice::WaitsForRollback { host: b7() },
            Notice::Resuming { left: 1, done: 2 },
            Notice::TellPeers { peers: hosts(&["phone", "laptop"]) },
            Notice::Confirmed { recipients: vec!["age1x".to_owned(), "age1y".to_owned()] },
            Notice::FingerprintSecret { file: "vault/fingerprint.age".into() },
            Notice::KeyProven { host: b7() },
        ];
        insta::assert_snapshot!(all.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
}

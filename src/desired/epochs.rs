//! The epochs of preshared keys, as the last lines of a file say them.
//!
//! They do not depend on the template: by them a plan knows whether a file that it cannot read whole has the
//! wanted preshared keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::DesiredInterface;
use crate::model::HostName;

/// What a file says about preshared keys before their epoch.
pub const EPOCH_LINE: &str = "# preshared keys: epoch ";

/// What it says before the name of a peer whose preshared key is of another epoch.
const PEER_LINE: &str = "# preshared key with ";

/// Between the two parts of that line.
const EPOCH: &str = ": epoch ";

/// The epochs of the preshared keys of a file.
#[derive(Debug, Default)]
pub struct PskEpochs<'a> {
    file: Option<u32>,
    peers: BTreeMap<&'a str, u32>,
}

impl<'a> PskEpochs<'a> {
    /// Reads them.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let mut epochs = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some(epoch) = line.strip_prefix(EPOCH_LINE) {
                epochs.file = epochs.file.or(epoch.parse().ok());
            } else if let Some((name, epoch)) =
                line.strip_prefix(PEER_LINE).and_then(|rest| rest.split_once(EPOCH))
                && let Ok(epoch) = epoch.parse()
            {
                epochs.peers.insert(name, epoch);
            }
        }
        epochs
    }

    /// The epoch of the preshared key with a peer, should there be one.
    #[must_use]
    pub fn with(&self, peer: &HostName) -> Option<u32> {
        self.peers.get(peer.as_str()).copied().or(self.file)
    }
}

/// The lines of a file about the preshared keys of its interface.
pub(super) fn epoch_lines(interface: &DesiredInterface) -> String {
    let epochs = || interface.peers.values().filter_map(|peer| Some((&peer.name, peer.psk_epoch?)));
    let Some(newest) = epochs().map(|(_, epoch)| epoch).max() else { return String::new() };
    let mut lines = format!("{EPOCH_LINE}{newest}\n");
    let mut others: Vec<_> = epochs().filter(|(_, epoch)| *epoch != newest).collect();
    others.sort_unstable();
    for (name, epoch) in others {
        let _ = writeln!(lines, "{PEER_LINE}{name}{EPOCH}{epoch}");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_the_epoch_that_its_file_says() {
        let name = |text: &str| text.parse::<HostName>().unwrap();
        let text = "# preshared keys: epoch 3\n# preshared key with b7: epoch 2\n";
        let epochs = PskEpochs::of(text);
        assert_eq!((epochs.with(&name("a")), epochs.with(&name("b7"))), (Some(3), Some(2)));
        assert_eq!(PskEpochs::of("# preshared keys: epoch x\n").with(&name("a")), None);
    }
}

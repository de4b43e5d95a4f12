//! What `check` says about an inventory, without a process.

use std::path::PathBuf;

use wgfleet::finding::{self, Finding};
use wgfleet::inventory::{LockFile, Reader, allocate};
use wgfleet::model::{HostName, NetworkName, PublicKey, SourceMap, beginning};
use wgfleet::report::findings;
use wgfleet::{check, topology};

/// All findings, sorted. A comment `# vault: HOST KEY` stands for a public key that the vault holds, and
/// `# now: DATE` for the day on which the file is read.
pub(crate) fn found(text: &str) -> (Vec<Finding>, SourceMap) {
    let now = text.lines().find_map(|line| line.strip_prefix("# now: "));
    let mut reader = Reader::at(now.map(|day| beginning(day).expect("a day")));
    reader.add(PathBuf::from("fleet.yaml"), text.to_owned());
    let parsed = reader.finish();
    let mut found = parsed.findings;
    if let Some(inventory) = &parsed.inventory {
        let (lock, more) = allocate(inventory, &LockFile::default());
        found.extend(more);
        let addresses =
            |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
        found.extend(check::check(inventory, &topology::build(inventory, &addresses)));
        let keys: Vec<(HostName, PublicKey)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# vault: ")?.split_once(' '))
            .map(|(name, key)| (name.parse().expect("a name"), key.parse().expect("a key")))
            .collect();
        found.extend(check::against_vault(inventory, keys.iter().map(|(name, key)| (name, *key))));
        finding::settle(&mut found);
    }
    (found, parsed.sources)
}

/// The findings as a person reads them, and their summary.
pub(crate) fn shown((found, sources): &(Vec<Finding>, SourceMap)) -> String {
    findings::human(found, sources, false) + &findings::summary(found)
}

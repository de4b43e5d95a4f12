//! Rendering, reading, importing and rendering again changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wgfleet::adopt::{Adoption, KnownHost, There, adopt, joined, read};
use wgfleet::desired::{self, DesiredState, PublicKeys};
use wgfleet::inventory::{LockFile, allocate, parse};
use wgfleet::model::{HostName, InterfaceName, NetworkName, PublicKey};
use wgfleet::topology;
use wgfleet::wgconf::{Document, Line, Setting};

use crate::spec::spec;
use crate::vault::{Vault, leaks, render, secrets};

const VAULT: Vault = Vault { generation: 0, epoch: 1 };

/// The keys that the import has found.
struct Found<'a>(&'a Adoption);

impl PublicKeys for Found<'_> {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        let found = self.0.keys.iter().find(|(known, _)| known == name);
        found.map(|(_, key)| key.public())
    }
    fn psk_epoch(&self) -> Option<u32> {
        Some(VAULT.epoch)
    }
}

fn state(text: &str, keys: &dyn PublicKeys) -> DesiredState {
    let parsed = parse(PathBuf::from("fleet.yaml"), text.to_owned());
    let inventory = parsed.inventory.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings));
    let (lock, _) = allocate(&inventory, &LockFile::default());
    let addresses = |network: &NetworkName, name: &HostName| lock.address(network, name).to_vec();
    let topology = topology::build(&inventory, &addresses);
    desired::build(&inventory, &topology, keys).0
}

/// The files of all hosts.
fn files(state: &DesiredState) -> BTreeMap<(HostName, InterfaceName), String> {
    let of_host = |host: &desired::DesiredHost| {
        let name = host.name.clone();
        render(state, host, &VAULT)
            .files
            .into_iter()
            .map(move |(interface, file)| ((name.clone(), interface), file.content.to_string()))
            .collect::<Vec<_>>()
    };
    state.hosts.iter().flat_map(of_host).collect()
}

/// What wg-quick(8) makes of a file: settings of the interface in order, and those of each peer by its
/// key, lists as sets.
type Meaning = (Vec<(Setting, String)>, BTreeMap<String, BTreeSet<(Setting, String)>>);

fn meaning(text: &str) -> Meaning {
    let document = Document::of(text.as_bytes());
    let mut interface = Vec::new();
    let mut peers = BTreeMap::new();
    for section in &document.sections {
        let settings = section.lines.iter().filter_map(Line::setting);
        match section.last(Setting::PublicKey) {
            None => {
                let settings = settings.map(|(setting, value)| (setting, value.to_owned()));
                interface.extend(settings);
            }
            Some(key) => {
                let items = settings.flat_map(|(setting, value)| {
                    value
                        .split(", ")
                        .map(move |item| (setting, item.to_owned()))
                        .collect::<Vec<_>>()
                });
                peers.insert(key.to_owned(), items.collect());
            }
        }
    }
    (interface, peers)
}

fn import(files: &BTreeMap<(HostName, InterfaceName), String>, comments: bool) -> Adoption {
    let hosts = files.iter().map(|((host, interface), text)| {
        let path = PathBuf::from(format!("in/{host}/{interface}.conf"));
        let lines = text.lines().filter(|line| comments || !line.starts_with('#'));
        let text: Vec<&str> = lines.collect();
        read(&path, Path::new("in"), &text.join("\n")).expect("it is a file of wg-quick").host
    });
    let hosts: Vec<KnownHost> = joined(hosts.collect());
    let fleet = "laws".parse().expect("a name");
    adopt(&fleet, hosts, Vec::new(), &There::default()).expect("it can be imported")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_imported_renders_as_it_was(
        spec in spec(),
        psk in any::<bool>(),
        comments in any::<bool>(),
    ) {
        let mut spec = spec;
        // An override is for a peer, whichever network the link is in: two hosts share one.
        for (index, host) in spec.hosts.iter_mut().enumerate().skip(1) {
            let only = index % spec.networks.len();
            host.networks = [only].into();
        }
        let order: Vec<usize> = (0..spec.hosts.len()).collect();
        let mut text = spec.yaml(&order);
        if psk {
            text = text.replace(", links:", ", psk: pairwise, links:");
        }
        let before = state(&text, &VAULT);
        let was = files(&before);
        let adoption = import(&was, comments);
        let secrets = secrets(&before, &VAULT);
        prop_assert!(!leaks(&adoption.text(), &secrets));
        let printed = format!("{adoption:?}");
        prop_assert!(!leaks(&printed, &secrets));
        let after = state(&adoption.text(), &Found(&adoption));
        let is = files(&after);
        prop_assert_eq!(is.keys().collect::<Vec<_>>(), was.keys().collect::<Vec<_>>(), "{}", adoption.text());
        for (key, text) in &was {
            prop_assert_eq!(meaning(&is[key]), meaning(text), "{:?}\n{}", key, adoption.text());
        }
        for shared in &adoption.preshared_keys {
            let (a, b) = &shared.pair;
            let Ok(key) = desired::Secrets::preshared_key(&VAULT, a, b, 1);
            prop_assert_eq!(key.expose(), shared.key.expose());
        }
    }
}

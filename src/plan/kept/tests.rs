//! What hosts are to have while others cannot change.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::desired::{
    DEFAULT_TEMPLATE, DesiredHost, DesiredPeer, PskEpochs, PublicKeys, Renderer, build,
};
use crate::model::{Fingerprint, PublicKey};
use crate::observed::{ObservedFile, ObservedHost};
use crate::plan::{Names, WithoutSecrets};
use crate::topology::{self, Topology};

struct Keys(Option<u32>);

impl PublicKeys for Keys {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        Some(key(name.as_str()))
    }

    fn psk_epoch(&self) -> Option<u32> {
        self.0
    }
}

fn key(name: &str) -> PublicKey {
    let mut bytes = [9; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    PublicKey::from_bytes(bytes)
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

/// What a file makes of a fleet.
struct Wanted {
    hosts: Vec<DesiredHost>,
    names: BTreeMap<PublicKey, HostName>,
    topology: Topology,
}

/// A mesh of three, where `b` has this address and `extra` is said of the hosts.
fn wanted(address: &str, extra: &str, epoch: Option<u32>) -> Wanted {
    let text = format!(
        "fleet: f\nnetworks: {{ n: {{ interface: wg0, prefixes: [10.1.0.0/24], psk: pairwise }} }}\n\
         hosts:\n  a: {{ address: 10.1.0.1, endpoint: \"192.0.2.1:51820\" }}\n  \
         b: {{ address: {address}, endpoint: \"192.0.2.2:51820\" }}\n{extra}"
    );
    let parsed = crate::inventory::parse("fleet.yaml".into(), text);
    let inventory = parsed.inventory.unwrap();
    let topology = topology::build(&inventory, &|_: &_, _: &_| Vec::new());
    let (state, missing) = build(&inventory, &topology, &Keys(epoch));
    assert!(missing.is_empty());
    Wanted { hosts: state.hosts, names: (*state.names).clone(), topology }
}

const C: &str = "  c: { address: 10.1.0.3, endpoint: \"192.0.2.3:51820\" }\n";

fn rendered(host: &DesiredHost) -> String {
    let renderer = Renderer::new("f".parse().unwrap(), DEFAULT_TEMPLATE.to_owned()).unwrap();
    renderer.render(host, &host.interfaces[0], &WithoutSecrets::new([1; 32])).unwrap().public_text
}

fn observed(text: String) -> ObservedHost {
    let file = ObservedFile {
        mode: 0o600,
        root: true,
        fingerprint: Fingerprint::from_bytes([0; 32]),
        public_text: text,
    };
    let files = [("/etc/wireguard/wg0.conf".parse().unwrap(), file)].into();
    ObservedHost { files, ..ObservedHost::default() }
}

/// What `a` is to have while `b` is down, and what it keeps.
fn held(
    before: String,
    wanted: Wanted,
    change: impl Fn(&mut Standstill<'_>),
) -> (DesiredHost, Vec<KeptLink>) {
    let Wanted { mut hosts, names, topology } = wanted;
    let down = BTreeMap::from([(name("b"), Standing::Unreadable)]);
    let none = std::iter::empty::<&ObservedHost>();
    let mut still = Standstill::new(down, &names, [1, 2].into(), &topology, none);
    change(&mut still);
    let mut own = hosts.swap_remove(0);
    let kept = hold(&mut own, &observed(before), &Names::of(&"f".parse().unwrap()), &still);
    (own, kept)
}

fn peer<'a>(host: &'a DesiredHost, peer: &str) -> &'a DesiredPeer {
    host.interfaces[0].peers.values().find(|one| one.name == name(peer)).unwrap()
}

fn nets(peer: &DesiredPeer) -> Vec<String> {
    peer.allowed_ips.iter().map(ToString::to_string).collect()
}

#[test]
fn a_host_that_is_down_keeps_its_address_and_its_epoch_with_others() {
    let before = rendered(&wanted("10.1.0.2", C, Some(1)).hosts[0]);
    let (own, kept) = held(before, wanted("10.1.0.22", C, Some(2)), |_| ());
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].host.as_str(), kept[0].until.as_str()), ("a", "b"));
    assert_eq!(kept[0].keeps, [Keeps::Addresses, Keeps::PresharedKey].into());
    assert_eq!(
        (nets(peer(&own, "b")), peer(&own, "b").psk_epoch),
        (vec!["10.1.0.2/32".to_owned()], Some(1))
    );
    assert_eq!(
        (nets(peer(&own, "c")), peer(&own, "c").psk_epoch),
        (vec!["10.1.0.3/32".to_owned()], Some(2))
    );
    // The file says which is which, and the next plan keeps the same.
    let text = rendered(&own);
    assert!(
        text.ends_with("# preshared keys: epoch 2\n# preshared key with b: epoch 1\n"),
        "{text}"
    );
    let epochs = PskEpochs::of(&text);
    assert_eq!((epochs.with(&name("b")), epochs.with(&name("c"))), (Some(1), Some(2)));
    let (again, kept_again) = held(text.clone(), wanted("10.1.0.22", C, Some(2)), |_| ());
    assert_eq!((rendered(&again), kept_again), (text, kept));
}

#[test]
fn what_only_this_end_decides_and_what_is_new_goes_on() {
    let alone = rendered(&wanted("10.1.0.2", "", None).hosts[0]);
    let (own, kept) = held(alone, wanted("10.1.0.2", C, None), |_| ());
    assert_eq!((kept, nets(peer(&own, "c"))), (vec![], vec!["10.1.0.3/32".to_owned()]));
    // A host that nobody knew is a peer at once, down or not; one of another program's file as well.
    for text in [String::new(), "[Peer]\nPublicKey = x\n".to_owned()] {
        let (own, kept) = held(text, wanted("10.1.0.22", C, None), |_| ());
        assert_eq!((kept, nets(peer(&own, "b"))), (vec![], vec!["10.1.0.22/32".to_owned()]));
    }
    // Secrets of which the vault has no material any more cannot be kept.
    let before = rendered(&wanted("10.1.0.2", C, Some(1)).hosts[0]);
    let (own, kept) = held(before, wanted("10.1.0.22", C, Some(2)), |still| {
        still.epochs = BTreeSet::from([2]);
    });
    assert_eq!((kept, peer(&own, "b").psk_epoch), (vec![], Some(2)));
}

#[test]
fn an_address_that_another_host_gets_is_that_hosts() {
    let before = rendered(&wanted("10.1.0.2", C, None).hosts[0]);
    let taken = "  c: { address: 10.1.0.2, endpoint: \"192.0.2.3:51820\" }\n";
    let (own, kept) = held(before, wanted("10.1.0.22", taken, None), |_| ());
    assert_eq!(nets(peer(&own, "c")), ["10.1.0.2/32"]);
    assert!(nets(peer(&own, "b")).is_empty());
    assert_eq!(kept[0].keeps, [Keeps::Addresses].into());
}

#[test]
fn a_key_is_kept_where_somebody_has_heard_it_last() {
    let old = key("old");
    let before = rendered(&wanted("10.1.0.2", C, None).hosts[0])
        .replace(&key("b").to_string(), &old.to_string());
    let with = |heard: [(PublicKey, u64); 2]| {
        let mut wanted = wanted("10.1.0.2", C, None);
        wanted.names.insert(old, name("b"));
        let (own, kept) = held(before.clone(), wanted, |still| still.heard = heard.into());
        (
            own.interfaces[0].peers.contains_key(&old),
            own.interfaces[0].peers.contains_key(&key("b")),
            kept.len(),
        )
    };
    assert_eq!(with([(old, 9), (key("b"), 0)]), (true, false, 1));
    assert_eq!(with([(old, 9), (key("b"), 10)]), (false, true, 0));
}

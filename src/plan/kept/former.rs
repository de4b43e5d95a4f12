//! The peers of the file that a host has: what was last applied there.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::desired::{DesiredPeer, PskEpochs};
use crate::model::{HostName, Keepalive, PublicKey, parse_net};
use crate::plan::files::MANAGED;
use crate::wgconf::{Document, Section, Setting};

/// The peers of a file, by name. None where wgfleet did not write it, and none that stands there with what
/// wgfleet does not write: of those nobody knows the secrets.
pub(super) fn former(
    text: &str,
    names: &BTreeMap<PublicKey, HostName>,
) -> BTreeMap<HostName, (PublicKey, DesiredPeer)> {
    if !text.contains(MANAGED) {
        return BTreeMap::new();
    }
    let epochs = PskEpochs::of(text);
    let sections = Document::of(text.as_bytes()).sections;
    sections
        .iter()
        .filter_map(|section| {
            let (key, peer) = peer(section, names, &epochs)?;
            Some((peer.name.clone(), (key, peer)))
        })
        .collect()
}

fn peer(
    section: &Section<'_>,
    names: &BTreeMap<PublicKey, HostName>,
    epochs: &PskEpochs<'_>,
) -> Option<(PublicKey, DesiredPeer)> {
    let key: PublicKey = section.last(Setting::PublicKey)?.parse().ok()?;
    let name = names.get(&key)?.clone();
    let mut allowed_ips: Vec<IpNet> = Vec::new();
    for entry in section.entries().filter(|one| one.setting == Some(Setting::AllowedIps)) {
        for item in entry.items().filter(|item| !item.is_empty()) {
            allowed_ips.push(parse_net(item).ok()?.trunc());
        }
    }
    let endpoint = section.last(Setting::Endpoint).map(str::parse).transpose().ok()?;
    let keepalive = match section.last(Setting::PersistentKeepalive) {
        None | Some("off" | "0") => None,
        Some(text) => Some(Keepalive::new(text.parse().ok()?)?),
    };
    let psk_epoch = match section.last(Setting::PresharedKey) {
        None => None,
        Some(_) => Some(epochs.with(&name)?),
    };
    let allowed_ips: Arc<[IpNet]> = allowed_ips.into();
    Some((key, DesiredPeer { name, endpoint, allowed_ips, keepalive, psk_epoch }))
}

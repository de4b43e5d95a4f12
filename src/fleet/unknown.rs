//! Refuses names that no host has, and finds what was probably meant.

use super::asked::{Asked, Meant, UnknownHost};
use super::error::{Error, Kind};
use crate::inventory::Inventory;
use crate::model::{HostName, closest};

/// Refuses names that are hosts of none of the inventories; where two are compared, peers whose files
/// the vault makes count as well.
pub(super) fn refuse_unknown(
    inventories: &[&Inventory],
    names: &[HostName],
    asked: Asked,
) -> Result<(), Error> {
    let known = |name: &HostName| inventories.iter().any(|one| has(one, name, asked));
    match names.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let mut found = inventories.iter().map(|one| meant(one, name));
            let meant = found.find(|meant| *meant != Meant::Nothing);
            let meant = meant.unwrap_or(Meant::Nothing);
            Err(Error::unknown(Kind::Usage, UnknownHost { name: name.clone(), asked, meant }))
        }
    }
}

fn has(inventory: &Inventory, name: &HostName, asked: Asked) -> bool {
    let issued = |name: &HostName| {
        let mut peers = inventory.peers.iter();
        peers.any(|peer| peer.settings.public_key.is_none() && peer.name.value == *name)
    };
    inventory.hosts.iter().any(|host| host.name.value == *name)
        || (asked == Asked::LimitOfTwo && issued(name))
}

fn meant(inventory: &Inventory, name: &HostName) -> Meant {
    let text = name.as_str();
    let of = |chosen: &dyn Fn(&crate::inventory::Host) -> bool| -> Vec<HostName> {
        let hosts = inventory.hosts.iter().filter(|host| chosen(host));
        hosts.map(|host| host.name.value.clone()).collect()
    };
    if inventory.peers.iter().any(|peer| peer.name.value == *name) {
        return Meant::Peer;
    }
    if let Some(at) = inventory.sites.iter().position(|site| site.name.value.as_str() == text) {
        return Meant::Hosts { of: "site", hosts: of(&|host| host.site == Some(at)) };
    }
    let in_group = of(&|host| host.groups.iter().any(|group| group.as_str() == text));
    if !in_group.is_empty() {
        return Meant::Hosts { of: "group", hosts: in_group };
    }
    if let Some(at) = inventory.networks.iter().position(|one| one.name.value.as_str() == text) {
        let member = |host: &crate::inventory::Host| {
            host.interfaces.iter().any(|interface| interface.network == at)
        };
        return Meant::Hosts { of: "network", hosts: of(&member) };
    }
    let names = inventory.hosts.iter().map(|host| host.name.value.as_str());
    match closest(text, names).and_then(|close| close.parse().ok()) {
        Some(host) => Meant::Host(host),
        None => Meant::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    const FLEET: &str = "fleet: f\nnetworks: {n: {prefixes: [10.0.0.0/16], links: {hub: paris-gw}}}\n\
        groups: {branch: {}}\nsites: {paris: {subnets: [192.168.1.0/24], hosts: {paris-gw: {gateway: \
        true, endpoint: '198.51.100.1:51820'}}}}\nhosts: {b7: {groups: [branch]}}\n\
        peers: {phone: {via: paris-gw}}\n";

    fn refused(name: &str, asked: Asked) -> Option<Meant> {
        let inventory = parse("fleet.yaml".into(), FLEET.to_owned()).inventory.unwrap();
        let names = [name.parse().unwrap()];
        let error = refuse_unknown(&[&inventory], &names, asked).err()?;
        Some(error.unknown_host().unwrap().meant.clone())
    }

    #[test]
    fn a_name_that_no_host_has_is_refused_with_what_was_meant() {
        let host = |name: &str| name.parse::<HostName>().unwrap();
        let hosts = |of, name| Some(Meant::Hosts { of, hosts: vec![host(name)] });
        assert_eq!(refused("b7", Asked::Limit), None);
        assert_eq!(refused("pairs-gw", Asked::Limit), Some(Meant::Host(host("paris-gw"))));
        assert_eq!(refused("paris", Asked::Limit), hosts("site", "paris-gw"));
        assert_eq!(refused("branch", Asked::Limit), hosts("group", "b7"));
        assert_eq!(refused("phone", Asked::Rotate), Some(Meant::Peer));
        assert_eq!(refused("phone", Asked::LimitOfTwo), None);
        assert_eq!(refused("unheard-of", Asked::Replace), Some(Meant::Nothing));
    }
}

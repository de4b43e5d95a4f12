//! Refuses names that no host has, and finds what was probably meant.

use std::path::Path;

use super::asked::{Asked, Meant, UnknownHost};
use super::error::{Error, Kind};
use super::load::load;
use super::{Context, Fleet};
use crate::inventory::Inventory;
use crate::model::{GroupName, HostName, closest};
use crate::plan::LeftOut;

/// Refuses names that are hosts of none of the inventories; where two are compared, peers whose files
/// the vault makes count as well.
pub(super) fn refuse_unknown(
    inventories: &[&Inventory],
    names: &[HostName],
    asked: Asked,
) -> Result<(), Error> {
    let known =
        |name: &HostName| inventories.iter().any(|one| counting(one, asked).any(|one| one == name));
    match names.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let mut found = inventories.iter().map(|one| meant(one, name, asked));
            let meant = found.find(|meant| *meant != Meant::Nothing);
            let meant = meant.unwrap_or(Meant::Nothing);
            Err(Error::unknown(Kind::Usage, UnknownHost { name: name.clone(), asked, meant }))
        }
    }
}

/// Refuses names that have no key in the vault by what the inventory says; none where there is no
/// inventory yet, or where it comes on stdin.
///
/// # Errors
/// [`Kind::Usage`].
pub fn refuse_keyless(context: &Context, names: &[HostName]) -> Result<(), Error> {
    if names.is_empty() || context.file == Path::new("-") {
        return Ok(());
    }
    let inventory = load(context).ok().and_then(|loaded| loaded.inventory);
    inventory.map_or(Ok(()), |inventory| refuse_unknown(&[&inventory], names, Asked::Key))
}

impl Fleet {
    /// Refuses names that have no key in the vault by what the inventory says.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub fn refuse_keyless<'a>(
        &self,
        names: impl IntoIterator<Item = &'a HostName>,
    ) -> Result<(), Error> {
        let names: Vec<HostName> = names.into_iter().cloned().collect();
        refuse_unknown(&[self.inventory()], &names, Asked::Key)
    }
}

/// The names that count as hosts.
pub(super) fn counting(inventory: &Inventory, asked: Asked) -> impl Iterator<Item = &HostName> {
    let counts = move |has_key: bool| match asked {
        Asked::LimitOfTwo | Asked::Key => !has_key,
        Asked::Peer => true,
        Asked::Limit | Asked::Exclude | Asked::Replace | Asked::Rotate => false,
    };
    let peers =
        inventory.peers.iter().filter(move |peer| counts(peer.settings.public_key.is_some()));
    let hosts = inventory.hosts.iter().filter(move |_| asked != Asked::Peer);
    let hosts = hosts.map(|host| &host.name.value);
    hosts.chain(peers.map(|peer| &peer.name.value))
}

/// The names of sites, groups and networks.
fn several(inventory: &Inventory) -> impl Iterator<Item = &str> {
    let sites = inventory.sites.iter().map(|site| site.name.value.as_str());
    let groups = inventory.hosts.iter().flat_map(|host| &host.groups);
    let networks = inventory.networks.iter().map(|network| network.name.value.as_str());
    sites.chain(groups.map(GroupName::as_str)).chain(networks)
}

fn meant(inventory: &Inventory, name: &HostName, asked: Asked) -> Meant {
    let text = name.as_str();
    let of = |chosen: &dyn Fn(&crate::inventory::Host) -> bool| -> Vec<HostName> {
        let hosts = inventory.hosts.iter().filter(|host| chosen(host));
        hosts.map(|host| host.name.value.clone()).collect()
    };
    if let Some(absent) = inventory.absent(name) {
        return Meant::LeftOut(LeftOut::from(&absent.why).to_string());
    }
    if inventory.peers.iter().any(|peer| peer.name.value == *name) {
        return Meant::Peer;
    }
    if inventory.hosts.iter().any(|host| host.name.value == *name) {
        return Meant::Managed;
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
    let names = counting(inventory, asked).map(HostName::as_str);
    let several = several(inventory)
        .filter(|_| matches!(asked, Asked::Limit | Asked::LimitOfTwo | Asked::Exclude));
    match closest(text, names.chain(several)).and_then(|close| close.parse().ok()) {
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
        peers: {phone: {via: paris-gw}, laptop: {via: \
        paris-gw, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=}}\n";

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
        // What --limit takes beside hosts counts as well.
        assert_eq!(refused("brnch", Asked::Limit), Some(Meant::Host(host("branch"))));
        assert_eq!(refused("brnch", Asked::Rotate), Some(Meant::Nothing));
        assert_eq!(refused("phone", Asked::Rotate), Some(Meant::Peer));
        assert_eq!(refused("phone", Asked::LimitOfTwo), None);
        assert_eq!(refused("phone", Asked::Key), None);
        assert_eq!(refused("phome", Asked::Key), Some(Meant::Host(host("phone"))));
        assert_eq!(refused("laptop", Asked::Key), Some(Meant::Peer));
        assert_eq!(refused("laptop", Asked::Peer), None);
        assert_eq!(refused("latpop", Asked::Peer), Some(Meant::Host(host("laptop"))));
        assert_eq!(refused("b7", Asked::Peer), Some(Meant::Managed));
        assert_eq!(refused("unheard-of", Asked::Replace), Some(Meant::Nothing));
    }
}

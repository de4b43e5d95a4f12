//! The sections of all files, decoded but not yet tied together.

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{FleetName, GroupName, HostName, Located, Location, NetworkName, SiteName};

use super::declared::Declared;
use super::expect::DraftRule;
use super::fields::{Field, Fields, Sink};
use super::file::FileKeys;
use super::form::{Entry, Map, Read as _};
use super::host::HostMap;
use super::moved::Moved;
use super::network::NetworkMap;
use super::node::{Kind, Node};
use super::peer::PeerMap;
use super::rollout::RolloutKeys;
use super::settings::{Defaults, GroupMap, Settings};
use super::site::{SiteKeys, Underlay};
use super::spec::KeySpec;

/// Everything that the files say, in order of reading.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) fleet: Option<Declared<FleetName>>,
    pub(super) defaults: Option<Located<Settings>>,
    pub(super) groups: Vec<(Located<GroupName>, Settings)>,
    pub(super) networks: Vec<(Located<NetworkName>, NetworkMap)>,
    pub(super) sites: Vec<DraftSite>,
    pub(super) hosts: Vec<DraftHost>,
    pub(super) peers: Vec<(Located<HostName>, PeerMap)>,
    pub(super) moved: Vec<Moved>,
    pub(super) rules: Vec<DraftRule>,
    pub(super) rollout: Option<Located<RolloutKeys>>,
}

#[derive(Debug)]
pub(super) struct DraftSite {
    pub(super) name: Located<SiteName>,
    pub(super) subnets: Vec<Located<IpNet>>,
    pub(super) underlay: Underlay,
    pub(super) defaults: Settings,
}

#[derive(Debug)]
pub(super) struct DraftHost {
    pub(super) name: Located<HostName>,
    /// Index of the site that it is written under.
    pub(super) under: Option<usize>,
    pub(super) map: HostMap,
}

/// The `include:` patterns of one document; the rest of it is not looked at.
pub(super) fn includes(root: &Node, sink: &mut Sink) -> Vec<Located<String>> {
    let Kind::Map(entries) = &root.kind else { return Vec::new() };
    let name = FileKeys::ROWS.include.name;
    let Some((key, node)) = entries.iter().find(|(key, _)| *key.value == *name) else {
        return Vec::new();
    };
    if matches!(node.kind, Kind::Null) {
        return Vec::new();
    }
    Vec::<super::form::Path>::read(&Field { name, at: key.at, node }, sink)
}

impl Draft {
    /// Adds what one file says.
    pub(super) fn add(&mut self, root: &Node, start: Location, is_root: bool, sink: &mut Sink) {
        let Some(fields) = Fields::open(FileKeys::SECTION, root, start, sink) else { return };
        let file = FileKeys::read(&fields, sink);
        match fields.get(FileKeys::ROWS.fleet) {
            Some(_) if is_root => self.fleet = file.fleet,
            Some(field) => sink.push(
                Finding::new(Code::Conflict, "an included file names a fleet", field.at)
                    .help("only the file that is given to wgfleet has `fleet:`; remove the line"),
            ),
            None if is_root => sink.push(
                Finding::new(Code::MissingKey, "an inventory needs `fleet`", start)
                    .label("`fleet` is missing")
                    .help("begin the file with the name of the fleet, like `fleet: acme`"),
            ),
            None => {}
        }
        let twice =
            |key: &'static KeySpec, first: Option<Location>, help: &str, sink: &mut Sink| {
                if let (Some(again), Some(first)) = (fields.get(key), first) {
                    let title = format!("`{}` is written twice", key.name);
                    sink.push(
                        Finding::new(Code::DuplicateName, title, again.at)
                            .label("again")
                            .also(first, "first here")
                            .help(help),
                    );
                }
            };
        let first = self.defaults.as_ref().map(|first| first.at);
        let help = "a fleet has one `defaults:`; use `groups:` for parts of it";
        twice(FileKeys::ROWS.defaults, first, help, sink);
        let first = self.rollout.as_ref().map(|first| first.at);
        twice(FileKeys::ROWS.rollout, first, "a fleet has one `rollout:`; remove one", sink);
        if self.rollout.is_none() {
            self.rollout = file.rollout;
        }
        if let (Some(defaults), None) = (file.defaults, &self.defaults) {
            self.defaults = Some(defaults.map(|Defaults(settings)| settings));
        }
        let groups = file.groups.into_iter().filter_map(Entry::whole);
        self.groups.extend(groups.map(|(name, GroupMap(settings))| (name, settings)));
        self.networks.extend(file.networks.into_iter().filter_map(Entry::whole));
        for site in file.sites {
            self.site(site, sink);
        }
        self.hosts(file.hosts, None, sink);
        self.peers.extend(file.peers.into_iter().filter_map(Entry::whole));
        self.moved.extend(file.moved);
        self.rules.extend(file.expect);
    }

    fn site(&mut self, site: Entry<SiteName, SiteKeys>, sink: &mut Sink) {
        let Some(keys) = site.map else { return };
        // A site whose name was refused still has hosts that others may name.
        let under = site.name.is_some().then_some(self.sites.len());
        self.hosts(keys.hosts, under, sink);
        let Some(name) = site.name else { return };
        self.sites.push(DraftSite {
            name,
            subnets: keys.subnets,
            underlay: keys.underlay.map(|underlay| underlay.value).unwrap_or_default(),
            defaults: keys.defaults.map(|defaults| defaults.value.0).unwrap_or_default(),
        });
    }

    fn hosts(
        &mut self,
        hosts: Vec<Entry<HostName, HostMap>>,
        under: Option<usize>,
        sink: &mut Sink,
    ) {
        for Entry { name, map } in hosts {
            let Some(map) = map else { continue };
            if let (Some(site), Some(_)) = (&map.keys.site, under) {
                sink.push(
                    Finding::new(Code::Conflict, "a host under a site names a site", site.at)
                        .help("remove `site:`, or move the host to the top-level `hosts:`"),
                );
            }
            self.hosts.extend(name.map(|name| DraftHost { name, under, map }));
        }
    }
}

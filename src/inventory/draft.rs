//! The sections of all files, decoded but not yet tied together.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{
    Endpoint, FleetName, GroupName, HostName, InterfaceName, Keepalive, Located, Location, Mtu,
    NetworkName, PublicKey, SiteName, SshTarget,
};

use super::declared::{Declared, Level};
use super::fields::{Field, Fields, Sink, named, wrong_type};
use super::keys::{
    DEFAULTS, FLEET, FLOW, GROUP, HOST, NETWORK, OVERRIDE, PEER, RULE, SITE, UNDERLAY,
};
use super::links::{self, Word};
use super::node::{Kind, Node};
use super::settings::{InterfaceSettings, Settings};
use super::{PeerOverride, PskMode, Underlay, value};

/// Everything that the files say, in order of reading.
#[derive(Debug, Default)]
pub(super) struct Draft<'n> {
    pub(super) fleet: Option<Located<FleetName>>,
    pub(super) defaults: Option<Located<Settings>>,
    pub(super) groups: Vec<DraftGroup>,
    pub(super) networks: Vec<DraftNetwork<'n>>,
    pub(super) sites: Vec<DraftSite>,
    pub(super) hosts: Vec<DraftHost>,
    pub(super) peers: Vec<DraftPeer>,
    pub(super) rules: Vec<DraftRule<'n>>,
}

#[derive(Debug)]
pub(super) struct DraftGroup {
    pub(super) name: Located<GroupName>,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) struct DraftNetwork<'n> {
    pub(super) name: Located<NetworkName>,
    pub(super) interface: Option<Located<InterfaceName>>,
    pub(super) prefixes: Vec<Located<IpNet>>,
    /// `None`: not written, which means a mesh.
    pub(super) links: Option<Vec<links::Draft<'n>>>,
    pub(super) psk: Option<Declared<PskMode>>,
    pub(super) tuning: InterfaceSettings,
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
    /// The site that it names.
    pub(super) site: Option<Located<SiteName>>,
    pub(super) groups: Vec<Located<GroupName>>,
    pub(super) ssh: Option<Located<SshTarget>>,
    pub(super) subnets: Vec<Located<IpNet>>,
    pub(super) peers: Vec<PeerOverride>,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) struct DraftPeer {
    pub(super) name: Located<HostName>,
    pub(super) network: Option<Located<NetworkName>>,
    pub(super) via: Vec<Located<HostName>>,
    pub(super) full_tunnel: bool,
    pub(super) public_key: Option<Located<PublicKey>>,
    pub(super) addresses: Vec<Declared<IpAddr>>,
    pub(super) endpoint: Option<Declared<Endpoint>>,
    pub(super) subnets: Vec<Located<IpNet>>,
    pub(super) keepalive: Option<Declared<Option<Keepalive>>>,
    pub(super) dns: Vec<Located<String>>,
    pub(super) mtu: Option<Declared<Mtu>>,
}

#[derive(Debug)]
pub(super) struct DraftRule<'n> {
    pub(super) allow: bool,
    pub(super) from: Word<'n>,
    pub(super) to: Word<'n>,
    pub(super) at: Location,
}

/// The `include:` patterns of one document; the rest of it is not looked at.
pub(super) fn includes(root: &Node, sink: &mut Sink) -> Vec<Located<String>> {
    let Kind::Map(entries) = &root.kind else { return Vec::new() };
    let Some((key, node)) = entries.iter().find(|(key, _)| *key.value == *"include") else {
        return Vec::new();
    };
    let field = Field { name: "include", at: key.at, node };
    if matches!(node.kind, Kind::Null) {
        return Vec::new();
    }
    value::many(&field, sink)
        .iter()
        .filter_map(|item| value::text(item, sink))
        .map(|text| text.map(str::to_owned))
        .collect()
}

impl<'n> Draft<'n> {
    /// Adds what one file says.
    pub(super) fn add(&mut self, root: &'n Node, start: Location, is_root: bool, sink: &mut Sink) {
        let Some(file) = Fields::open(&FLEET, root, start, sink) else { return };
        match file.get("fleet") {
            Some(field) if is_root => self.fleet = value::parse(&field, sink),
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
        if let Some(field) = file.get("defaults") {
            self.defaults(&field, sink);
        }
        for entry in file.get("groups").map(|f| named(f, "groups", sink)).unwrap_or_default() {
            let fields = Fields::open(&GROUP, entry.node, entry.at, sink);
            if let (Some(fields), Some(name)) = (fields, value::name(&entry, sink)) {
                let settings = Settings::read(&GROUP, &fields, sink);
                self.groups.push(DraftGroup { name, settings });
            }
        }
        for entry in file.get("networks").map(|f| named(f, "networks", sink)).unwrap_or_default() {
            self.networks.extend(network(&entry, sink));
        }
        for entry in file.get("sites").map(|f| named(f, "sites", sink)).unwrap_or_default() {
            self.site(&entry, sink);
        }
        for entry in file.get("hosts").map(|f| named(f, "hosts", sink)).unwrap_or_default() {
            self.hosts.extend(host(&entry, None, sink));
        }
        for entry in file.get("peers").map(|f| named(f, "peers", sink)).unwrap_or_default() {
            self.peers.extend(peer(&entry, sink));
        }
        if let Some(field) = file.get("expect") {
            for item in links::items(&field, "`allow:` and `deny:` rules", sink) {
                self.rule(&item, sink);
            }
        }
    }

    fn defaults(&mut self, field: &Field<'n>, sink: &mut Sink) {
        if let Some(first) = &self.defaults {
            sink.push(
                Finding::new(Code::DuplicateName, "`defaults` is written twice", field.at)
                    .label("again")
                    .also(first.at, "first here")
                    .help("a fleet has one `defaults:`; use `groups:` for parts of it"),
            );
        }
        if let Some(fields) = Fields::open(&DEFAULTS, field.node, field.at, sink) {
            let settings = Settings::read(&DEFAULTS, &fields, sink);
            self.defaults.get_or_insert(Located::new(settings, field.at));
        }
    }

    fn site(&mut self, entry: &Field<'n>, sink: &mut Sink) {
        let Some(fields) = Fields::open(&SITE, entry.node, entry.at, sink) else { return };
        let name = value::name(entry, sink);
        let underlay = fields
            .get("underlay")
            .and_then(|f| Fields::open(&UNDERLAY, f.node, f.at, sink))
            .map(|f| Underlay {
                mtu: f.get("mtu").and_then(|f| value::mtu(&f, sink)),
                name: f
                    .get("name")
                    .and_then(|f| value::parse::<SiteName>(&f, sink))
                    .map(|name| name.map(String::from)),
            })
            .unwrap_or_default();
        let defaults = fields
            .get("defaults")
            .and_then(|f| Fields::open(&DEFAULTS, f.node, f.at, sink))
            .map(|f| Settings::read(&DEFAULTS, &f, sink))
            .unwrap_or_default();
        let subnets = fields.get("subnets").map(|f| value::prefixes(&f, sink)).unwrap_or_default();
        // A site whose name was refused still has hosts that others may name.
        let under = name.is_some().then_some(self.sites.len());
        for host_entry in fields.get("hosts").map(|f| named(f, "hosts", sink)).unwrap_or_default() {
            self.hosts.extend(host(&host_entry, under, sink));
        }
        if let Some(name) = name {
            self.sites.push(DraftSite { name, subnets, underlay, defaults });
        }
    }

    fn rule(&mut self, item: &Field<'n>, sink: &mut Sink) {
        let Kind::Map(entries) = &item.node.kind else {
            wrong_type(item, "a rule is `allow: {from: …, to: …}` or `deny: …`", sink);
            return;
        };
        let at = entries.first().map_or(item.at, |(key, _)| key.at);
        let Some(fields) = Fields::open(&RULE, item.node, at, sink) else { return };
        for (key, allow) in [("allow", true), ("deny", false)] {
            let Some(field) = fields.get(key) else { continue };
            let Some(flow) = Fields::open(&FLOW, field.node, field.at, sink) else { continue };
            let end = |key: &str, sink: &mut Sink| {
                flow.get(key).and_then(|field| value::text(&field, sink))
            };
            if let (Some(from), Some(to)) = (end("from", sink), end("to", sink)) {
                self.rules.push(DraftRule { allow, from, to, at: field.at });
            }
        }
    }
}

fn network<'n>(entry: &Field<'n>, sink: &mut Sink) -> Option<DraftNetwork<'n>> {
    let fields = Fields::open(&NETWORK, entry.node, entry.at, sink)?;
    let name = value::name(entry, sink);
    let psk = fields.get("psk").and_then(|field| psk(&field, sink));
    let mut tuning = InterfaceSettings::default();
    tuning.tuning(&fields, sink);
    let network = DraftNetwork {
        interface: fields.get("interface").and_then(|f| value::parse(&f, sink)),
        prefixes: fields
            .get("prefixes")
            .map(|f| value::network_prefixes(&f, sink))
            .unwrap_or_default(),
        links: fields.get("links").map(|field| links::read(&field, sink)),
        psk,
        tuning,
        name: name?,
    };
    Some(network)
}

fn psk(field: &Field<'_>, sink: &mut Sink) -> Option<Declared<PskMode>> {
    let text = value::text(field, sink)?;
    match text.value {
        "pairwise" => {
            Some(Declared { value: PskMode::Pairwise, at: text.at, level: Level::Network })
        }
        "none" => Some(Declared { value: PskMode::None, at: text.at, level: Level::Network }),
        _ => {
            // It may be a key that somebody pasted.
            if text.value.len() > 16 {
                sink.secrets.push(text.at);
            }
            sink.push(
                Finding::new(Code::BadValue, "`psk` is pairwise or none", text.at).help(
                    "preshared keys themselves are derived from the vault, never written here",
                ),
            );
            None
        }
    }
}

fn host(entry: &Field<'_>, under: Option<usize>, sink: &mut Sink) -> Option<DraftHost> {
    let name = value::name(entry, sink);
    let fields = Fields::open(&HOST, entry.node, entry.at, sink)?;
    let site: Option<Located<SiteName>> = fields.get("site").and_then(|f| value::parse(&f, sink));
    if let (Some(site), Some(_)) = (&site, under) {
        sink.push(
            Finding::new(Code::Conflict, "a host under a site names a site", site.at)
                .help("remove `site:`, or move the host to the top-level `hosts:`"),
        );
    }
    let overrides = fields.get("peers").map(|f| named(f, "overrides", sink)).unwrap_or_default();
    let peers = overrides.iter().filter_map(|entry| peer_override(entry, sink)).collect();
    let host = DraftHost {
        under,
        site,
        groups: fields.get("groups").map(|f| value::parse_many(&f, sink)).unwrap_or_default(),
        ssh: fields.get("ssh").and_then(|f| value::parse(&f, sink)),
        subnets: fields.get("subnets").map(|f| value::prefixes(&f, sink)).unwrap_or_default(),
        peers,
        settings: Settings::read(&HOST, &fields, sink),
        name: name?,
    };
    Some(host)
}

fn peer_override(entry: &Field<'_>, sink: &mut Sink) -> Option<PeerOverride> {
    let fields = Fields::open(&OVERRIDE, entry.node, entry.at, sink)?;
    Some(PeerOverride {
        allowed_ips: fields.get("allowed_ips").map(|f| value::prefixes(&f, sink)),
        endpoint: fields.get("endpoint").and_then(|f| value::parse(&f, sink)),
        keepalive: fields.get("keepalive").and_then(|f| value::keepalive(&f, sink)),
        peer: value::name(entry, sink)?,
    })
}

fn peer(entry: &Field<'_>, sink: &mut Sink) -> Option<DraftPeer> {
    let name = value::name(entry, sink);
    let fields = Fields::open(&PEER, entry.node, entry.at, sink)?;
    if let Some(via) = fields.get("via")
        && matches!(&via.node.kind, Kind::Seq(hosts) if hosts.is_empty())
    {
        sink.push(
            Finding::new(Code::MissingKey, "an unmanaged peer is linked to nobody", via.at)
                .help("name at least one host: `via: NAME`"),
        );
    }
    let addresses = fields.get("address").map(|f| value::addresses(&f, sink)).unwrap_or_default();
    let addresses = addresses.into_iter().map(Declared::from).collect();
    let addresses = value::one_of_each_family(addresses, sink);
    let peer = DraftPeer {
        network: fields.get("network").and_then(|f| value::parse(&f, sink)),
        via: fields.get("via").map(|f| value::parse_many(&f, sink)).unwrap_or_default(),
        full_tunnel: fields
            .get("full_tunnel")
            .and_then(|f| value::boolean(&f, sink))
            .unwrap_or_default(),
        public_key: fields.get("public_key").and_then(|f| value::parse(&f, sink)),
        addresses,
        endpoint: fields.get("endpoint").and_then(|f| value::declared(&f, sink)),
        subnets: fields.get("subnets").map(|f| value::prefixes(&f, sink)).unwrap_or_default(),
        keepalive: fields
            .get("keepalive")
            .and_then(|f| value::keepalive(&f, sink))
            .map(Declared::from),
        dns: fields.get("dns").map(|f| value::dns(&f, sink)).unwrap_or_default(),
        mtu: fields.get("mtu").and_then(|f| value::mtu(&f, sink)).map(Declared::from),
        name: name?,
    };
    Some(peer)
}

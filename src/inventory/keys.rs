//! The file format as one table: the decoder accepts these keys and the JSON Schema lists them.

/// One map of the format and the keys that it may have.
#[derive(Debug)]
pub struct Section {
    /// What it is, with its article: `a host`.
    pub what: &'static str,
    /// Its name in the JSON Schema.
    pub id: &'static str,
    /// Its keys, in groups that several sections share.
    pub keys: &'static [&'static [KeySpec]],
}

/// One key of a section.
#[derive(Debug)]
pub struct KeySpec {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// One sentence for editors and the documentation.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// A name of a fleet, site, host, network, group or peer.
    Name,
    /// An interface name.
    InterfaceName,
    /// An IPv4 or IPv6 address.
    Address,
    /// An IPv4 or IPv6 prefix.
    Prefix,
    /// `host:port`.
    Endpoint,
    /// What ssh(1) connects to.
    Ssh,
    /// A public key in base64.
    PublicKey,
    /// One command line.
    Hook,
    /// A DNS server or a search domain.
    Dns,
    /// The path of a file or a glob pattern.
    Path,
    /// What an `expect` rule is about.
    Selector,
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Int(u32, u32),
    /// A whole number in a range, or one of some words.
    IntOr(u32, u32, &'static [&'static str]),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// The first shape, or `false`.
    OrFalse(&'static Self),
    /// A list.
    List(&'static Self),
    /// One, or a list.
    OneOrMany(&'static Self),
    /// A map of fixed keys.
    Section(&'static Section),
    /// A map from names to sections.
    Named(&'static Section),
    /// A list of names, or a map from names to sections.
    NamesOr(&'static Section),
    /// The links of a network.
    Links,
    /// A list of `allow:` and `deny:` rules.
    Expect,
}

impl Section {
    /// All keys, in order of the table.
    pub fn all(&self) -> impl Iterator<Item = &'static KeySpec> + use<> {
        self.keys.iter().flat_map(|group| group.iter())
    }

    /// The key of a name.
    pub(super) fn find(&self, name: &str) -> Option<&'static KeySpec> {
        self.all().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> KeySpec {
    KeySpec { name, shape, doc, required: false }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> KeySpec {
    KeySpec { name, shape, doc, required: true }
}

/// Words that `keepalive` takes beside seconds.
pub(super) const OFF: &[&str] = &["off"];
/// Words that `table` takes beside a number.
const TABLES: &[&str] = &["auto", "off", "main"];

/// The whole file.
pub static FLEET: Section = Section { what: "an inventory", id: "fleet", keys: &[FLEET_KEYS] };
const FLEET_KEYS: &[KeySpec] = &[
    key(
        "fleet",
        Shape::Name,
        "Name of the fleet; the file that is given to wgfleet has it, included ones do not.",
    ),
    key(
        "include",
        Shape::OneOrMany(&Shape::Path),
        "Further files, relative to this one; `*` and `?` match within a name.",
    ),
    key(
        "defaults",
        Shape::Section(&DEFAULTS),
        "Settings of every host that does not say otherwise.",
    ),
    key(
        "groups",
        Shape::Named(&GROUP),
        "Named settings that hosts inherit, and names to select hosts by.",
    ),
    key("networks", Shape::Named(&NETWORK), "The overlay networks."),
    key("sites", Shape::Named(&SITE), "Places with LAN subnets, an underlay and hosts."),
    key("hosts", Shape::Named(&HOST), "Hosts that are not written under a site."),
    key(
        "peers",
        Shape::Named(&PEER),
        "Unmanaged peers: phones, partners' routers. Nobody logs in there.",
    ),
    key("expect", Shape::Expect, "What must and must not flow; `wgfleet check` proves it."),
];

/// One overlay.
pub static NETWORK: Section =
    Section { what: "a network", id: "network", keys: &[NETWORK_KEYS, TUNING] };
const NETWORK_KEYS: &[KeySpec] = &[
    key(
        "interface",
        Shape::InterfaceName,
        "Interface name on every member; default `wg0` where there is one network, else the network's name.",
    ),
    required(
        "prefixes",
        Shape::OneOrMany(&Shape::Prefix),
        "Where tunnel addresses come from: at most one IPv4 and one IPv6 prefix.",
    ),
    key("links", Shape::Links, "Who is linked with whom; default `mesh`."),
    key(
        "psk",
        Shape::Choice(&["pairwise", "none"]),
        "Whether each pair has a preshared key, derived from the vault; default `none`.",
    ),
];

/// A place.
pub static SITE: Section = Section { what: "a site", id: "site", keys: &[SITE_KEYS] };
const SITE_KEYS: &[KeySpec] = &[
    key(
        "subnets",
        Shape::OneOrMany(&Shape::Prefix),
        "LAN prefixes; the site's gateways route them.",
    ),
    key("underlay", Shape::Section(&UNDERLAY), "What lies below the tunnels."),
    key(
        "defaults",
        Shape::Section(&DEFAULTS),
        "Settings of every host of the site that does not say otherwise.",
    ),
    key("hosts", Shape::Named(&HOST), "The site's hosts."),
];

/// The way out of a site.
pub static UNDERLAY: Section =
    Section { what: "an underlay", id: "underlay", keys: &[UNDERLAY_KEYS] };
const UNDERLAY_KEYS: &[KeySpec] = &[
    key(
        "mtu",
        Shape::Int(576, 65535),
        "MTU of the way out in bytes, where it is not 1500 (PPPoE: 1492).",
    ),
    key(
        "name",
        Shape::Name,
        "Name of a private underlay that sites share, such as an MPLS or a VPC.",
    ),
];

/// Settings that all hosts inherit.
pub static DEFAULTS: Section =
    Section { what: "defaults", id: "defaults", keys: &[ROLE, MEMBERSHIP, TUNING, LIFE] };

/// Settings that hosts inherit by name.
pub static GROUP: Section =
    Section { what: "a group", id: "group", keys: &[ROLE, MEMBERSHIP, TUNING, LIFE] };

/// One managed machine.
pub static HOST: Section =
    Section { what: "a host", id: "host", keys: &[HOST_KEYS, ROLE, MEMBERSHIP, OWN, TUNING, LIFE] };
const HOST_KEYS: &[KeySpec] = &[
    key("site", Shape::Name, "The site of a host that is written under the top-level `hosts:`."),
    key(
        "groups",
        Shape::OneOrMany(&Shape::Name),
        "Groups that it inherits from; a later one wins.",
    ),
    key("ssh", Shape::Ssh, "How ssh(1) reaches it; default: its name. ~/.ssh/config is honoured."),
    key(
        "subnets",
        Shape::OneOrMany(&Shape::Prefix),
        "Prefixes behind this host beside its site's.",
    ),
    key(
        "peers",
        Shape::Named(&OVERRIDE),
        "Overrides for single peers; what is not here is derived.",
    ),
];
const ROLE: &[KeySpec] = &[
    key(
        "become",
        Shape::Choice(&["auto", "none", "sudo", "doas"]),
        "How the login user becomes root; default `auto`.",
    ),
    key(
        "nat",
        Shape::Bool,
        "Its packets leave through a source NAT, so that nobody can begin a session with it unless it has an endpoint.",
    ),
    key("gateway", Shape::Bool, "It routes its site's subnets."),
    key("transit", Shape::Bool, "It forwards between its peers even where it is no hub."),
    key("exit", Shape::Bool, "It sends full-tunnel traffic on to the Internet."),
    key("masquerade", Shape::Bool, "Traffic that leaves the tunnel through it gets its address."),
    key(
        "backend",
        Shape::Choice(&["auto", "kernel", "embedded", "wireguard-go"]),
        "What runs its tunnels; default `auto`.",
    ),
];
const MEMBERSHIP: &[KeySpec] = &[key(
    "networks",
    Shape::NamesOr(&MEMBER),
    "The networks that it is a member of; may be left out where the file has one network.",
)];

/// What a host says about one of its interfaces.
pub static MEMBER: Section =
    Section { what: "a membership", id: "membership", keys: &[OWN, TUNING, LIFE] };
const OWN: &[KeySpec] = &[
    key(
        "address",
        Shape::OneOrMany(&Shape::Address),
        "Tunnel address, at most one of each family; what is left out is allocated once and pinned in fleet.lock.",
    ),
    key("interface", Shape::InterfaceName, "Interface name where it differs from the network's."),
    key("endpoint", Shape::Endpoint, "Where other sites reach it: host:port."),
    key("local_endpoint", Shape::Endpoint, "Where hosts of its own site reach it: host:port."),
];
const TUNING: &[KeySpec] = &[
    key("listen_port", Shape::Int(1, 65535), "UDP port; default: that of the endpoint."),
    key(
        "mtu",
        Shape::Int(576, 65535),
        "MTU of the tunnel interface in bytes; default: derived from the underlay.",
    ),
    key(
        "table",
        Shape::IntOr(1, u32::MAX, TABLES),
        "Routing table of its routes, as wg-quick's Table; default `auto`.",
    ),
    key("fwmark", Shape::IntOr(1, u32::MAX, OFF), "Mark of its encrypted packets; decimal or 0x…."),
    key("dns", Shape::OneOrMany(&Shape::Dns), "DNS servers and search domains."),
    key(
        "keepalive",
        Shape::IntOr(1, 65535, OFF),
        "PersistentKeepalive in seconds, or `off`; default: 25 where NAT needs it.",
    ),
];
const LIFE: &[KeySpec] = &[
    key("full_tunnel", Shape::OrFalse(&Shape::Name), "The host that everything is sent through."),
    key(
        "pre_up",
        Shape::OneOrMany(&Shape::Hook),
        "Commands before the interface comes up; inherited ones run first. `%i` is the interface.",
    ),
    key("post_up", Shape::OneOrMany(&Shape::Hook), "Commands after the interface came up."),
    key("pre_down", Shape::OneOrMany(&Shape::Hook), "Commands before the interface goes down."),
    key("post_down", Shape::OneOrMany(&Shape::Hook), "Commands after the interface went down."),
];

/// What a host says about one of its peers.
pub static OVERRIDE: Section =
    Section { what: "a peer override", id: "override", keys: &[OVERRIDE_KEYS] };
const OVERRIDE_KEYS: &[KeySpec] = &[
    key(
        "allowed_ips",
        Shape::OneOrMany(&Shape::Prefix),
        "Replaces the derived AllowedIPs whole; the checker treats it as a suspect.",
    ),
    key("endpoint", Shape::Endpoint, "Replaces the derived endpoint."),
    key("keepalive", Shape::IntOr(1, 65535, OFF), "Replaces the derived keepalive."),
];

/// An unmanaged peer.
pub static PEER: Section = Section { what: "an unmanaged peer", id: "peer", keys: &[PEER_KEYS] };
const PEER_KEYS: &[KeySpec] = &[
    key("network", Shape::Name, "Its network; may be left out where the file has one."),
    required("via", Shape::OneOrMany(&Shape::Name), "The hosts that it is linked to."),
    key("full_tunnel", Shape::Bool, "It sends everything through its first `via`."),
    key(
        "public_key",
        Shape::PublicKey,
        "Its public key; where it is missing, the vault makes a pair and issues its configuration.",
    ),
    key(
        "address",
        Shape::OneOrMany(&Shape::Address),
        "Tunnel address, at most one of each family; otherwise allocated.",
    ),
    key("endpoint", Shape::Endpoint, "Where it can be reached: host:port."),
    key("subnets", Shape::OneOrMany(&Shape::Prefix), "Prefixes behind it."),
    key(
        "keepalive",
        Shape::IntOr(1, 65535, OFF),
        "Its keepalive, for the configuration that is issued.",
    ),
    key(
        "dns",
        Shape::OneOrMany(&Shape::Dns),
        "DNS servers and search domains for the configuration that is issued.",
    ),
    key("mtu", Shape::Int(576, 65535), "MTU for the configuration that is issued."),
];

/// `links: { hub: …, spokes: … }`, or `{ mesh: … }`.
pub static LINK: Section = Section { what: "a link shape", id: "link", keys: &[LINK_KEYS] };
const LINK_KEYS: &[KeySpec] = &[
    key(
        "hub",
        Shape::OneOrMany(&Shape::Name),
        "Every other member is linked to these hosts, sites or groups.",
    ),
    key(
        "spokes",
        Shape::OneOrMany(&Shape::Name),
        "The members that are linked to the hubs; default: all others.",
    ),
    key("mesh_hubs", Shape::Bool, "Whether the hubs are linked to one another; default true."),
    key(
        "mesh",
        Shape::OneOrMany(&Shape::Name),
        "Every pair of these hosts, sites or groups is linked.",
    ),
];

/// One rule of `expect`.
pub static RULE: Section = Section { what: "an expect rule", id: "rule", keys: &[RULE_KEYS] };
const RULE_KEYS: &[KeySpec] = &[
    key("allow", Shape::Section(&FLOW), "A flow that must exist."),
    key("deny", Shape::Section(&FLOW), "A flow that must not exist."),
];

/// A flow of an `expect` rule.
pub static FLOW: Section = Section { what: "a flow", id: "flow", keys: &[FLOW_KEYS] };
const FLOW_KEYS: &[KeySpec] = &[
    required("from", Shape::Selector, "Host, site, group, peer, network, prefix or `internet`."),
    required("to", Shape::Selector, "Host, site, group, peer, network, prefix or `internet`."),
];

/// Every section.
pub static SECTIONS: &[&Section] = &[
    &FLEET, &NETWORK, &SITE, &UNDERLAY, &DEFAULTS, &GROUP, &HOST, &MEMBER, &OVERRIDE, &PEER, &LINK,
    &RULE, &FLOW,
];

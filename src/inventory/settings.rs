//! Settings that hosts inherit: `defaults`, then groups in the order that a host lists them, then
//! the site's `defaults`, then the host; between `defaults` and groups come the network's own.
//!
//! A later value replaces an earlier one, lists too. Only hooks add up: inherited ones run first.

use std::net::IpAddr;

use crate::model::{
    Backend, Become, Endpoint, FwMark, Hook, HostName, InterfaceName, Keepalive, Located, Mtu,
    NetworkName, Port, RouteTable,
};

use super::Hooks;
use super::fields::{Field, Fields, Sink, named, wrong_type};
use super::keys::{MEMBER, Section};
use super::node::Kind;
use super::value;

/// What one level says about the host as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) r#become: Option<Become>,
    pub(super) nat: Option<bool>,
    pub(super) gateway: Option<Located<bool>>,
    pub(super) transit: Option<bool>,
    pub(super) exit: Option<bool>,
    pub(super) masquerade: Option<bool>,
    pub(super) backend: Option<Backend>,
    pub(super) networks: Option<Vec<Member>>,
    pub(super) interface: InterfaceSettings,
}

/// A network that a level names, and what it says about that interface.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Located<NetworkName>,
    pub(super) settings: InterfaceSettings,
}

/// What one level says about tunnel interfaces.
#[derive(Debug, Clone, Default)]
pub(super) struct InterfaceSettings {
    pub(super) address: Option<Vec<Located<IpAddr>>>,
    pub(super) interface: Option<Located<InterfaceName>>,
    pub(super) endpoint: Option<Located<Endpoint>>,
    pub(super) local_endpoint: Option<Located<Endpoint>>,
    pub(super) listen_port: Option<Located<Port>>,
    pub(super) mtu: Option<Located<Mtu>>,
    pub(super) table: Option<RouteTable>,
    pub(super) fwmark: Option<Located<Option<FwMark>>>,
    pub(super) dns: Option<Vec<Located<String>>>,
    pub(super) keepalive: Option<Located<Option<Keepalive>>>,
    /// `Some` with `None`: declared `false`.
    pub(super) full_tunnel: Option<Located<Option<HostName>>>,
    pub(super) hooks: Hooks,
}

/// Takes what is missing from a lower level.
fn fill<T: Clone>(higher: &mut Option<T>, lower: Option<&T>) {
    if higher.is_none() {
        *higher = lower.cloned();
    }
}

impl Settings {
    /// Reads the keys of a level whose section has them.
    pub(super) fn read(section: &'static Section, fields: &Fields<'_>, sink: &mut Sink) -> Self {
        let flag = |name: &str, sink: &mut Sink| {
            fields.get(name).and_then(|field| value::boolean(&field, sink))
        };
        let nat = flag("nat", sink);
        let gateway = flag("gateway", sink)
            .and_then(|on| fields.get("gateway").map(|field| Located::new(on, field.at)));
        Self {
            r#become: fields.get("become").and_then(|f| value::parse(&f, sink)).map(|v| v.value),
            nat,
            gateway,
            transit: flag("transit", sink),
            exit: flag("exit", sink),
            masquerade: flag("masquerade", sink),
            backend: fields.get("backend").and_then(|f| value::parse(&f, sink)).map(|v| v.value),
            networks: fields.get("networks").map(|field| members(field, sink)),
            interface: InterfaceSettings::read(section, fields, sink),
        }
    }

    /// Takes what this level does not say from a lower one, but for interfaces.
    pub(super) fn inherit(&mut self, lower: &Self) {
        fill(&mut self.r#become, lower.r#become.as_ref());
        fill(&mut self.nat, lower.nat.as_ref());
        fill(&mut self.gateway, lower.gateway.as_ref());
        fill(&mut self.transit, lower.transit.as_ref());
        fill(&mut self.exit, lower.exit.as_ref());
        fill(&mut self.masquerade, lower.masquerade.as_ref());
        fill(&mut self.backend, lower.backend.as_ref());
        match (&mut self.networks, &lower.networks) {
            (Some(higher), Some(lower)) => {
                for member in higher {
                    if let Some(same) = lower.iter().find(|l| l.name.value == member.name.value) {
                        member.settings.inherit(&same.settings);
                    }
                }
            }
            (higher @ None, Some(lower)) => *higher = Some(lower.clone()),
            (_, None) => {}
        }
    }
}

impl InterfaceSettings {
    fn read(section: &'static Section, fields: &Fields<'_>, sink: &mut Sink) -> Self {
        let mut settings = Self::default();
        if section.find("address").is_some() {
            settings.address = fields.get("address").map(|f| value::addresses(&f, sink));
            settings.interface = fields.get("interface").and_then(|f| value::parse(&f, sink));
            settings.endpoint = fields.get("endpoint").and_then(|f| value::parse(&f, sink));
            settings.local_endpoint =
                fields.get("local_endpoint").and_then(|f| value::parse(&f, sink));
        }
        settings.tuning(fields, sink);
        if section.find("full_tunnel").is_some() {
            settings.full_tunnel = fields.get("full_tunnel").and_then(|f| full_tunnel(&f, sink));
            settings.hooks = Hooks {
                pre_up: hooks(fields, "pre_up", sink),
                post_up: hooks(fields, "post_up", sink),
                pre_down: hooks(fields, "pre_down", sink),
                post_down: hooks(fields, "post_down", sink),
            };
        }
        settings
    }

    /// The keys that networks have too.
    pub(super) fn tuning(&mut self, fields: &Fields<'_>, sink: &mut Sink) {
        self.listen_port = fields.get("listen_port").and_then(|f| value::port(&f, sink));
        self.mtu = fields.get("mtu").and_then(|f| value::mtu(&f, sink));
        self.table = fields.get("table").and_then(|f| value::table(&f, sink));
        self.fwmark = fields.get("fwmark").and_then(|f| value::fwmark(&f, sink));
        self.dns = fields.get("dns").map(|f| value::dns(&f, sink));
        self.keepalive = fields.get("keepalive").and_then(|f| value::keepalive(&f, sink));
    }

    /// Takes what this level does not say from a lower one; hooks add up, the lower ones first.
    pub(super) fn inherit(&mut self, lower: &Self) {
        fill(&mut self.address, lower.address.as_ref());
        fill(&mut self.interface, lower.interface.as_ref());
        fill(&mut self.endpoint, lower.endpoint.as_ref());
        fill(&mut self.local_endpoint, lower.local_endpoint.as_ref());
        fill(&mut self.listen_port, lower.listen_port.as_ref());
        fill(&mut self.mtu, lower.mtu.as_ref());
        fill(&mut self.table, lower.table.as_ref());
        fill(&mut self.fwmark, lower.fwmark.as_ref());
        fill(&mut self.dns, lower.dns.as_ref());
        fill(&mut self.keepalive, lower.keepalive.as_ref());
        fill(&mut self.full_tunnel, lower.full_tunnel.as_ref());
        prepend(&mut self.hooks.pre_up, &lower.hooks.pre_up);
        prepend(&mut self.hooks.post_up, &lower.hooks.post_up);
        prepend(&mut self.hooks.pre_down, &lower.hooks.pre_down);
        prepend(&mut self.hooks.post_down, &lower.hooks.post_down);
    }
}

fn prepend(higher: &mut Vec<Located<Hook>>, lower: &[Located<Hook>]) {
    if !lower.is_empty() {
        higher.splice(0..0, lower.iter().cloned());
    }
}

fn hooks(fields: &Fields<'_>, name: &str, sink: &mut Sink) -> Vec<Located<Hook>> {
    fields.get(name).map(|field| value::parse_many(&field, sink)).unwrap_or_default()
}

/// The name of a host, or `false`.
fn full_tunnel(field: &Field<'_>, sink: &mut Sink) -> Option<Located<Option<HostName>>> {
    let text = value::text(field, sink)?;
    match text.value {
        "false" | "off" => Some(Located::new(None, text.at)),
        "true" => {
            value::bad_value(
                "`full_tunnel` of a host names the host that everything is sent through; write \
                 `full_tunnel: NAME`",
                text.at,
                sink,
            );
            None
        }
        _ => value::parse(field, sink).map(|name| name.map(Some)),
    }
}

/// A list of names, or a map from names to settings.
fn members(field: Field<'_>, sink: &mut Sink) -> Vec<Member> {
    match &field.node.kind {
        Kind::Map(_) => named(field, "memberships", sink)
            .into_iter()
            .filter_map(|entry| {
                let fields = Fields::open(&MEMBER, entry.node, entry.at, sink);
                let name = value::name(&entry, sink)?;
                let settings = fields
                    .map(|fields| InterfaceSettings::read(&MEMBER, &fields, sink))
                    .unwrap_or_default();
                Some(Member { name, settings })
            })
            .collect(),
        Kind::Seq(_) | Kind::Scalar { .. } => value::parse_many(&field, sink)
            .into_iter()
            .map(|name| Member { name, settings: InterfaceSettings::default() })
            .collect(),
        Kind::Null => {
            wrong_type(&field, "`networks` is a list of names", sink);
            Vec::new()
        }
    }
}

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
use super::declared::{Declared, Inherit as _, Level, fill};
use super::fields::{Field, Fields, Sink, named, wrong_type};
use super::keys::{MEMBER, Section};
use super::node::Kind;
use super::value;

/// What one level says about the host as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) r#become: Option<Declared<Become>>,
    pub(super) nat: Option<Declared<bool>>,
    pub(super) gateway: Option<Declared<bool>>,
    pub(super) transit: Option<Declared<bool>>,
    pub(super) exit: Option<Declared<bool>>,
    pub(super) masquerade: Option<Declared<bool>>,
    pub(super) backend: Option<Declared<Backend>>,
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
    pub(super) address: Option<Vec<Declared<IpAddr>>>,
    pub(super) interface: Option<Declared<InterfaceName>>,
    pub(super) endpoint: Option<Declared<Endpoint>>,
    pub(super) local_endpoint: Option<Declared<Endpoint>>,
    pub(super) listen_port: Option<Declared<Port>>,
    pub(super) mtu: Option<Declared<Mtu>>,
    pub(super) table: Option<Declared<RouteTable>>,
    pub(super) fwmark: Option<Declared<Option<FwMark>>>,
    pub(super) dns: Option<Declared<Vec<Located<String>>>>,
    pub(super) keepalive: Option<Declared<Option<Keepalive>>>,
    /// `Some` with `None`: declared `false`.
    pub(super) full_tunnel: Option<Declared<Option<HostName>>>,
    pub(super) hooks: Hooks,
}

impl Settings {
    /// Reads the keys of a level whose section has them.
    pub(super) fn read(section: &'static Section, fields: &Fields<'_>, sink: &mut Sink) -> Self {
        let flag = |name: &str, sink: &mut Sink| {
            let field = fields.get(name)?;
            value::boolean(&field, sink).map(|on| Declared::own(on, field.at))
        };
        Self {
            r#become: fields.get("become").and_then(|f| value::declared(&f, sink)),
            nat: flag("nat", sink),
            gateway: flag("gateway", sink),
            transit: flag("transit", sink),
            exit: flag("exit", sink),
            masquerade: flag("masquerade", sink),
            backend: fields.get("backend").and_then(|f| value::declared(&f, sink)),
            networks: fields.get("networks").map(|field| members(field, sink)),
            interface: InterfaceSettings::read(section, fields, sink),
        }
    }

    /// Takes what this level does not say from a lower one, but for interfaces.
    pub(super) fn inherit(&mut self, lower: &Self, level: Level) {
        fill(&mut self.r#become, lower.r#become.as_ref(), level);
        fill(&mut self.nat, lower.nat.as_ref(), level);
        fill(&mut self.gateway, lower.gateway.as_ref(), level);
        fill(&mut self.transit, lower.transit.as_ref(), level);
        fill(&mut self.exit, lower.exit.as_ref(), level);
        fill(&mut self.masquerade, lower.masquerade.as_ref(), level);
        fill(&mut self.backend, lower.backend.as_ref(), level);
        match (&mut self.networks, &lower.networks) {
            (Some(higher), Some(lower)) => {
                for member in higher {
                    if let Some(same) = lower.iter().find(|l| l.name.value == member.name.value) {
                        member.settings.inherit(&same.settings, level);
                    }
                }
            }
            (higher @ None, Some(lower)) => {
                *higher = Some(lower.iter().map(|member| member.inherited(level)).collect());
            }
            (_, None) => {}
        }
    }
}

impl Member {
    /// The same, for a host that has it from a level above its own.
    fn inherited(&self, level: Level) -> Self {
        let mut settings = InterfaceSettings::default();
        settings.inherit(&self.settings, level);
        Self { name: self.name.clone(), settings }
    }
}

impl InterfaceSettings {
    fn read(section: &'static Section, fields: &Fields<'_>, sink: &mut Sink) -> Self {
        let mut settings = Self::default();
        if section.find("address").is_some() {
            let addresses = fields.get("address").map(|f| value::addresses(&f, sink));
            settings.address = addresses.map(|all| all.into_iter().map(Declared::from).collect());
            settings.interface = fields.get("interface").and_then(|f| value::declared(&f, sink));
            settings.endpoint = fields.get("endpoint").and_then(|f| value::declared(&f, sink));
            settings.local_endpoint =
                fields.get("local_endpoint").and_then(|f| value::declared(&f, sink));
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
        self.listen_port =
            fields.get("listen_port").and_then(|f| value::port(&f, sink)).map(Declared::from);
        self.mtu = fields.get("mtu").and_then(|f| value::mtu(&f, sink)).map(Declared::from);
        self.table = fields.get("table").and_then(|f| value::table(&f, sink)).map(Declared::from);
        self.fwmark =
            fields.get("fwmark").and_then(|f| value::fwmark(&f, sink)).map(Declared::from);
        self.dns = fields.get("dns").map(|f| Declared::own(value::dns(&f, sink), f.place()));
        self.keepalive =
            fields.get("keepalive").and_then(|f| value::keepalive(&f, sink)).map(Declared::from);
    }

    /// Takes what this level does not say from a lower one; hooks add up, the lower ones first.
    /// [`Level::Own`] leaves to what is taken the level that it has.
    pub(super) fn inherit(&mut self, lower: &Self, level: Level) {
        fill(&mut self.address, lower.address.as_ref(), level);
        fill(&mut self.interface, lower.interface.as_ref(), level);
        fill(&mut self.endpoint, lower.endpoint.as_ref(), level);
        fill(&mut self.local_endpoint, lower.local_endpoint.as_ref(), level);
        fill(&mut self.listen_port, lower.listen_port.as_ref(), level);
        fill(&mut self.mtu, lower.mtu.as_ref(), level);
        fill(&mut self.table, lower.table.as_ref(), level);
        fill(&mut self.fwmark, lower.fwmark.as_ref(), level);
        fill(&mut self.dns, lower.dns.as_ref(), level);
        fill(&mut self.keepalive, lower.keepalive.as_ref(), level);
        fill(&mut self.full_tunnel, lower.full_tunnel.as_ref(), level);
        prepend(&mut self.hooks.pre_up, &lower.hooks.pre_up, level);
        prepend(&mut self.hooks.post_up, &lower.hooks.post_up, level);
        prepend(&mut self.hooks.pre_down, &lower.hooks.pre_down, level);
        prepend(&mut self.hooks.post_down, &lower.hooks.post_down, level);
    }
}

fn prepend(higher: &mut Vec<Declared<Hook>>, lower: &[Declared<Hook>], level: Level) {
    if !lower.is_empty() {
        higher.splice(0..0, lower.iter().map(|hook| hook.inherited(level)));
    }
}

fn hooks(fields: &Fields<'_>, name: &str, sink: &mut Sink) -> Vec<Declared<Hook>> {
    let hooks = fields.get(name).map(|field| value::parse_many(&field, sink)).unwrap_or_default();
    hooks.into_iter().map(Declared::from).collect()
}

/// The name of a host, or `false`.
fn full_tunnel(field: &Field<'_>, sink: &mut Sink) -> Option<Declared<Option<HostName>>> {
    let text = value::text(field, sink)?;
    match text.value {
        "false" | "off" => Some(Declared::own(None, text.at)),
        "true" => {
            value::bad_value(
                "`full_tunnel` of a host names the host that everything is sent through; write \
                 `full_tunnel: NAME`",
                text.at,
                sink,
            );
            None
        }
        _ => value::declared(field, sink).map(|name| name.map(Some)),
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

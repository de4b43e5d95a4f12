//! A network, and whether its pairs have preshared keys.

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{InterfaceName, Located};

use super::declared::{Declared, Setting};
use super::fields::{Field, Fields, Sink};
use super::form::{Map, Read, form};
use super::links;
use super::rows::{Rows, rows};
use super::settings::InterfaceSettings;
use super::spec::{Form, Section, Shape};
use super::value;

rows! {
    /// What a network says but for the settings of its members' interfaces.
    pub(super) struct NetworkKeys, NetworkRows {
        KEYS: {
            interface: InterfaceName, Own, "Interface name on every member; default `wg0` where there is one network, else the network's name.";
            prefixes: NetworkPrefixes, Required, "Where tunnel addresses come from: at most one IPv4 and one IPv6 prefix.";
            links: Vec<links::Draft>, Own, "Who is linked with whom; default `mesh`.";
            psk: PskMode, Own, "Whether each pair has a preshared key, derived from the vault; default `none`.";
        }
    }
}

/// One overlay.
#[derive(Debug, Clone)]
pub(super) struct NetworkMap {
    pub(super) keys: NetworkKeys,
    pub(super) interface: InterfaceSettings,
}

impl Map for NetworkMap {
    const SECTION: &'static Section = &Section {
        what: "a network",
        id: "network",
        many: "networks",
        keys: &[NetworkKeys::KEYS, InterfaceSettings::TUNING],
    };

    fn read(fields: &Fields<'_>, sink: &mut Sink) -> Self {
        Self { keys: NetworkKeys::of(fields, sink), interface: InterfaceSettings::of(fields, sink) }
    }
}

/// At most one prefix of each family, and at least one.
#[derive(Debug)]
pub(super) enum NetworkPrefixes {}
form!(
    NetworkPrefixes => Vec<Located<IpNet>>,
    Shape::OneOrMany(&Shape::Prefix),
    value::network_prefixes
);

/// Whether pairs of peers have preshared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PskMode {
    /// None.
    #[default]
    None,
    /// One for each pair, derived from the vault.
    Pairwise,
}

form!(PskMode => Setting<Self>, Shape::Choice(&["pairwise", "none"]), |field, sink| {
    psk(field, sink).into()
});

fn psk(field: &Field<'_>, sink: &mut Sink) -> Option<Declared<PskMode>> {
    let text = value::text(field, sink)?;
    match text.value {
        "pairwise" => Some(Declared::own(PskMode::Pairwise, text.at)),
        "none" => Some(Declared::own(PskMode::None, text.at)),
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

//! What each host is to have, with secrets only as references.

mod build;
mod epochs;
mod export;
mod render;
mod template;

pub use build::{PublicKeys, build, issue};
pub use epochs::{EPOCH_LINE, PskEpochs};
pub use export::{
    ExportError, ExportedFile, ExportedHost, ExportedInterface, ExportedNetwork, ExportedPeer,
    Exporter, KeyOf, Membership, Scope, TARGETS, Target, WholeFleet, target,
};
pub use render::{
    DEFAULT_TEMPLATE, RenderError, Renderer, Secrets, file_digest, key_mark, secret_digest,
};
pub use template::TemplateError;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use crate::inventory::InterfaceSettings;
use crate::model::{
    Backend, Become, Endpoint, Fingerprint, FleetName, FwMark, HostName, InterfaceName, Keepalive,
    Mtu, NetworkName, Port, PublicKey, RouteTable, SecretText, SshTarget,
};
use crate::topology::Forwarding;

/// The whole fleet as it is to be.
#[derive(Debug, Clone)]
pub struct DesiredState {
    /// Name of the fleet.
    pub fleet: FleetName,
    /// Managed hosts, in order of the file.
    pub hosts: Vec<DesiredHost>,
    /// Configs that are issued to unmanaged peers without a key of their own.
    pub issued: Vec<DesiredHost>,
    /// Every name by its public key, for people.
    pub names: Arc<BTreeMap<PublicKey, HostName>>,
}

/// One machine as it is to be.
#[derive(Debug, Clone)]
pub struct DesiredHost {
    /// Its name.
    pub name: HostName,
    /// How ssh(1) reaches it.
    pub ssh: SshTarget,
    /// How the login user becomes root.
    pub r#become: Become,
    /// What is to run its tunnels.
    pub backend: Backend,
    /// Families that it forwards.
    pub forwarding: Forwarding,
    /// What it masquerades.
    pub masquerade: Vec<Masquerade>,
    /// Its interfaces.
    pub interfaces: Vec<DesiredInterface>,
}

/// One rule: traffic of `source` that leaves the tunnels gets the host's own address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Masquerade {
    /// Inner sources.
    #[cfg_attr(test, schemars(with = "crate::model::schema::Prefix"))]
    pub source: IpNet,
    /// Destinations that keep the source: LANs that have a return path.
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub except: Vec<IpNet>,
}

/// One tunnel interface as it is to be.
#[derive(Debug, Clone)]
pub struct DesiredInterface {
    /// Its name.
    pub name: InterfaceName,
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Public half of its key.
    pub public_key: PublicKey,
    /// Addresses with prefix lengths.
    pub addresses: Vec<IpNet>,
    /// UDP port; `None`: any.
    pub listen_port: Option<Port>,
    /// MTU in bytes.
    pub mtu: Mtu,
    /// Where its routes go.
    pub table: RouteTable,
    /// Mark of its encrypted packets.
    pub fwmark: Option<FwMark>,
    /// DNS servers and search domains.
    pub dns: Vec<String>,
    /// Commands around its life.
    pub hooks: HookLines,
    /// Its peers by key.
    pub peers: BTreeMap<PublicKey, DesiredPeer>,
}

/// Hooks as plain lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HookLines {
    /// Before it comes up.
    pub pre_up: Vec<String>,
    /// After it came up.
    pub post_up: Vec<String>,
    /// Before it goes down.
    pub pre_down: Vec<String>,
    /// After it went down.
    pub post_down: Vec<String>,
}

impl From<&InterfaceSettings> for HookLines {
    fn from(settings: &InterfaceSettings) -> Self {
        let lines = |hooks: &[crate::inventory::Declared<crate::model::Hook>]| {
            hooks.iter().map(|hook| hook.value.as_str().to_owned()).collect()
        };
        Self {
            pre_up: lines(&settings.pre_up),
            post_up: lines(&settings.post_up),
            pre_down: lines(&settings.pre_down),
            post_down: lines(&settings.post_down),
        }
    }
}

/// One peer as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredPeer {
    /// Its name.
    pub name: HostName,
    /// Where this side finds it.
    pub endpoint: Option<Endpoint>,
    /// What is sent to it and accepted from it.
    pub allowed_ips: Arc<[IpNet]>,
    /// Keepalive of this side.
    pub keepalive: Option<Keepalive>,
    /// Epoch of the preshared key; `None`: the pair has none.
    pub psk_epoch: Option<u32>,
}

impl DesiredInterface {
    /// Whether everything goes through this interface, which takes policy routing.
    #[must_use]
    pub fn full_tunnel(&self) -> bool {
        self.table == RouteTable::Auto
            && self.peers.values().any(|p| p.allowed_ips.iter().any(|net| net.prefix_len() == 0))
    }

    /// The routes that wg-quick(8) would add beside the connected ones, as (table, prefix).
    #[must_use]
    pub fn routes(&self) -> BTreeSet<(u32, IpNet)> {
        let table = match self.table {
            RouteTable::Off => return BTreeSet::new(),
            RouteTable::Auto => 254,
            RouteTable::Number(number) => number,
        };
        let connected = |net: &IpNet| {
            table == 254
                && self.addresses.iter().any(|addr| crate::model::covers(&addr.trunc(), net))
        };
        let policy = |net: &IpNet| self.table == RouteTable::Auto && net.prefix_len() == 0;
        self.peers
            .values()
            .flat_map(|peer| peer.allowed_ips.iter())
            .filter(|net| !connected(net) && !policy(net))
            .map(|net| (table, *net))
            .collect()
    }
}

/// A rendered file, and its fingerprint.
#[derive(Debug)]
pub struct RenderedFile {
    /// The content with secrets replaced by [`crate::observed::HIDDEN`].
    pub public_text: String,
    /// The content as the host is to have it.
    pub content: SecretText,
    /// Keyed digest of the content.
    pub fingerprint: Fingerprint,
}

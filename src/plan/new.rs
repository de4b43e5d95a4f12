//! An interface that is made, and a peer that is added, with everything that is set of them.

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::peer::PeerRef;
use crate::desired::{DesiredInterface, DesiredPeer};
use crate::model::{
    Endpoint, FwMark, HostName, InterfaceName, Keepalive, Mtu, Port, PublicKey, RouteTable,
};
use crate::observed::LiveBackend;

/// An interface that is made and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewInterface {
    /// Its name.
    pub interface: InterfaceName,
    /// What carries its packets.
    pub backend: LiveBackend,
    /// Public half of its key.
    pub public_key: PublicKey,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Its UDP port; `None`: any.
    pub listen_port: Option<Port>,
    /// Its MTU in bytes.
    pub mtu: Mtu,
    /// Where its routes go, in the words of the file format.
    #[serde(with = "words")]
    pub table: RouteTable,
    /// The mark of its encrypted packets.
    pub fwmark: Option<FwMark>,
    /// DNS servers and search domains.
    pub dns: Vec<String>,
    /// Its peers, by key. In the JSON of a whole plan, numbers of the table of peers.
    #[serde(with = "each")]
    pub peers: Vec<Arc<NewPeer>>,
}

impl NewInterface {
    pub(super) fn of(desired: &DesiredInterface, backend: LiveBackend) -> Self {
        Self {
            interface: desired.name.clone(),
            backend,
            public_key: desired.public_key,
            addresses: desired.addresses.clone(),
            listen_port: desired.listen_port,
            mtu: desired.mtu,
            table: desired.table,
            fwmark: desired.fwmark,
            dns: desired.dns.clone(),
            peers: desired.peers.iter().map(|(key, peer)| NewPeer::of(*key, peer).into()).collect(),
        }
    }
}

/// A peer that is added, with all that is set of it; what is not set is not in the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPeer {
    /// Its name in the inventory.
    pub name: HostName,
    /// Its public key.
    pub key: PublicKey,
    /// What is sent to it and accepted from it.
    #[serde(with = "shared")]
    #[cfg_attr(test, schemars(with = "Vec<crate::model::schema::Prefix>"))]
    pub allowed_ips: Arc<[IpNet]>,
    /// Where it is found; `None`: where it is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Keepalive of this side in seconds; `None`: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// Epoch of the pair's preshared key; `None`: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk_epoch: Option<u32>,
}

impl NewPeer {
    /// Who it is.
    #[must_use]
    pub fn reference(&self) -> PeerRef {
        PeerRef { name: Some(self.name.clone()), key: self.key }
    }

    pub(super) fn of(key: PublicKey, peer: &DesiredPeer) -> Self {
        Self {
            name: peer.name.clone(),
            key,
            allowed_ips: Arc::clone(&peer.allowed_ips),
            endpoint: peer.endpoint.clone(),
            keepalive: peer.keepalive,
            psk_epoch: peer.psk_epoch,
        }
    }
}

/// Peers that several interfaces share.
mod each {
    use super::{Arc, Deserialize as _, Deserializer, NewPeer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        peers: &[Arc<NewPeer>],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(peers.iter().map(|peer| &**peer))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Vec<Arc<NewPeer>>, D::Error> {
        let peers: Vec<NewPeer> = Vec::deserialize(from)?;
        Ok(peers.into_iter().map(Arc::new).collect())
    }
}

/// A list of prefixes that several values share.
mod shared {
    use super::{Arc, Deserialize as _, Deserializer, IpNet, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(nets: &Arc<[IpNet]>, to: S) -> Result<S::Ok, S::Error> {
        nets.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Arc<[IpNet]>, D::Error> {
        Vec::deserialize(from).map(Into::into)
    }
}

/// A routing table in the words of the file format, or its number.
pub(super) mod words {
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, RouteTable, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::plan) fn serialize<S: Serializer>(
        table: &RouteTable,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match table {
            RouteTable::Number(number) => to.serialize_u32(*number),
            word => to.collect_str(word),
        }
    }

    pub(in crate::plan) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<RouteTable, D::Error> {
        let table = Table::deserialize(from)?;
        let text = match table {
            Table::Number(number) => number.to_string(),
            Table::Word(word) => word,
        };
        text.parse().map_err(D::Error::custom)
    }

    /// Its form in JSON.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Table {
        Number(u32),
        Word(String),
    }
}

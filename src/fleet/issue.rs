//! The configuration of one unmanaged peer.

use super::asked::Asked;
use super::read::{Fleet, without_keys};
use super::unknown::refuse_unknown;
use super::{Error, Kind};
use crate::desired::{self, DesiredHost, PublicKeys};
use crate::inventory::{Setting, UnmanagedPeer};
use crate::model::HostName;
use crate::topology;

/// What a peer sends into its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routes {
    /// What the inventory says.
    AsWritten,
    /// What is in the fleet, also where the inventory says everything.
    FleetOnly,
}

impl Fleet {
    /// The unmanaged peer of a name.
    ///
    /// # Errors
    /// Where the inventory has none, with what was probably meant.
    pub fn peer(&self, name: &HostName) -> Result<&UnmanagedPeer, Error> {
        refuse_unknown(&[self.inventory()], std::slice::from_ref(name), Asked::Peer)?;
        let mut peers = self.inventory().peers.iter();
        let found = peers.find(|peer| peer.name.value == *name);
        found.ok_or_else(|| Error::message(Kind::Usage, format!("no peer is named `{name}`")))
    }

    /// What an unmanaged peer is to have, also where it brought a key of its own.
    ///
    /// # Errors
    /// Where there is no such peer, or somebody's key is not known.
    pub fn issue(
        &self,
        name: &HostName,
        keys: &dyn PublicKeys,
        routes: Routes,
    ) -> Result<DesiredHost, Error> {
        self.peer(name)?;
        let issued = match routes {
            Routes::AsWritten => desired::issue(self.inventory(), &self.topology, keys, name),
            Routes::FleetOnly => {
                let mut inventory = self.inventory().clone();
                for peer in inventory.peers.iter_mut().filter(|peer| peer.name.value == *name) {
                    peer.settings.full_tunnel = Setting::default();
                }
                let lock = &self.loaded.lock;
                let addresses = |network: &_, name: &_| lock.address(network, name).to_vec();
                let topology = topology::build(&inventory, &addresses);
                desired::issue(&inventory, &topology, keys, name)
            }
        };
        match issued {
            Some(issued) => issued.map_err(|missing| without_keys(&missing)),
            None => Err(Error::message(Kind::Usage, format!("no peer is named `{name}`"))),
        }
    }
}

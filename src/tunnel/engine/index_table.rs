//! Our indices of sessions and handshakes: what a message names its session by.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::clock::random;
use super::peer::Peer;
use crate::tunnel::noise::Session;

/// Whose an index is.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) peer: Arc<Peer>,
    /// None while its handshake is in flight.
    pub(super) session: Option<Arc<Session>>,
}

/// Every index that is in use. The lock is the innermost of all.
#[derive(Default)]
pub(super) struct IndexTable(RwLock<HashMap<u32, Entry>>);

impl IndexTable {
    /// A new index for a handshake. It is random, so that nobody can guess one.
    pub(super) fn reserve(&self, peer: &Arc<Peer>) -> u32 {
        let mut table = self.0.write();
        loop {
            let mut bytes = [0; 4];
            random(&mut bytes);
            let index = u32::from_le_bytes(bytes);
            if let std::collections::hash_map::Entry::Vacant(free) = table.entry(index) {
                free.insert(Entry { peer: Arc::clone(peer), session: None });
                return index;
            }
        }
    }

    /// The handshake of a session's index is complete.
    pub(super) fn install(&self, session: &Arc<Session>) {
        if let Some(entry) = self.0.write().get_mut(&session.index()) {
            entry.session = Some(Arc::clone(session));
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<Entry> {
        self.0.read().get(&index).cloned()
    }

    pub(super) fn release(&self, indices: &[u32]) {
        if indices.is_empty() {
            return;
        }
        let mut table = self.0.write();
        for index in indices {
            table.remove(index);
        }
        // A burst of sessions is not remembered in memory for ever.
        if table.capacity() > 64 && table.len() < table.capacity() / 8 {
            table.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.read().len()
    }
}

//! A packet's hops, as the page's script reads them.

use serde_json::{Value, json};

use crate::finding::Hop;

/// What each hop does with a packet.
pub(super) fn trace(hops: &[Hop]) -> Vec<Value> {
    let one = |hop: &Hop| {
        json!({
            "host": hop.host,
            "interface": hop.interface,
            "matched": hop.matched,
            "action": hop.text,
        })
    };
    hops.iter().map(one).collect()
}

//! Fleets that run already, taken into an inventory: what is rendered from that is what was there.

mod layouts;
mod round_trip;

#[path = "../laws/vault.rs"]
mod vault;

#[path = "../topology/spec.rs"]
#[expect(dead_code, reason = "this program uses a part of the specification")]
mod spec;

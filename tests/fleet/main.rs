//! The main job, on fleets of the lab: what hosts have after `wgfleet apply`, and what running
//! traffic felt of it. Needs root.

#[path = "../twin/mod.rs"]
mod twin;

mod absent;
mod drift;
mod examples;
mod first;
mod gateway;
mod in_place;
mod leaving;
mod lock;
mod mixed;
mod reach;
mod record;
mod stream;
mod upgrade;
mod yard;

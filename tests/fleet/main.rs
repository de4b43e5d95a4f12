//! The main job, on fleets of the lab: what hosts have after `wgfleet apply`, and what running
//! traffic felt of it. Needs root.

#[path = "../support/mod.rs"]
mod support;

mod absent;
mod checkouts;
mod costs;
mod drift;
mod examples;
mod first;
mod gateway;
mod guide;
mod identity;
mod in_place;
mod kept;
mod leaving;
mod lock;
mod locked;
mod mixed;
mod neighbours;
mod probed;
mod reach;
mod record;
mod saved;
mod stream;
mod together;
mod upgrade;
mod yard;

use support::documents;

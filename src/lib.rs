//! Declarative `WireGuard` fleets: one YAML file, proved before a packet moves, applied over SSH
//! without dropping a session.
//!
//! The modules are layers; a lower one never imports an upper one (see `docs/architecture.md`,
//! held by `tests/layers.rs`). Everything up to [`plan`] is pure: no I/O, clock, environment or
//! randomness.

pub mod model;

pub mod finding;

pub mod inventory;
pub mod observed;

pub mod topology;

pub mod check;
pub mod desired;

pub mod plan;

pub mod event;

pub mod remote;
pub mod sys;
pub mod vault;

pub mod apply;
pub mod lab;
pub mod tunnel;

pub mod report;

pub mod cli;

//! Declarative `WireGuard` fleets: one YAML file, proved before a packet moves, applied over SSH
//! without dropping a session.
//!
//! The modules are layers; a lower one never imports an upper one (see `docs/architecture.md`,
//! held by `tests/layers`). Everything up to [`plan`] is pure: no I/O, clock, environment or
//! randomness.

// What reaches the world is listed in clippy.toml; each layer that may is excepted below.
#![warn(clippy::disallowed_methods)]

pub mod model;

pub mod finding;
pub mod wgconf;

pub mod inventory;
pub mod observed;

pub mod topology;

pub mod adopt;
pub mod check;
pub mod desired;

pub mod plan;

pub mod event;

#[expect(clippy::disallowed_methods, reason = "what is done is on disk first")]
pub mod journal;
pub mod remote;
#[expect(clippy::disallowed_methods, reason = "files and clocks are its trade")]
pub mod sys;
#[expect(clippy::disallowed_methods, reason = "keys live in files")]
pub mod vault;

pub mod apply;
#[expect(clippy::disallowed_methods, reason = "namespaces are made of files and processes")]
pub mod lab;
#[expect(clippy::disallowed_methods, reason = "devices and sockets are its trade")]
pub mod tunnel;

#[expect(clippy::disallowed_methods, reason = "it reads the fleet's files and asks git")]
pub mod fleet;

#[expect(clippy::disallowed_methods, reason = "progress is drawn on stderr")]
pub mod report;

#[expect(clippy::disallowed_methods, reason = "the shell around the library")]
pub mod cli;

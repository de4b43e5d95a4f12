//! What people and machines read: findings, plans and events as text and JSON.
//!
//! It returns text; the command line prints it.

pub mod findings;
pub mod plan;
pub mod progress;
pub mod reach;
pub mod status;
pub mod why;

//! What people and machines read: findings, plans and events as text and JSON.
//!
//! It returns text; the command line prints it.

pub mod compare;
pub mod document;
pub mod explain;
pub mod failures;
pub mod findings;
pub mod history;
pub mod html;
pub mod import;
pub mod json;
pub mod junit;

mod markup;
mod notice;
pub mod peer;
pub mod plan;
pub mod progress;
pub mod qr;
pub mod reach;
mod records;
pub mod sarif;
pub mod settings;
pub mod status;
pub mod why;

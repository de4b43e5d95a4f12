//! Changes of three hosts at which every call fails once, in every way, and at which two calls fail:
//! each host ends with what it had or with what was wanted, what is said of it is true, nothing waits
//! for ever, and a second run finishes.
//!
//! The hosts are played (tests/scripted), and time passes as soon as nothing else is to be done.

mod apply;
mod group;
mod interrupted;
mod journal;
mod lock;
mod paced;
mod removed;
mod resume;
mod rotation;
#[path = "../scripted/mod.rs"]
mod scripted;
mod yard;

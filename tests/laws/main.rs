//! Laws of what is pure: plans, payloads, rendered files and observations, for any fleet.

mod drift;
mod explained;
mod felt;
mod fleet;
mod kept;
mod labels;
mod machine;
mod names;
mod operations;
mod payload;
mod plan;
mod template;
mod vault;
mod world;

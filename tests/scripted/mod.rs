//! Hosts that are played: they answer as `src/remote/host.sh` does, and fail where they are told to.

pub(crate) mod connect;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod state;
mod told;

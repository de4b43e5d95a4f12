//! What wgfleet and the host's script agree on.

/// Number of the protocol between wgfleet and the host's script: operations, observations and
/// answers. Both say it, and refuse another one.
pub const PROTOCOL: u32 = 3;

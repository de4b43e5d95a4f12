//! Which machines a login believes to be who they say.

/// Which ssh host keys are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believe {
    /// Those that the user's `ssh_config` says, with `accept-new` also a machine's first one.
    Configured,
    /// Only those that are known, whatever `ssh_config` says: for a machine that the inventory does not
    /// name.
    Known,
}

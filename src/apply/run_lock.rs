//! What a run takes the locks of hosts with.

/// What a run takes locks with.
#[derive(Debug, Clone, Default)]
pub struct RunLock {
    /// The id of the run: lower case letters and digits.
    pub run: String,
    /// Who runs what, since when and from which commit, as hosts tell it to others.
    pub holder: String,
    /// Runs of this controller that are over, which lose their locks to this one.
    pub over: Vec<String>,
}

//! Where the change of a host failed.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Where the change of a host failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum FailedAt {
    /// Before anything of the change was done.
    Before,
    /// An operation of the change.
    Op {
        /// Its number, from 1.
        number: NonZeroU32,
        /// Its label.
        #[cfg_attr(test, schemars(with = "crate::model::schema::Word"))]
        label: String,
    },
    /// Between two operations: the process that did them was ended.
    Interrupted,
    /// It has no steps.
    Whole,
}

/// Writes what comes before the reason.
impl fmt::Display for FailedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("0 "),
            Self::Op { number, label } => write!(f, "{number} {label}: "),
            Self::Interrupted => f.write_str("- "),
            Self::Whole => Ok(()),
        }
    }
}

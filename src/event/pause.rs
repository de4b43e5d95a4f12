//! Why a rollout pauses between two waves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Moment;

/// Why a rollout pauses between two waves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Pause {
    /// No window is open.
    Window {
        /// When the next one opens, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opens: Option<Moment>,
    },
    /// Whoever was asked said no.
    Declined,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { opens: Some(opens) } => {
                write!(f, "no window of `rollout: windows` is open; the next one opens at {opens}")
            }
            Self::Window { opens: None } => f.write_str("no window of `rollout: windows` is open"),
            Self::Declined => f.write_str("it was declined"),
        }
    }
}

//! What stands where a file belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a path leads to that is no regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// A symbolic link, wherever it leads.
    Link,
    /// A folder.
    Folder,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl FromStr for PathKind {
    type Err = ();

    /// The host's word for it.
    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "link" => Self::Link,
            "folder" => Self::Folder,
            "pipe" => Self::Pipe,
            "socket" => Self::Socket,
            "device" => Self::Device,
            _ => return Err(()),
        })
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Folder => "a folder",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

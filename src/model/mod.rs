//! The words of the trade as types: names, addresses, endpoints, keys and source positions.
//!
//! Each type has one constructor that parses; past it nobody handles a raw string. The errors say
//! what to write instead.

mod address;
mod backend;
mod document;
mod drop_cause;
mod forbidden;
mod host_path;
mod key;
mod masking;
mod moment;
mod name;
mod part;
mod plural;
#[cfg(test)]
pub(crate) mod schema;
mod secret_text;
mod settings;
mod source;
mod ssh_target;
mod suggest;
mod tool;
mod until;
mod untrusted;
mod window;
pub(crate) mod worded;

pub use address::{
    AddressError, Endpoint, EndpointHost, Family, covers, host_net, is_private, parse_net,
};
pub use backend::Backend;
pub use document::{Document, Kind, Version};
pub use drop_cause::DropCause;
pub use forbidden::{Forbidden, ForbiddenError};
pub use host_path::{HostPath, HostPathError, UnitName};
pub use key::{
    Fingerprint, FingerprintKey, KeyError, PlanKey, PresharedKey, PrivateKey, PublicKey,
};
pub use masking::{HIDDEN, looks_like_key, mask, mask_in, secrets_in, stars};
pub use moment::Moment;
pub use name::{FleetName, GroupName, HostName, InterfaceName, NameError, NetworkName, SiteName};
pub use part::{Part, PartError};
pub use plural::{count, list};
pub use secret_text::SecretText;
pub use settings::{Become, FwMark, Hook, Keepalive, Mtu, Port, RouteTable, SettingError};
pub use source::{FileId, Located, Location, SourceFile, SourceMap};
pub use ssh_target::SshTarget;
pub use suggest::{closest, did_you_mean};
pub use tool::{Need, Tool, UnknownTool};
pub use until::{Until, UntilError, beginning};
pub use untrusted::{Untrusted, is_deceptive, turns_direction, unplain};
pub use window::{Window, WindowError};

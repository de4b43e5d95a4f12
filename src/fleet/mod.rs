//! What runs a fleet: reads its files, asks its hosts, carries plans out, changes keys.
//!
//! It says what happens through events and knows no terminal, no arguments and no exit codes.

mod asked;
mod carry_out;
mod compare;
mod context;
mod edited;
mod error;
mod exporter;
mod git;
pub mod import;
mod issue;
mod kept;
mod ledger;
mod live_keys;
pub mod load;
mod lock;
mod login;
mod memory;
mod opened;
mod pick;
mod provenance;
mod reached;
mod read;
mod records;
mod removed;
mod rotation;
mod run;
mod sessions;
mod survey;
mod turn;
mod unknown;
mod watchdog;

pub use asked::{Asked, Meant, UnknownHost};
pub use carry_out::carry_out;
pub use compare::compare;
pub use context::{Context, Keyring, Overrun};
pub use edited::Edited;
pub use error::{Advice, Error, Kind};
pub use git::WorkTree;
pub use issue::Routes;
pub use ledger::{Ledger, Turned};
pub use live_keys::LiveKeys;
pub use lock::FleetLock;
pub use login::Login;
pub use memory::state_folder;
pub use opened::Opened;
pub use pick::{PickError, PickWord, pick};
pub use read::{Fleet, Reading};
pub use records::Overrides;
pub use rotation::{Campaign, Which, to_rotate};
pub use run::Run;
pub use sessions::Sessions;
pub use survey::{Scope, Survey};
pub use turn::Terms;
pub use unknown::refuse_keyless;

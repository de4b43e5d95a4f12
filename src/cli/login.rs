//! Arguments that several commands take: how hosts are logged in to, which, and with what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Context, completions, environment};
use crate::fleet::{Asked, Error, Fleet, Login, Overrides, PickWord, Scope, pick};
use crate::inventory::Inventory;
use crate::model::HostName;

/// How hosts are logged in to.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct LoginArgs {
    /// How many hosts are logged in to at a time
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(super) parallel: usize,

    /// Seconds that a login may take
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    connect_timeout: u64,
}

impl LoginArgs {
    /// How long a login may take.
    pub(super) fn patience(self) -> Duration {
        Duration::from_secs(self.connect_timeout.max(1))
    }

    /// Logins to the hosts of a fleet.
    pub(super) fn login(self, context: &Context, fleet: &Fleet) -> Result<Login, Error> {
        Login::ssh(&context.fleet, fleet, self.parallel, self.patience())
    }
}

/// Which hosts a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct LimitArgs {
    /// Only these: hosts, or all of a site, a group or a network, or names like `hub-*`; `!NAME` leaves
    /// out. Their peers still come from the whole file
    #[arg(long, value_name = "HOST", value_delimiter = ',', add = completions::selections())]
    limit: Vec<PickWord>,

    /// Not these, named in the same ways
    #[arg(long, value_name = "HOST", value_delimiter = ',', add = completions::selections())]
    exclude: Vec<PickWord>,
}

impl LimitArgs {
    /// The hosts; none where all are meant.
    pub(super) fn hosts(&self, inventory: &Inventory) -> Result<Vec<HostName>, Error> {
        self.of(&[inventory], Asked::Limit)
    }

    /// The hosts and peers of two inventories that are compared.
    pub(super) fn of_two(&self, inventories: &[&Inventory]) -> Result<Vec<HostName>, Error> {
        self.of(inventories, Asked::LimitOfTwo)
    }

    /// Hosts, and peers whose keys the vault makes.
    pub(super) fn key_holders(&self, inventory: &Inventory) -> Result<Vec<HostName>, Error> {
        self.of(&[inventory], Asked::Key)
    }

    fn of(&self, inventories: &[&Inventory], asked: Asked) -> Result<Vec<HostName>, Error> {
        pick(inventories, &self.limit, &self.exclude, asked)
    }
}

/// Where binaries for hosts come from.
#[derive(Debug, Clone, Args)]
pub(super) struct BinariesArgs {
    #[arg(
        long,
        value_name = "DIR",
        help = "Folder of wgfleet's release binaries, for hosts of other architectures [env: \
                WGFLEET_BINARIES]"
    )]
    binaries: Option<PathBuf>,

    #[arg(skip = environment::path(environment::BINARIES))]
    of_environment: Option<PathBuf>,
}

impl BinariesArgs {
    /// The folder, where there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.binaries.as_deref().or(self.of_environment.as_deref())
    }
}

/// What is done although hosts remember something else.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RecordArgs {
    /// Take the machine for this host although its record, or its key, says that it is another; for
    /// one that was installed anew or takes the place of another
    #[arg(long, value_name = "HOST", value_delimiter = ',', add = completions::hosts())]
    replace: Vec<HostName>,

    /// Change hosts although they were changed from newer files than these
    #[arg(long)]
    allow_older: bool,
}

impl RecordArgs {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            replace: self.replace.clone(),
            allow_older: self.allow_older,
            ..Overrides::default()
        }
    }
}

/// What a survey needs to know of a command's arguments.
pub(super) fn scope<'a>(
    login: &'a Login,
    limit: &'a [HostName],
    binaries: &'a BinariesArgs,
    overrides: &'a Overrides,
) -> Scope<'a> {
    let binaries = binaries.folder();
    Scope { login, limit, binaries, overrides, without_identity: false }
}

//! What a peer is handed: its configuration as text, as a file, or as a QR code.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use zeroize::Zeroizing;

use crate::cli::output::{json, print, write_stdout};
use crate::cli::secret_file::{refuse_to_commit, write_secret};
use crate::cli::{CommandError, CommandResult, Context, Exit, Format};
use crate::desired::{DesiredHost, DesiredInterface};
use crate::fleet::{Fleet, LiveKeys, Opened, Routes};
use crate::model::{HostName, Kind, SecretText, Version, count};
use crate::report::document::{Device, KeyHolder, Peer, PeerAction, Via};
use crate::report::qr::{self, Qr};
use crate::vault::Vault;

/// How a configuration is handed over. It holds the peer's private key.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("handed").args(["qr", "conf", "output", "png"]).multiple(true)))]
pub(super) struct HandoutArgs {
    /// Print the configuration as a QR code, for the WireGuard app of a phone
    #[arg(long, conflicts_with = "conf")]
    qr: bool,

    /// Print the configuration
    #[arg(long)]
    conf: bool,

    /// Write the configuration into a new file, 0600
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the QR code into a new picture, 0600
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// Send only what is in the fleet through the tunnel, also where the file says `full_tunnel`
    #[arg(long)]
    split_tunnel: bool,
}

impl HandoutArgs {
    /// Whether anything secret is asked for.
    pub(super) const fn is_wanted(&self) -> bool {
        self.qr || self.conf || self.output.is_some() || self.png.is_some()
    }

    /// The files that are to be written.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.output.iter().chain(&self.png)
    }

    /// Refuses, before anything is done, what could not be handed over afterwards.
    pub(super) fn refuse(&self, context: &Context) -> Result<(), CommandError> {
        if context.format == Format::Json && (self.qr || self.conf) {
            let message = "no secret is printed as JSON: --conf and --qr are for people";
            return Err(CommandError::message(Exit::Usage, message)
                .hint("write the configuration into a file: --output FILE, --png FILE"));
        }
        for path in self.files() {
            refuse_to_commit(path, [path.as_path()])?;
            if path.exists() {
                let message = format!("{} is there already", path.display());
                return Err(CommandError::message(Exit::Failed, message)
                    .hint("remove it first, or name another file"));
            }
        }
        Ok(())
    }

    /// What the peer is to have.
    pub(super) fn device(
        &self,
        fleet: &Fleet,
        vault: &Vault,
        name: &HostName,
    ) -> Result<DesiredHost, CommandError> {
        let routes = if self.split_tunnel { Routes::FleetOnly } else { Routes::AsWritten };
        Ok(fleet.issue(name, &LiveKeys::current(vault.index()), routes)?)
    }

    /// Makes what is to be handed over, so that nothing is missing when it is; `None` where nothing is
    /// asked for.
    pub(super) fn prepare(
        &self,
        context: &Context,
        fleet: &Fleet,
        device: &DesiredHost,
    ) -> Result<Option<Prepared>, CommandError> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let (_, secrets) = Fleet::unlock(&context.fleet)?;
        let text = configuration(fleet, device, &secrets)?;
        let code = if self.qr || self.png.is_some() {
            let short = without_comments(&text);
            Some(Qr::new(&short).map_err(|error| too_long(device, &error))?)
        } else {
            None
        };
        Ok(Some(Prepared { text, code }))
    }

    /// Hands the configuration over, and says which files were written.
    pub(super) fn hand_out(
        &self,
        context: &Context,
        name: &HostName,
        prepared: Option<Prepared>,
    ) -> Result<Vec<PathBuf>, CommandError> {
        let Some(Prepared { text, code }) = prepared else { return Ok(Vec::new()) };
        if let Some(path) = &self.output {
            write_secret(path, text.as_bytes())?;
        }
        if let Some((path, code)) = self.png.as_ref().zip(code.as_ref()) {
            let picture = code.png().map_err(|error| CommandError::new(Exit::Failed, &error))?;
            write_secret(path, &picture)?;
        }
        if self.conf {
            write_stdout(text.as_bytes())?;
        }
        if let Some(code) = code.filter(|_| self.qr) {
            write_stdout(code.half_blocks().as_bytes())?;
        }
        for path in self.files() {
            context.say(&format!(
                "wrote {}; it holds the private key of `{name}`: remove it when it is used",
                path.display()
            ));
        }
        Ok(self.files().cloned().collect())
    }
}

/// A configuration on its way to a peer.
pub(super) struct Prepared {
    text: SecretText,
    code: Option<Qr>,
}

/// The text of a peer's configuration.
fn configuration(
    fleet: &Fleet,
    device: &DesiredHost,
    secrets: &Opened,
) -> Result<SecretText, CommandError> {
    let mut rendered = fleet.render(&[device], secrets)?;
    let files = rendered.remove(&device.name).map(|host| host.files).unwrap_or_default();
    let file = files.into_values().next();
    file.map(|file| file.content).ok_or_else(|| {
        CommandError::message(Exit::Failed, format!("`{}` has no interface", device.name))
    })
}

/// What an app needs of a configuration.
fn without_comments(text: &str) -> Zeroizing<String> {
    let mut short = Zeroizing::new(String::with_capacity(text.len()));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines.filter(|line| !line.starts_with('#')) {
        short.push_str(line);
        short.push('\n');
    }
    short
}

/// A configuration that no code holds, with what could be left out of it.
fn too_long(device: &DesiredHost, error: &qr::TooLong) -> CommandError {
    let name = &device.name;
    let message = format!(
        "the configuration of `{name}` has {} bytes without its comments, and phones read QR codes \
         of at most {} bytes",
        error.bytes,
        qr::MOST_BYTES
    );
    let mut failed = CommandError::message(Exit::Usage, message);
    let peers: Vec<_> = device.interfaces.iter().flat_map(|own| own.peers.values()).collect();
    let prefixes: usize = peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    let bytes: usize = peers
        .iter()
        .flat_map(|peer| peer.allowed_ips.iter())
        .map(|net| net.to_string().len() + 2)
        .sum();
    let full = peers.iter().any(|peer| peer.allowed_ips.iter().any(|net| net.prefix_len() == 0));
    if bytes > 400 && !full {
        failed = failed.hint(format!(
            "{} of what it sends to take {bytes} bytes: `full_tunnel: true` leaves them out, or give \
             the sites shorter lists of `subnets`",
            count(prefixes, "prefix")
        ));
    }
    if peers.len() > 1 {
        failed = failed.hint(format!(
            "it is linked to {}, each of some 200 bytes: name fewer in its `via`",
            count(peers.len(), "host")
        ));
    }
    failed.hint(format!("hand it the file instead: `wgfleet peer show {name} --output FILE`"))
}

/// What programs and people are told of a device.
pub(super) fn described(device: &DesiredHost, holder: KeyHolder) -> Option<Device> {
    let own: &DesiredInterface = device.interfaces.first()?;
    let mut via: Vec<Via> = own
        .peers
        .iter()
        .map(|(key, peer)| Via {
            name: peer.name.clone(),
            public_key: *key,
            endpoint: peer.endpoint.clone(),
            allowed_ips: peer.allowed_ips.to_vec(),
            keepalive: peer.keepalive,
            preshared_key: peer.psk_epoch.is_some(),
        })
        .collect();
    via.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Device {
        network: own.network.clone(),
        interface: own.name.clone(),
        public_key: own.public_key,
        private_key: holder,
        addresses: own.addresses.clone(),
        dns: own.dns.clone(),
        mtu: own.mtu,
        via,
    })
}

/// Prints the document of a command where JSON is asked for.
pub(super) fn told(
    context: &Context,
    name: &HostName,
    action: PeerAction,
    device: Option<Device>,
    files: Vec<PathBuf>,
) -> CommandResult {
    if context.format == Format::Human {
        return Ok(Exit::Done);
    }
    let (kind, version) = (Kind::default(), Version::default());
    print(&json(&Peer { kind, version, name, action, device, files })?)
}

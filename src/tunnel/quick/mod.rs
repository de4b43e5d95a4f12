//! What wg-quick(8) does on Linux: an interface with its addresses, routes, DNS and hooks.
//!
//! Follows linux.bash of wireguard-tools step by step, with two differences: all addresses and
//! all routes go to one `ip -batch` each instead of one process each, and what would make a start
//! fail half-way (a missing tool, an unresolvable name) is looked for before anything is touched.

mod down;
mod error;
mod firewall;
mod interrupts;
mod routes;
mod steps;
mod tool;
mod up;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use zeroize::Zeroizing;

pub use error::QuickError;

use self::interrupts::Interrupts;
use self::tool::tool;

use super::conf::{Conf, Dialect, strip};
use super::show::{conf_room, write_conf};
use super::{DeviceSnapshot, Retries, UserspaceCommand};
use crate::model::InterfaceName;
use crate::sys::{Mode, read_limited, write_atomic};
use crate::wgconf::{Heading, Writer};

/// The largest configuration file that is read.
const LARGEST_FILE: u64 = 256 << 20;

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To start its interface: all of it has to be right.
    Start,
    /// To stop or to save an interface that runs: what has become wrong is passed over.
    Other,
}

/// An interface and its file.
pub struct Quick<'r> {
    interface: InterfaceName,
    path: PathBuf,
    text: Zeroizing<Vec<u8>>,
    conf: Conf,
    userspace: UserspaceCommand,
    retries: Retries,
    /// While an interface is being started.
    interrupts: Option<Interrupts>,
    report: &'r mut dyn FnMut(&str),
}

impl<'r> Quick<'r> {
    /// Reads the file of an interface (under /etc/wireguard), or a file called after one.
    ///
    /// `report` hears of each command before it runs, and of each warning.
    ///
    /// # Errors
    /// [`QuickError::File`], [`QuickError::FileName`] and [`QuickError::Conf`].
    pub fn open(
        target: &str,
        action: Aim,
        userspace: UserspaceCommand,
        retries: Retries,
        report: &'r mut dyn FnMut(&str),
    ) -> Result<Self, QuickError> {
        let (interface, path, text) = read(target)?;
        let conf = match action {
            Aim::Start => Conf::parse(&text, Dialect::Quick)
                .map_err(|source| QuickError::Conf { path: path.clone(), source })?,
            Aim::Other => Conf::parse_what_can_be(&text),
        };
        for warning in &conf.warnings {
            report(&format!("Warning: {}: {warning}", path.display()));
        }
        if is_world_accessible(&path) {
            report(&format!("Warning: `{}' is world accessible", path.display()));
        }
        let interrupts = None;
        Ok(Self { interface, path, text, conf, userspace, retries, interrupts, report })
    }

    /// Writes the interface as it is now into its file.
    ///
    /// # Errors
    /// [`QuickError`]; the file keeps what it had.
    pub fn save(&mut self) -> Result<(), QuickError> {
        let device = self.device()?;
        self.write_back(&device)
    }

    /// The running interface.
    fn device(&self) -> Result<DeviceSnapshot, QuickError> {
        super::get(&self.interface).map_err(|_| QuickError::NotWireGuard(self.interface.clone()))
    }

    fn write_back(&mut self, device: &DeviceSnapshot) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let listed = tool(&["ip", "-brief", "address", "show", "dev", &name], None)?;
        let quick = &mut self.conf.interface.quick;
        let live = listed.split_whitespace().skip(2);
        // The kernel's own link-local address is not the file's business.
        let before = std::mem::take(&mut quick.addresses);
        let is_wanted = |net: &IpNet| !is_link_local(net) || before.contains(net);
        let live = live.filter_map(|word| word.parse().ok()).filter(is_wanted);
        quick.addresses = live.collect();
        if quick.mtu.is_some() {
            let shown = tool(&["ip", "-o", "link", "show", "dev", &name], None)?;
            let mtu = routes::word_after(&shown, "mtu").and_then(|word| word.parse().ok());
            self.conf.interface.quick.mtu = mtu;
        }
        let quick = &self.conf.interface.quick;
        let hooks = [&quick.pre_up, &quick.post_up, &quick.pre_down, &quick.post_down];
        if hooks.into_iter().flatten().any(|hook| hook.as_text().is_none()) {
            let path = self.path.display();
            (self.report)(&format!(
                "Warning: {path}: a hook is not UTF-8; the file is left as it is"
            ));
            return Ok(());
        }
        let mut conf = Writer::with_room(conf_room(device) + (64 << 10));
        conf.heading(Heading::Interface);
        self.conf.interface.quick.write(&mut conf);
        write_conf(device, &mut conf);
        write_atomic(&self.path, conf.finish().as_bytes(), Mode::Private)?;
        Ok(())
    }
}

/// Finds the file of an interface, or the interface of a file, and reads it.
fn read(target: &str) -> Result<(InterfaceName, PathBuf, Zeroizing<Vec<u8>>), QuickError> {
    let path = match target.parse::<InterfaceName>() {
        Ok(name) => PathBuf::from(format!("/etc/wireguard/{name}.conf")),
        Err(_) => PathBuf::from(target),
    };
    let file_name = |source| QuickError::FileName { path: path.clone(), source };
    let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".conf"));
    let interface =
        stem.ok_or_else(|| file_name(None))?.parse().map_err(|why| file_name(Some(why)))?;
    // The name is the link's; what is read, and written back, is the file that it leads to.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    let text = Zeroizing::new(read_limited(&path, LARGEST_FILE)?);
    Ok((interface, path, text))
}

/// The file of an interface without what only wg-quick knows, as `wg-quick strip` prints it. Nothing
/// else of it is looked at: whoever passes it on to wg(8) hears there what is wrong.
///
/// # Errors
/// [`QuickError::File`], [`QuickError::FileName`], and [`QuickError::Conf`] where wg-quick takes no
/// such file.
pub fn strip_file(target: &str) -> Result<Zeroizing<Vec<u8>>, QuickError> {
    let (_, path, text) = read(target)?;
    let mut text =
        Zeroizing::new(strip(&text).map_err(|source| QuickError::Conf { path, source })?);
    text.push(b'\n');
    Ok(text)
}

fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// Whether anybody may read the file and enter its folder.
fn is_world_accessible(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.mode());
    mode(path) & mode(folder.unwrap_or(Path::new("."))) & 0o007 != 0
}

//! One way to every interface, whether the kernel or a userspace tunnel runs it.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;

use super::kernel::Kernel;
use super::uapi::{self, Connection};
use super::{DeviceChange, DeviceSnapshot, kernel_interfaces};
use crate::model::InterfaceName;

/// The names of all `WireGuard` interfaces, in the order of wg(8): the kernel's, then those with
/// a socket that answers.
///
/// # Errors
/// Where the kernel's interfaces cannot be listed.
pub fn interfaces() -> io::Result<Vec<InterfaceName>> {
    let mut names = kernel_interfaces()?;
    let Ok(folder) = fs::read_dir(uapi::FOLDER) else { return Ok(names) };
    for entry in folder.flatten() {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".sock")?.parse().ok());
        names.extend(name.filter(runs_in_userspace));
    }
    Ok(names)
}

/// Whether a userspace tunnel answers for an interface.
#[must_use]
pub fn runs_in_userspace(interface: &InterfaceName) -> bool {
    let path = uapi::socket_path(interface);
    let is_socket = fs::metadata(&path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && UnixStream::connect(&path).is_ok()
}

/// An interface as it is now.
///
/// # Errors
/// `ENODEV` where there is none of that name.
pub fn get(interface: &InterfaceName) -> io::Result<DeviceSnapshot> {
    if runs_in_userspace(interface) {
        return Connection::open(interface)
            .and_then(|mut tunnel| tunnel.get())
            .map_err(uapi::ClientError::io);
    }
    Kernel::open().map_err(no_kernel)?.get(interface)
}

/// Changes an interface.
///
/// # Errors
/// `ENODEV` where there is none of that name, and what the interface says.
pub fn set(interface: &InterfaceName, change: &DeviceChange) -> io::Result<()> {
    if runs_in_userspace(interface) {
        return Connection::open(interface)
            .and_then(|mut tunnel| tunnel.set(change))
            .map_err(uapi::ClientError::io);
    }
    Kernel::open().map_err(no_kernel)?.set(interface, change)
}

/// A kernel without `WireGuard` has no interface of any name.
fn no_kernel(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => rustix::io::Errno::NODEV.into(),
        _ => error,
    }
}

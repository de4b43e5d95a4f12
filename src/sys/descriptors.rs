//! Descriptors that a parent left open.

use std::io;
use std::os::fd::BorrowedFd;

/// Sees to it that a process started from now on inherits nothing but its standard streams: a
/// lock or a pipe of ours would otherwise stay open as long as that process lives.
///
/// # Errors
/// Where /proc is not mounted.
pub fn forget_inherited_descriptors() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for number in numbers.into_iter().filter(|number| *number > 2) {
        #[expect(unsafe_code, reason = "a number from /proc/self/fd has no owner in this process")]
        // SAFETY: the descriptor is only borrowed for one fcntl, which sets a flag that Rust sets
        // on every descriptor of its own; if the number was closed meanwhile the call fails.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
    }
    Ok(())
}

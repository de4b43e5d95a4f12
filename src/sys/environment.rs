//! Secrets in the environment: taken out of it before anyone else can read them there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use zeroize::Zeroizing;

/// Takes a variable out of the environment: no program that is started from now on inherits it, and
/// `/proc/self/environ` no longer shows it. Where other threads run already, it stays there.
#[must_use]
pub fn take_variable(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = std::env::var_os(name).map(OsString::into_vec).map(Zeroizing::new)?;
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads == 1 {
        forget(name);
    }
    Some(value)
}

/// Overwrites a variable and removes it.
fn forget(name: &str) {
    let Ok(name) = std::ffi::CString::new(name) else { return };
    #[expect(unsafe_code, reason = "nothing safe overwrites or removes a variable")]
    // SAFETY: the caller has seen that no other thread runs, so nobody else reads or changes the
    // environment. What getenv(3) gives is a writable string that ends in a zero byte; only bytes
    // before that are written. Nothing keeps a reference to it: the standard library copies.
    unsafe {
        let value = nix::libc::getenv(name.as_ptr());
        if !value.is_null() {
            let length = nix::libc::strlen(value);
            std::ptr::write_bytes(value, 0, length);
            // The overwritten value is never read by this program; it is by whoever reads /proc.
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        }
        nix::libc::unsetenv(name.as_ptr());
    }
}

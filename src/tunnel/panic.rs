//! A thread that fails ends the process: half a tunnel, which looks like a whole one, would never be
//! started anew.

use std::panic::PanicHookInfo;

/// From now on a panic of any thread is logged with its cause and ends the process by SIGABRT, which
/// service managers know as a failure.
pub(super) fn end_with_any_thread(what: String) {
    std::panic::set_hook(Box::new(move |info| {
        log(&what, info);
        std::process::abort();
    }));
}

fn log(what: &str, info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    let why = info.payload_as_str().unwrap_or("for no stated reason");
    let text = format!("{what} ends: its thread {thread:?} has failed{place}: {why}\n");
    // In one piece, and past whatever the logger may hold.
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    const CHILD: &str = "WGFLEET_TEST_PANIC";

    /// This test, run by itself, is the process that ends.
    #[test]
    fn a_thread_that_panics_ends_the_process_and_says_why() {
        let name = "tunnel::panic::tests::a_thread_that_panics_ends_the_process_and_says_why";
        if std::env::var_os(CHILD).is_some() {
            end_with_any_thread("tunnel wg0".to_owned());
            let named = std::thread::Builder::new().name("udp".to_owned());
            let thread = named.spawn(|| panic!("the cause"));
            let _ = thread.map(std::thread::JoinHandle::join);
            std::thread::sleep(std::time::Duration::from_secs(10));
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(CHILD, "1");
        let output = command.output().unwrap();
        assert_eq!(output.status.signal(), Some(6), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("tunnel wg0 ends: its thread \"udp\" has failed at"), "{said}");
        assert!(said.contains("panic.rs") && said.contains("the cause"), "{said}");
    }
}

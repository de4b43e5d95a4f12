//! The `wgfleet-helper` binary, which wgfleet pushes to hosts: see [`wgfleet::cli::helper_main`].

use std::process::ExitCode;

fn main() -> ExitCode {
    wgfleet::cli::helper_main()
}

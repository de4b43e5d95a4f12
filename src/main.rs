//! The `wgfleet` binary: hands its arguments to [`wgfleet::cli`] and exits with what that says.

use std::process::ExitCode;

fn main() -> ExitCode {
    wgfleet::cli::main()
}

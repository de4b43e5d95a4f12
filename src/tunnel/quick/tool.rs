//! Running the system's programs: arguments as words, never as a shell's text.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::error::QuickError;

/// A program of the `PATH`, or where administrators' programs are.
pub(super) fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(usual).map(|folder| folder.join(tool));
    places.find(|place| place.is_file())
}

pub(super) fn require(tool: &'static str, purpose: &'static str) -> Result<(), QuickError> {
    find(tool).map(drop).ok_or(QuickError::Missing { tool, purpose })
}

/// Runs a program and returns what it printed.
pub(super) fn tool(words: &[&str], input: Option<&str>) -> Result<String, QuickError> {
    let output = run(words, input)?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let why = if why.is_empty() { output.status.to_string() } else { why };
        return Err(QuickError::Tool { command: words.join(" "), why });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that may fail and have said something all the same.
pub(super) fn run(words: &[&str], input: Option<&str>) -> Result<Output, QuickError> {
    let command = words.join(" ");
    let failed = |source| QuickError::Run { command: command.clone(), source };
    let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
    let program = find(program).unwrap_or_else(|| program.into());
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        let input = input.to_owned();
        // From a thread: the program may print before it has read everything.
        std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    child.wait_with_output().map_err(failed)
}

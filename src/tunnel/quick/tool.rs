//! Running the system's programs: arguments as words, never as a shell's text.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Quick, QuickError};
use crate::model::Hook;

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

impl Quick<'_> {
    /// An error where somebody wants `up` to end, until it is being undone.
    pub(super) fn go_on(&self) -> Result<(), QuickError> {
        match &self.interrupts {
            Some(interrupts) if interrupts.came() => Err(QuickError::Interrupted),
            _ => Ok(()),
        }
    }

    /// The same, after saying so.
    pub(super) fn say_and_run(
        &mut self,
        words: &[&str],
        input: Option<&str>,
    ) -> Result<String, QuickError> {
        self.go_on()?;
        (self.report)(&format!("[#] {}", words.join(" ")));
        tool(words, input)
    }

    /// Runs lines of ip(8) as one batch; the first that fails ends it.
    pub(super) fn ip_batch(&mut self, lines: &[String]) -> Result<(), QuickError> {
        self.go_on()?;
        for line in lines {
            (self.report)(&format!("[#] ip {line}"));
        }
        match lines {
            [] => Ok(()),
            lines => tool(&["ip", "-batch", "-"], Some(&(lines.join("\n") + "\n"))).map(drop),
        }
    }

    /// Runs hooks as wg-quick does, in bash where there is one.
    pub(super) fn hooks(
        &mut self,
        pick: impl Fn(&super::super::conf::QuickConf) -> &Vec<Hook>,
    ) -> Result<(), QuickError> {
        let hooks = pick(&self.conf.interface.quick).clone();
        let bash = find("bash");
        let strict: &[&str] =
            if bash.is_some() { &["-e", "-o", "pipefail", "-c"] } else { &["-e", "-c"] };
        let shell = bash.or_else(|| find("sh")).unwrap_or_else(|| "sh".into());
        for hook in hooks {
            self.go_on()?;
            // The operator's own shell text; only the interface's name is put into it.
            let line = hook.as_str().replace("%i", self.interface.as_str());
            (self.report)(&format!("[#] {line}"));
            let failed = |source| QuickError::Run { command: line.clone(), source };
            let mut command = Command::new(&shell);
            let status = command.args(strict).arg(&line).env("LC_ALL", "C").status();
            let status = status.map_err(failed)?;
            if !status.success() {
                return Err(QuickError::Tool { command: line, why: status.to_string() });
            }
        }
        Ok(())
    }
}

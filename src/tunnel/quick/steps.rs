//! What is run and said, step by step.

use std::process::Command;

use super::Quick;
use super::error::QuickError;
use super::tool::{find, tool};
use crate::model::Hook;
use crate::tunnel::conf::QuickConf;

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
        pick: impl Fn(&QuickConf) -> &Vec<Hook>,
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

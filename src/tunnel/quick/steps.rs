//! What is run and said, step by step.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use super::Quick;
use super::error::QuickError;
use super::tool::{find, tool};
use crate::tunnel::conf::{HookLine, QuickConf};

/// What runs a hook as wg-quick does, with what it has there. The hook is no argument: one that kills
/// processes by their command line would find itself.
const IN_BASH: &str = r#"hook=$WGFLEET_HOOK; ADDRESSES=( $WGFLEET_ADDRESSES ); DNS=( $WGFLEET_DNS )
unset WGFLEET_HOOK WGFLEET_ADDRESSES WGFLEET_DNS
cmd() { echo "[#] $*" >&2; "$@"; }
die() { echo "wg-quick: $*" >&2; exit 1; }
eval "$hook""#;
/// The same where there is no bash, and so no lists.
const IN_SH: &str = r#"hook=$WGFLEET_HOOK; unset WGFLEET_HOOK WGFLEET_ADDRESSES WGFLEET_DNS
cmd() { echo "[#] $*" >&2; "$@"; }
die() { echo "wg-quick: $*" >&2; exit 1; }
eval "$hook""#;

/// Puts `with` wherever `what` stands.
fn replace(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(what) {
            replaced.extend_from_slice(with);
            rest = after;
        } else {
            replaced.push(*first);
            rest = &rest[1..];
        }
    }
    replaced
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
        pick: impl Fn(&QuickConf) -> &Vec<HookLine>,
    ) -> Result<(), QuickError> {
        let hooks = pick(&self.conf.interface.quick).clone();
        let bash = find("bash");
        let strict: &[&str] = if bash.is_some() {
            &["-e", "-o", "pipefail", "-O", "extglob", "-c", IN_BASH]
        } else {
            &["-e", "-c", IN_SH]
        };
        let shell = bash.or_else(|| find("sh")).unwrap_or_else(|| "sh".into());
        for hook in hooks {
            self.go_on()?;
            // The operator's own shell text; only the interface's name is put into it.
            let bytes = replace(hook.as_bytes(), b"%i", self.interface.as_str().as_bytes());
            let line = String::from_utf8_lossy(&bytes).into_owned();
            (self.report)(&format!("[#] {line}"));
            let failed = |source| QuickError::Run { command: line.clone(), source };
            let mut command = Command::new(&shell);
            command.args(strict).env("LC_ALL", "C").env("WGFLEET_HOOK", OsStr::from_bytes(&bytes));
            let quick = &self.conf.interface.quick;
            let addresses: Vec<String> = quick.addresses.iter().map(ToString::to_string).collect();
            command.env("WGFLEET_ADDRESSES", addresses.join(" "));
            command.env("WGFLEET_DNS", quick.dns.join(" "));
            command.env("INTERFACE", self.interface.as_str()).env("CONFIG_FILE", &self.path);
            command.env("TABLE", quick.table.to_string());
            command.env("MTU", quick.mtu.map_or_else(String::new, |mtu| mtu.to_string()));
            let status = command.status();
            let status = status.map_err(failed)?;
            if !status.success() {
                return Err(QuickError::Tool { command: line, why: status.to_string() });
            }
        }
        Ok(())
    }
}

//! Commands that an interface's file has a host run as root, wherever in it they stand.

use std::collections::HashSet;

use super::files;
use super::paths;
use super::{Change, HookWhen, Target};
use crate::model::{InterfaceName, Untrusted};
use crate::observed::ObservedHost;
use crate::wgconf::{Line, lines, redact};

/// The most hooks of a host's own file that are told.
const TOLD: usize = 200;

/// Which hooks come and which go, read from the files themselves: a template writes hooks too. Where
/// `changes` start or stop an interface, what runs by that is told as well, though it stays.
pub(super) fn compare(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    let mut hooks = Vec::new();
    for (path, file) in &target.files {
        let Some(interface) = &file.conf else { continue };
        let quick = target.interfaces.iter().any(|own| own.desired.name == *interface && own.quick);
        let (mut starts, mut stops) = (false, false);
        for change in changes.iter().filter(|change| change.interface() == Some(interface)) {
            starts |= quick && matches!(change, Change::Create(_) | Change::Restart { .. });
            stops |= matches!(change, Change::Restart { .. });
        }
        let seen = observed.files.get(path);
        let wanted = of(&file.public_text);
        let seen = match seen {
            Some(seen) if file.is_content_of(seen) => wanted.clone(),
            seen => seen.map(|seen| of(&seen.public_text)).unwrap_or_default(),
        };
        let (is_seen, is_wanted) =
            (seen.iter().collect::<HashSet<_>>(), wanted.iter().collect::<HashSet<_>>());
        let gone = seen.iter().filter(|hook| !is_wanted.contains(hook)).take(TOLD);
        hooks.extend(gone.map(|hook| change(interface, hook, false, stops && ends(hook.0))));
        for hook in &wanted {
            let there = is_seen.contains(hook);
            let now = if ends(hook.0) { stops && there } else { starts };
            if now || !there {
                hooks.push(change(interface, hook, true, now));
            }
        }
    }
    for (path, file) in &observed.files {
        if let Some(interface) = paths::interface_of(path)
            && files::ours(path, file, target, observed)
            && !target.files.contains_key(path)
        {
            // Its file has them run while it goes.
            let stops = changes.iter().any(
                |change| matches!(change, Change::Delete { interface: gone } if *gone == interface),
            );
            let gone = of(&file.public_text);
            // How many there are is the host's to choose.
            let gone = gone.iter().take(TOLD);
            hooks.extend(gone.map(|hook| change(&interface, hook, false, stops && ends(hook.0))));
        }
    }
    changes.append(&mut hooks);
}

/// Whether an interface has to stop and start for hooks, where another hand wrote the file that it runs
/// with: a new command is to run as it comes up, or an old one as it goes down, each once.
pub(super) fn owed(wanted: &str, seen: &str) -> bool {
    let (wanted, seen) = (of(wanted), of(seen));
    let begins = wanted.iter().any(|hook| !ends(hook.0) && !seen.contains(hook));
    begins || seen.iter().any(|hook| ends(hook.0) && !wanted.contains(hook))
}

/// Whether a hook runs when its interface goes down.
const fn ends(when: HookWhen) -> bool {
    matches!(when, HookWhen::PreDown | HookWhen::PostDown)
}

/// A hook as a file has it.
type Hook = (HookWhen, String);

fn change(interface: &InterfaceName, (when, command): &Hook, comes: bool, now: bool) -> Change {
    let command = Untrusted::new(command.as_str());
    Change::Hook { interface: interface.clone(), when: *when, command, comes, now }
}

/// The hooks of a file, in order.
fn of(text: &str) -> Vec<Hook> {
    // Most files have none, and hiding keys takes longer than to see that.
    if !lines(text.as_bytes()).any(|line| hook(&line).is_some()) {
        return Vec::new();
    }
    let redacted = redact(text);
    let hooks = lines(redacted.as_bytes()).filter_map(|line| hook(&line));
    hooks.map(|(when, command)| (when, command.to_owned())).collect()
}

/// The hook that a line has.
fn hook<'a>(line: &Line<'a>) -> Option<(HookWhen, &'a str)> {
    let (setting, command) = line.setting()?;
    Some((HookWhen::of_setting(setting)?, command)).filter(|(_, command)| !command.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_to_run_is_owed() {
        let (up, down) = ("[Interface]\nPostUp = a\n", "[Interface]\nPostDown = b\n");
        for (wanted, seen, is_owed) in [
            (up, "", true),
            ("", down, true),
            (up, down, true),
            // What came up stays, and what goes down later has not begun.
            ("", up, false),
            (down, "", false),
            (up, "[Interface]\npostup=a\n", false),
            (down, down, false),
        ] {
            assert_eq!(owed(wanted, seen), is_owed, "{wanted:?} {seen:?}");
        }
    }

    #[test]
    fn hooks_are_found_however_they_are_written() {
        let text = "[Interface]\npostup=a = b # c\n PreDown = x\nMTU = 1\nPostUp =\n# PostUp = y\n";
        let found = [(HookWhen::PostUp, "a = b".to_owned()), (HookWhen::PreDown, "x".to_owned())];
        assert_eq!(of(text), found);
    }
}

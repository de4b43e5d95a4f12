//! Commands that an interface's file has a host run as root, wherever in it they stand.

use super::{Change, HookWhen, Target};
use crate::model::Untrusted;
use crate::observed::ObservedHost;

/// Which hooks come and which go, read from the files themselves: a template writes hooks too.
pub(super) fn compare(target: &Target<'_>, observed: &ObservedHost, changes: &mut Vec<Change>) {
    for (path, file) in &target.files {
        let Some(interface) = &file.conf else { continue };
        let seen = observed.files.get(path).map(|seen| of(&seen.public_text)).unwrap_or_default();
        let wanted = of(&file.public_text);
        let change = |(when, command): &(HookWhen, String), comes| Change::Hook {
            interface: interface.clone(),
            when: *when,
            command: Untrusted::new(command.as_str()),
            comes,
        };
        let gone = seen.iter().filter(|hook| !wanted.contains(hook));
        let come = wanted.iter().filter(|hook| !seen.contains(hook));
        changes.extend(gone.map(|hook| change(hook, false)));
        changes.extend(come.map(|hook| change(hook, true)));
    }
}

/// The hooks of a file, in order.
fn of(text: &str) -> Vec<(HookWhen, String)> {
    let mut hooks = Vec::new();
    for line in text.lines() {
        // As wg-quick(8) reads it: what stands behind `#` is a comment.
        let line = line.split('#').next().unwrap_or_default();
        let Some((name, command)) = line.split_once('=') else { continue };
        let when = match name.trim().to_ascii_lowercase().as_str() {
            "preup" => HookWhen::PreUp,
            "postup" => HookWhen::PostUp,
            "predown" => HookWhen::PreDown,
            "postdown" => HookWhen::PostDown,
            _ => continue,
        };
        if !command.trim().is_empty() {
            hooks.push((when, command.trim().to_owned()));
        }
    }
    hooks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_found_however_they_are_written() {
        let text = "[Interface]\npostup=a = b # c\n PreDown = x\nMTU = 1\nPostUp =\n# PostUp = y\n";
        let found = [(HookWhen::PostUp, "a = b".to_owned()), (HookWhen::PreDown, "x".to_owned())];
        assert_eq!(of(text), found);
    }
}

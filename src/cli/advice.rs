//! What a failure of the fleet layer means on the command line: it knows no options, and here is what
//! they are called.

use crate::fleet::{Advice, Asked, Meant, UnknownHost};
use crate::model::HostName;

/// The most hosts that are named instead of a site or a group.
const MOST: usize = 8;

/// What to write or run instead.
pub(super) fn words(advice: &Advice) -> String {
    let text = match advice {
        Advice::Text(text) => text,
        Advice::NameInventory => {
            "name the inventory with --file, or begin one with `wgfleet init DIR`"
        }
        Advice::NameTrackedFile => "name the file that git tracks with --file PATH",
        Advice::GiveOnStdin => "pass what is not a regular file on stdin, with `--file -`",
        Advice::AllowFolder => {
            "git tracks it as a link that leads out of the fleet's folder; name the file that it leads \
             to with --file, or allow that folder with --include-from DIR"
        }
        Advice::NameLockFile => {
            "name the lock file with --lock FILE, or write the addresses into the file"
        }
        Advice::LetLockChange => "run the command without --locked and commit the lock file",
        Advice::LeaveLockAlone => {
            "add --locked to leave the lock file as it is; old copies are then not noticed"
        }
        Advice::AllowOlder => {
            "update them, with `git pull` for example; add --allow-older to go to an older state on purpose"
        }
        Advice::IncludeHost => "bring the host up, and include it in --limit",
        Advice::AllowUnreachable => {
            "bring them up, or add --allow-unreachable and run `wgfleet apply` later"
        }
    };
    text.to_owned()
}

/// What is wrong with a host that was asked for, and what was probably meant.
pub(super) fn unknown(host: &UnknownHost) -> (String, Option<String>) {
    let name = &host.name;
    let (option, message) = match host.asked {
        Asked::Limit => (
            "--limit ",
            format!("--limit names `{name}`, and nothing in the inventory is called so"),
        ),
        Asked::LimitOfTwo => (
            "--limit ",
            format!("--limit names `{name}`, and nothing in either inventory is called so"),
        ),
        Asked::Exclude => (
            "--exclude ",
            format!("--exclude names `{name}`, and nothing in the inventory is called so"),
        ),
        Asked::Replace => {
            ("--replace ", format!("--replace names `{name}`, and the inventory has no such host"))
        }
        Asked::Rotate => ("", format!("the inventory has no managed host `{name}`")),
        Asked::Peer => ("", format!("the inventory has no unmanaged peer `{name}`")),
        Asked::Key => ("", format!("the inventory has no host and no peer `{name}`")),
    };
    let hint = match &host.meant {
        Meant::Nothing => None,
        Meant::Host(close) => Some(format!("did you mean `{close}`?")),
        Meant::LeftOut(why) => Some(format!("the inventory leaves `{name}` out: {why}")),
        Meant::Peer => Some(match host.asked {
            Asked::Rotate => format!(
                "`{name}` is an unmanaged peer: `wgfleet peer rotate {name}` gives it another key"
            ),
            Asked::Key => format!(
                "`{name}` has its key in the inventory; without `public_key:` there, the vault keeps one"
            ),
            Asked::Limit | Asked::LimitOfTwo | Asked::Exclude | Asked::Replace | Asked::Peer => {
                format!("`{name}` is an unmanaged peer: nobody logs in there")
            }
        }),
        Meant::Managed => Some(format!(
            "`{name}` is a managed host: `wgfleet render -o DIR {name}` writes its file"
        )),
        Meant::Hosts { of, hosts } if hosts.is_empty() => {
            Some(format!("`{name}` is a {of} without hosts"))
        }
        Meant::Hosts { of, hosts } => {
            let separator = if option.is_empty() { " " } else { "," };
            let names: Vec<&str> = hosts.iter().take(MOST).map(HostName::as_str).collect();
            let more = if hosts.len() > MOST { format!("{separator}…") } else { String::new() };
            Some(format!(
                "`{name}` is a {of}; name its hosts: {option}{}{more}",
                names.join(separator)
            ))
        }
    };
    (message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_was_asked_for_and_what_was_meant() {
        let host = |name: &str| name.parse().unwrap();
        let hosts = || vec![host("a"), host("b")];
        let told: Vec<String> = [
            (Asked::Limit, Meant::Nothing),
            (Asked::LimitOfTwo, Meant::Host(host("b8"))),
            (Asked::Replace, Meant::Hosts { of: "site", hosts: hosts() }),
            (Asked::Rotate, Meant::Hosts { of: "group", hosts: hosts() }),
            (Asked::Rotate, Meant::Peer),
            (Asked::Peer, Meant::LeftOut("disabled".to_owned())),
            (Asked::Key, Meant::Peer),
            (Asked::Limit, Meant::Hosts { of: "site", hosts: Vec::new() }),
        ]
        .map(|(asked, meant)| {
            let (message, hint) = unknown(&UnknownHost { name: host("b7"), asked, meant });
            format!("{message}\n  {}", hint.unwrap_or_default())
        })
        .into();
        insta::assert_snapshot!(told.join("\n"), @r"
        --limit names `b7`, and nothing in the inventory is called so
          
        --limit names `b7`, and nothing in either inventory is called so
          did you mean `b8`?
        --replace names `b7`, and the inventory has no such host
          `b7` is a site; name its hosts: --replace a,b
        the inventory has no managed host `b7`
          `b7` is a group; name its hosts: a b
        the inventory has no managed host `b7`
          `b7` is an unmanaged peer: `wgfleet peer rotate b7` gives it another key
        the inventory has no unmanaged peer `b7`
          the inventory leaves `b7` out: disabled
        the inventory has no host and no peer `b7`
          `b7` has its key in the inventory; without `public_key:` there, the vault keeps one
        --limit names `b7`, and nothing in the inventory is called so
          `b7` is a site without hosts
        ");
    }
}

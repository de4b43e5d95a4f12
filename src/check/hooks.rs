//! Well-known bad advice in hooks: rules for an interface that may have another name, and what nobody takes
//! away again.

use super::folded::Folded;
use crate::finding::{Code, Finding};
use crate::inventory::{Declared, HostInterface, Inventory};
use crate::model::{Hook, Location};

/// What stands for the tunnel's own interface.
const OWN: &str = "%i";

/// Programs that add something to the host, and the words by which they do.
const ADDERS: &[(&str, &[&str])] = &[
    ("iptables", &["-A", "-I", "--append", "--insert"]),
    ("ip6tables", &["-A", "-I", "--append", "--insert"]),
    ("iptables-nft", &["-A", "-I", "--append", "--insert"]),
    ("iptables-legacy", &["-A", "-I", "--append", "--insert"]),
    ("nft", &["add", "insert"]),
    ("ip", &["add"]),
    ("tc", &["add"]),
    ("ufw", &["allow", "route"]),
];

/// Masquerading on the way out of an interface that the hook names.
pub(super) fn masquerades(inventory: &Inventory) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for (host, own) in interfaces(inventory) {
        for hook in up(own) {
            let Some(interface) = masqueraded(hook.value.as_str()) else { continue };
            findings.add(hook.at, || {
                let title = format!(
                    "a hook of `{host}` masquerades only what leaves through `{interface}`"
                );
                Finding::new(Code::FixedMasquerade, title, hook.at)
                    .label("nothing is masqueraded where that interface has another name")
                    .help(
                        "leave the hook out and write `masquerade: true`, or `exit: true` for full \
                         tunnels: wgfleet then adds the rules, and takes them away",
                    )
            });
        }
    }
    findings.into_findings()
}

/// What hooks add and none takes away.
pub(super) fn left_behind(inventory: &Inventory) -> Vec<Finding> {
    let mut findings: Folded<Location> = Folded::new();
    for (host, own) in interfaces(inventory) {
        let settings = &own.settings;
        if !settings.pre_down.is_empty() || !settings.post_down.is_empty() {
            continue;
        }
        for hook in up(own) {
            let Some(program) = adds(hook.value.as_str()) else { continue };
            findings.add(hook.at, || {
                let title =
                    format!("`{host}` adds something with `{program}` that nothing takes away");
                Finding::new(Code::HookLeftBehind, title, hook.at)
                    .label("each time that the interface comes up, it is added once more")
                    .help("write the command that takes it away under `post_down:`")
            });
        }
    }
    findings.into_findings()
}

fn interfaces(
    inventory: &Inventory,
) -> impl Iterator<Item = (&crate::model::HostName, &HostInterface)> {
    let hosts = inventory.hosts.iter();
    hosts.flat_map(|host| host.interfaces.iter().map(move |own| (&host.name.value, own)))
}

/// The hooks that run when an interface comes up.
fn up(own: &HostInterface) -> impl Iterator<Item = &Declared<Hook>> {
    own.settings.pre_up.iter().chain(&own.settings.post_up)
}

/// The commands of a hook, each as its words without quotes.
fn commands(hook: &str) -> impl Iterator<Item = Vec<&str>> {
    hook.split([';', '\n', '|', '&', '{', '}']).map(|command| {
        command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect()
    })
}

/// The name that a command with this path has.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The interface of a rule that masquerades what leaves through it, where the hook names it.
fn masqueraded(hook: &str) -> Option<&str> {
    for words in commands(hook) {
        let masquerades = words.iter().any(|word| word.eq_ignore_ascii_case("masquerade"));
        if !masquerades {
            continue;
        }
        let options = ["-o", "--out-interface", "oifname", "oif"];
        let at = words.iter().position(|word| options.contains(word));
        let interface = at.and_then(|at| words.get(at + 1)).copied();
        let plain = |name: &&str| {
            *name != OWN && !name.is_empty() && !name.contains(['$', '!', '`', '(', '+', '@'])
        };
        if let Some(interface) = interface.filter(plain) {
            return Some(interface);
        }
    }
    None
}

/// The program that adds something.
fn adds(hook: &str) -> Option<&str> {
    commands(hook).find_map(|words| {
        let (at, (program, adding)) = words.iter().enumerate().find_map(|(at, word)| {
            let known = ADDERS.iter().find(|(program, _)| *program == name_of(word));
            known.map(|known| (at, known))
        })?;
        let has = |wanted: &str| words[at..].contains(&wanted);
        let stays = match *program {
            // What leads into the interface goes with it.
            "ip" => !has(OWN),
            // Tables, sets and elements are there once, however often they are added.
            "nft" => has("rule"),
            _ => true,
        };
        (stays && words[at..].iter().any(|word| adding.contains(word))).then_some(*program)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_name_is_found_and_one_that_is_looked_up_is_not() {
        for (hook, interface) in [
            ("iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE", Some("eth0")),
            (
                "iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o ens3 -j MASQUERADE",
                Some("ens3"),
            ),
            ("nft add rule ip nat post oifname \"eth0\" masquerade", Some("eth0")),
            ("iptables -t nat -A POSTROUTING -o %i -j MASQUERADE", None),
            ("iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE", None),
            ("iptables -t nat -A POSTROUTING -o $(ip r | awk '{print $5}') -j MASQUERADE", None),
            ("iptables -t nat -A POSTROUTING ! -o %i -j MASQUERADE", None),
            ("iptables -A FORWARD -o eth0 -j ACCEPT", None),
            ("echo MASQUERADE", None),
        ] {
            assert_eq!(masqueraded(hook), interface, "{hook}");
        }
    }

    #[test]
    fn what_a_command_adds_is_told_from_what_it_asks() {
        for (hook, program) in [
            ("iptables -A FORWARD -i %i -j ACCEPT", Some("iptables")),
            ("/usr/sbin/ip6tables -I INPUT -j ACCEPT", Some("ip6tables")),
            ("test -e /x && ip rule add fwmark 1 table 2", Some("ip")),
            ("nft add rule inet f c accept", Some("nft")),
            ("nft add element inet filter trusted { %i }", None),
            ("ip route add 192.0.2.0/24 dev %i metric 100", None),
            ("iptables -L", None),
            ("ip route show", None),
            ("echo add", None),
            ("logger 'wg is up'", None),
        ] {
            assert_eq!(adds(hook), program, "{hook}");
        }
    }
}

//! A plan as a heap of single changes: the obvious way from the plan itself, and what its groups and
//! its text say.

use super::*;

/// How often each change is there, as `host: sign words`.
pub(super) type Heap = BTreeMap<String, usize>;

fn put(heap: &mut Heap, host: &str, words: &str) {
    *heap.entry(format!("{host}: {words}")).or_default() += 1;
}

/// Keys of named peers are left out: here each name has one.
fn called(peer: &PeerRef) -> String {
    match &peer.name {
        Some(name) => name.to_string(),
        None => format!("{} (not in the file)", peer.key),
    }
}

fn nets(value: &str) -> Vec<&str> {
    value.split(", ").collect()
}

fn becomes(field: PeerField, from: Option<&String>, to: Option<&String>) -> String {
    if let (Some(from), Some(to)) = (from, to)
        && (nets(from).len() > 1 || nets(to).len() > 1)
    {
        let (old, new) = (nets(from), nets(to));
        let mut words = Vec::new();
        words.extend(old.iter().filter(|n| !new.contains(n)).map(|net| format!("-{net}")));
        words.extend(new.iter().filter(|n| !old.contains(n)).map(|net| format!("+{net}")));
        let kept = old.iter().filter(|net| new.contains(net)).count();
        words.extend((kept > 0).then(|| format!("({kept} as before)")));
        return words.join(" ");
    }
    let none = if field == PeerField::Keepalive { "off" } else { "none" };
    let word = |value: Option<&String>| value.map_or(none, String::as_str).to_owned();
    format!("{} → {}", word(from), word(to))
}

fn settings(peer: &NewPeer) -> String {
    let mut text = format!("allowed ips {}", peer.allowed_ips[0]);
    let _ = write!(text, ", endpoint {}", peer.endpoint.as_ref().unwrap());
    if let Some(seconds) = peer.keepalive {
        let _ = write!(text, ", persistent keepalive {seconds}");
    }
    text + ", preshared key of epoch 1"
}

/// Every change by itself.
pub(super) fn reference(plan: &Plan) -> Heap {
    let mut heap = Heap::new();
    for host in &plan.hosts {
        for change in &host.changes {
            for words in words(change) {
                put(&mut heap, host.host.as_str(), &words);
            }
        }
    }
    heap
}

fn words(change: &Change) -> Vec<String> {
    match change {
        Change::Create(new) => {
            let address = new.addresses[0];
            let key = &new.public_key.to_string()[..8];
            let mtu = new.mtu;
            let mut words = vec![format!(
                "+ interface wg0 (kernel), MTU {mtu}, UDP port 51820: {address}, key {key}…"
            )];
            let peers = new.peers.iter();
            words.extend(peers.map(|p| format!("+ wg0 peer {}: {}", p.name, settings(p))));
            words
        }
        Change::AddPeer { interface, peer, replaces: None } => {
            vec![format!("+ {interface} peer {}: {}", peer.name, settings(peer))]
        }
        Change::AddPeer { interface, peer, replaces: Some(_) } => {
            vec![format!("~ {interface} peer {}: new key, {}", peer.name, settings(peer))]
        }
        Change::ChangePeer { interface, peer, fields } => fields
            .iter()
            .map(|FieldChange { field, from, to }| {
                let becomes = becomes(*field, from.as_ref(), to.as_ref());
                format!("~ {interface} peer {}: {field} {becomes}", called(peer))
            })
            .collect(),
        Change::RemovePeer { interface, peer } => {
            vec![format!("- {interface} peer {}", called(peer))]
        }
        Change::File { path, action, diff, .. } => {
            let sign = if *action == FileAction::Create { '+' } else { '~' };
            let mut text = format!("{sign} file {path}");
            for line in diff {
                let _ = write!(text, "\n{} {}", line.sign, line.text);
            }
            vec![text]
        }
        Change::Hook { interface, command, .. } => {
            vec![format!("+ runs as root after {interface} comes up: {command}")]
        }
        Change::AddRoute { interface, prefix, .. } => {
            vec![format!("+ {interface} route {prefix}")]
        }
        Change::RemoveRoute { interface, prefix, .. } => {
            vec![format!("- {interface} route {prefix}")]
        }
        Change::Forward { family, on, .. } => {
            vec![format!("{} forwarding of {family}", if *on { '+' } else { '-' })]
        }
        Change::Delete { interface } => vec![format!("- interface {interface}")],
        other => panic!("no test makes {other:?}"),
    }
}

/// The groups, each taken apart.
pub(super) fn expanded(plan: &Plan) -> Heap {
    let mut heap = Heap::new();
    for class in classes(plan) {
        for group in groups(plan, &class.hosts) {
            for (place, peer) in group.each(plan) {
                let at = group.hosts.iter().position(|at| *at == place).unwrap();
                let single = Group {
                    hosts: vec![place],
                    own: group.own.get(at).cloned().into_iter().collect(),
                    peers: peer.into_iter().collect(),
                    but_itself: false,
                    times: 1,
                    ..group.clone()
                };
                let mut text = String::new();
                write_group(&mut text, plan, &single);
                let text = anstream::adapter::strip_str(&text).to_string();
                let host = plan.hosts[place as usize].host.as_str();
                for _ in 0..group.times {
                    let mut lines = text.lines();
                    let mut words = plain(lines.next().unwrap().trim_start());
                    lines.for_each(|line| words = format!("{words}\n{}", line.trim_start()));
                    for words in owns(&words) {
                        put(&mut heap, host, &words);
                    }
                }
            }
        }
    }
    heap
}

/// Interfaces that a host gets twice, each with what is its own.
fn owns(words: &str) -> Vec<String> {
    let Some((head, own)) = words.split_once(" 51820: ") else { return vec![words.to_owned()] };
    own.split("; ").map(|own| format!("{head} 51820: {own}")).collect()
}

/// A line without the key of a named peer and the remark about secrets.
fn plain(line: &str) -> String {
    let line = line.replace(" (only secrets differ)", "");
    let Some((head, rest)) = line.split_once(" (") else { return line };
    match rest.split_once("…)") {
        Some((key, rest)) if key.chars().count() == 8 => format!("{head}{rest}"),
        _ => line,
    }
}

/// What the text says, host by host: for fleets of which it names all.
pub(super) fn parsed(text: &str) -> Heap {
    let mut heap = Heap::new();
    let mut hosts: Vec<&str> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("Plan:") || line.starts_with("No changes") {
            break;
        }
        let Some(words) = line.strip_prefix("  ") else {
            hosts = line.split("  ").next().unwrap().split(", ").collect();
            continue;
        };
        let mut below = Vec::new();
        while let Some(line) = lines.peek().and_then(|line| line.strip_prefix("      ")) {
            below.push(line);
            lines.next();
        }
        item(&mut heap, &hosts, words, &below);
    }
    heap
}

fn item(all: &mut Heap, hosts: &[&str], words: &str, below: &[&str]) {
    let (words, times) = match words.strip_suffix(" times)").and_then(|w| w.rsplit_once(" (")) {
        Some((words, times)) => (words, times.parse().unwrap()),
        None => (words, 1),
    };
    let words = &plain(words);
    let whole = words.strip_suffix(" (each itself too)");
    let (words, itself) = (whole.unwrap_or(words), whole.is_some());
    let many = words.rsplit_once(": ").and_then(|(head, names)| {
        let head = head.strip_suffix(" peers")?;
        let (begin, count) = head.rsplit_once(' ')?;
        let interface = begin[2..].split(' ').next()?;
        Some((begin, names, count.parse::<usize>().ok()?, interface))
    });
    for _ in 0..times {
        if let Some((head, names, count, interface)) = many {
            let mut said = 0;
            for host in hosts {
                for peer in names.split(", ").filter(|peer| itself || peer != host) {
                    let sign = &head[..1];
                    let of = head[2 + interface.len()..].trim_start();
                    let words = match of.strip_suffix(" on") {
                        Some(change) => format!("{sign} {interface} peer {peer}: {change}"),
                        None => format!("{sign} {interface} peer {peer}"),
                    };
                    put(all, host, &words);
                    said += 1;
                }
            }
            assert_eq!(said, count, "{words}");
        } else if words.contains(" on the others") {
            let peer = words.split(' ').nth(3).unwrap();
            let words = words.replace(" on the others", "");
            for host in hosts.iter().filter(|host| **host != peer) {
                put(all, host, &words);
            }
        } else if words.starts_with("+ interface") && !below.is_empty() {
            for line in below {
                let (host, own) = line.split_once(": ").unwrap();
                for own in own.split("; ") {
                    put(all, host, &format!("{words}: {own}"));
                }
            }
        } else {
            for host in hosts {
                let mut whole = words.to_owned();
                for line in below {
                    whole.extend(["\n", line]);
                }
                for words in owns(&whole) {
                    put(all, host, &words);
                }
            }
        }
    }
}

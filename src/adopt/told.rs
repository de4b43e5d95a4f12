//! What a host tells an import: its files, and what runs. `src/remote/host/adopt.sh` says it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::input::Read;
use super::known::KnownInterface;
use super::naming::tells;
use super::remark::{Remark, Topic};
use super::{conf, dump};
use crate::model::{InterfaceName, Mtu, SshTarget, parse_net};

/// What stands before each line of a file or a dump.
const QUOTED: &str = "| ";

/// The parts of what a host told.
#[derive(Default)]
struct Told<'t> {
    hostname: &'t str,
    forwards: Option<(bool, bool)>,
    files: Vec<(&'t str, String)>,
    mtus: BTreeMap<&'t str, Mtu>,
    addresses: BTreeMap<&'t str, Vec<IpNet>>,
    dump: Option<String>,
    is_whole: bool,
}

/// Reads what a host told; `None` where it is not whole.
#[must_use]
pub fn told(target: &SshTarget, text: &str) -> Option<Read> {
    let parts = parts(text);
    if !parts.is_whole {
        return None;
    }
    let mut read = Read::default();
    let host = &mut read.host;
    let named = parts.hostname.split('.').next().unwrap_or_default();
    let name = if tells(named) { named } else { target.host() };
    name.clone_into(&mut host.name);
    host.ssh = Some(target.clone());
    host.forwards = parts.forwards;
    let dump = parts.dump.as_deref().unwrap_or_default();
    let live = dump::read(&target.to_string(), dump).unwrap_or_default();
    let running: BTreeSet<&InterfaceName> =
        live.iter().filter_map(|one| one.name.as_ref()).collect();
    for (file, text) in &parts.files {
        let path = format!("{target}:/etc/wireguard/{file}");
        let name: Option<InterfaceName> =
            file.strip_suffix(".conf").and_then(|name| name.parse().ok());
        let runs = name.as_ref().is_some_and(|name| running.contains(name));
        if !conf::is_conf(text) {
            continue;
        }
        if !running.is_empty() && !runs {
            let text = format!("{path} is of an interface that does not run: it is left out");
            let hint = "start it first, or import the file by itself";
            read.remarks.push(Remark::new(Topic::LeftOut, text).write(hint));
            continue;
        }
        let conf = conf::read(&path, text);
        read.remarks.extend(conf.remarks);
        read.host.interfaces.push(KnownInterface { name, ..conf.interface });
    }
    for mut one in live {
        let name = one.name.as_ref().map(ToString::to_string).unwrap_or_default();
        one.addresses = parts.addresses.get(name.as_str()).cloned();
        one.mtu = parts.mtus.get(name.as_str()).copied();
        read.host.absorb(one);
    }
    Some(read)
}

fn parts(text: &str) -> Told<'_> {
    let mut parts = Told::default();
    let mut in_dump = false;
    for line in text.lines() {
        if let Some(quoted) = line.strip_prefix(QUOTED) {
            let open = match parts.files.last_mut() {
                _ if in_dump => parts.dump.get_or_insert_default(),
                Some((_, text)) => text,
                None => continue,
            };
            open.push_str(quoted);
            open.push('\n');
            continue;
        }
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("hostname"), Some(name), None) => parts.hostname = name,
            (Some("forwards"), Some(v4), Some(v6)) => parts.forwards = Some((v4 != "0", v6 != "0")),
            (Some("file"), Some(name), None) => parts.files.push((name, String::new())),
            (Some("link"), Some(name), Some(mtu)) => {
                let mtu = mtu.parse().ok().and_then(|bytes| Mtu::new(bytes).ok());
                parts.mtus.extend(mtu.map(|mtu| (name, mtu)));
            }
            (Some("address"), Some(name), Some(net)) => {
                parts.addresses.entry(name).or_default().extend(parse_net(net).ok());
            }
            (Some("dump"), None, None) => in_dump = true,
            (Some("end"), None, None) => parts.is_whole = true,
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "YAnGyuv0nM0mBXNbDD5cMSbPGUwr7RyOPmWF1lZ9LUI=";

    fn target() -> SshTarget {
        "root@198.51.100.1".parse().unwrap()
    }

    #[test]
    fn a_file_and_what_runs_are_one_interface() {
        let text = format!(
            "hostname paris.example.com\nforwards 1 0\nfile wg0.conf\n| [Interface]\n| PrivateKey = {KEY}\n\
             | PostUp = true\nfile old.conf\n| [Interface]\n| PrivateKey = {KEY}\nlink lo 65536\nlink wg0 1412\n\
             address lo 127.0.0.1/8\naddress wg0 10.0.0.1/24\ndump\n\
             | wg0\t{KEY}\t{KEY}\t40123\t0xca6c\n| wg0\t{KEY}\t(none)\t192.0.2.9:1234\t10.0.0.2/32\t0\t0\t0\t25\nend\n"
        );
        let read = told(&target(), &text).unwrap();
        assert_eq!((read.host.name.as_str(), read.host.forwards), ("paris", Some((true, false))));
        let [interface] = &read.host.interfaces[..] else { panic!("{:?}", read.host.interfaces) };
        assert_eq!(interface.hooks.post_up, ["true"]);
        assert_eq!(interface.addresses.as_deref(), Some(&["10.0.0.1/24".parse().unwrap()][..]));
        // A port and a mark that no file asks for are the kernel's and wg-quick's choice.
        assert_eq!(
            (interface.listen_port, interface.fwmark, interface.is_live),
            (None, None, false)
        );
        assert_eq!(interface.mtu.map(Mtu::get), Some(1412));
        assert_eq!(interface.peers[0].endpoint, None, "that of today is none");
        assert_eq!(read.remarks.len(), 1);
        let half = text.strip_suffix("end\n").unwrap();
        assert!(told(&target(), half).is_none());
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in "((hostname|file|link|address|dump|end|\\|) ?[a-z0-9 ./=\\[\\]\t]{0,20}\n){0,12}(end\n)?") {
            let _ = told(&target(), &text);
        }
    }
}

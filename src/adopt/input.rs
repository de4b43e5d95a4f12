//! Files in any of the forms that are known, told apart by what is in them.

use std::path::{Component, Path};

use super::known::KnownHost;
use super::naming::tells;
use super::remark::Remark;
use super::{conf, dump};
use crate::model::InterfaceName;

/// What a file tells.
#[derive(Debug, Default)]
pub struct Read {
    /// The host that it is of.
    pub host: KnownHost,
    /// What of it was passed over.
    pub remarks: Vec<Remark>,
}

/// Reads a file, which `below` was named for; `None` where it has none of the known forms. Its host is the
/// one that wgfleet's own comment names, the first folder below that says one, or the file's name.
#[must_use]
pub fn read(path: &Path, below: &Path, text: &str) -> Option<Read> {
    let source = path.display().to_string();
    let (host, interface) = named(path, below);
    let mut read = Read::default();
    read.host.name = host;
    if let Some(interfaces) = dump::read(&source, text) {
        read.host.interfaces = interfaces;
        return Some(read);
    }
    if !conf::is_conf(text) {
        return None;
    }
    let conf = conf::read(&source, text);
    read.remarks = conf.remarks;
    read.host.name = conf.host.unwrap_or(read.host.name);
    read.host.interfaces.push(super::KnownInterface { name: interface, ..conf.interface });
    Some(read)
}

/// The host and the interface that a path names.
fn named(path: &Path, below: &Path) -> (String, Option<InterfaceName>) {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let words = |path: &Path| -> Vec<String> {
        let words = path.components().filter_map(|part| match part {
            Component::Normal(part) => part.to_str().map(str::to_owned),
            _ => None,
        });
        words.filter(|word| tells(word)).collect()
    };
    let folders = |path: &Path| path.parent().map(&words).unwrap_or_default();
    let inner = path.strip_prefix(below).map(&folders).unwrap_or_default();
    let interface = || stem.parse::<InterfaceName>().ok();
    if let Some(host) = inner.into_iter().next() {
        return (host, interface());
    }
    if tells(&stem) {
        return (stem, None);
    }
    (folders(path).pop().unwrap_or_default(), interface())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_host() {
        let of = |path: &str, below: &str| {
            let (host, interface) = named(Path::new(path), Path::new(below));
            (host, interface.map(|name| name.to_string()).unwrap_or_default())
        };
        let expect = |host: &str, interface: &str| (host.to_owned(), interface.to_owned());
        assert_eq!(of("in/paris/wg0.conf", "in"), expect("paris", "wg0"));
        assert_eq!(of("in/paris/etc/wireguard/office.conf", "in"), expect("paris", "office"));
        assert_eq!(of("in/paris.conf", "in"), expect("paris", ""));
        assert_eq!(of("paris/wg0.conf", "paris/wg0.conf"), expect("paris", "wg0"));
        assert_eq!(of("/etc/wireguard/wg0.conf", "/etc/wireguard"), expect("", "wg0"));
    }
}

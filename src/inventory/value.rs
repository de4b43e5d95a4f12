//! Scalars and lists of the file as the types of [`crate::model`].

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::finding::{Code, Finding};
use crate::model::{
    Family, FwMark, HostName, Keepalive, Located, Location, Mtu, Port, RouteTable, Untrusted,
    parse_net,
};

use super::declared::Declared;
use super::fields::{Field, Sink, shorten, wrong_type};
use super::node::{Kind, Node};

/// A text: plain or quoted; a number or a boolean keeps its spelling.
pub(super) fn text<'n>(field: &Field<'n>, sink: &mut Sink) -> Option<Located<&'n str>> {
    if let Kind::Scalar { text, .. } = &field.node.kind {
        return Some(Located::new(text, field.node.at));
    }
    wrong_type(field, &format!("`{}` is one value", field.name), sink);
    None
}

/// A text that a type of the model parses; its error is the finding.
pub(super) fn parse<T>(field: &Field<'_>, sink: &mut Sink) -> Option<Located<T>>
where
    T: FromStr,
    T::Err: Display,
{
    let text = text(field, sink)?;
    match text.value.parse() {
        Ok(value) => Some(Located::new(value, text.at)),
        Err(error) => {
            bad_value(&error.to_string(), text.at, sink);
            None
        }
    }
}

/// The same, as what the level that has the field declares itself.
pub(super) fn declared<T>(field: &Field<'_>, sink: &mut Sink) -> Option<Declared<T>>
where
    T: FromStr,
    T::Err: Display,
{
    parse(field, sink).map(Declared::from)
}

/// The name that a key is: hosts, sites, networks and so on.
pub(super) fn name<T>(field: &Field<'_>, sink: &mut Sink) -> Option<Located<T>>
where
    T: FromStr,
    T::Err: Display,
{
    match field.name.parse() {
        Ok(_) if field.name == "internet" => {
            let title = "nothing can be named `internet`: in `expect` it is the outside world";
            bad_value(title, field.at, sink);
            None
        }
        Ok(value) => Some(Located::new(value, field.at)),
        Err(error) => {
            bad_value(&error.to_string(), field.at, sink);
            None
        }
    }
}

/// A value outside its range; the title says what to write.
pub(super) fn bad_value(title: &str, at: Location, sink: &mut Sink) {
    let title = Untrusted::new(title).to_string();
    let mut split = title.splitn(2, "; ");
    let (head, help) = (split.next().unwrap_or_default(), split.next());
    let mut finding = Finding::new(Code::BadValue, head, at);
    finding.help = help.map(str::to_owned);
    sink.push(finding);
}

/// `true` or `false`.
pub(super) fn boolean(field: &Field<'_>, sink: &mut Sink) -> Option<bool> {
    let word = match &field.node.kind {
        Kind::Scalar { text, quoted: false } => match &**text {
            "true" | "True" | "TRUE" => return Some(true),
            "false" | "False" | "FALSE" => return Some(false),
            word => Some(word.to_ascii_lowercase()),
        },
        Kind::Scalar { text, quoted: true } => Some(text.to_ascii_lowercase()),
        _ => None,
    };
    let before = sink.findings.len();
    wrong_type(field, &format!("`{}` is true or false", field.name), sink);
    let write = match word.as_deref() {
        Some("yes" | "on" | "y" | "true" | "1") => "write `true`",
        Some("no" | "off" | "n" | "false" | "0") => "write `false`",
        _ => "write `true` or `false`",
    };
    if let Some(finding) = sink.findings.get_mut(before) {
        finding.help = Some(write.to_owned());
    }
    None
}

/// The smallest and the largest number that a key takes.
type Range = (u32, u32);

/// UDP ports.
pub(super) const PORTS: Range = (1, 65535);
/// MTUs in bytes: no IPv4 host need accept less.
pub(super) const MTUS: Range = (576, 65535);
/// Keepalives.
pub(super) const SECONDS: Range = (1, 65535);
/// Numbers of hosts.
pub(super) const HOSTS: Range = (1, 1_000_000);
/// Marks of packets.
pub(super) const MARKS: Range = (1, u32::MAX);

/// A whole number in a range; `words` says what else could be written.
fn integer(field: &Field<'_>, range: Range, words: &str, sink: &mut Sink) -> Option<u32> {
    let (low, high) = range;
    let want = || format!("`{}` is a number from {low} to {high}{words}", field.name);
    let Kind::Scalar { text, quoted } = &field.node.kind else {
        wrong_type(field, &want(), sink);
        return None;
    };
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse::<u32>().ok(),
    };
    match number {
        Some(number) if *quoted => {
            let finding = Finding::new(Code::WrongType, want(), field.place())
                .label("this is a quoted text")
                .help(format!("write {number} without quotes"));
            sink.push(finding);
            None
        }
        Some(number) if (low..=high).contains(&number) => Some(number),
        None if text.parse::<i128>().is_err() => {
            wrong_type(field, &want(), sink);
            None
        }
        Some(_) | None => {
            sink.push(Finding::new(Code::BadValue, want(), field.place()));
            None
        }
    }
}

/// Whether the value is this word.
fn is_word(field: &Field<'_>, word: &str) -> bool {
    matches!(&field.node.kind, Kind::Scalar { text, .. } if **text == *word)
}

/// A UDP port.
pub(super) fn port(field: &Field<'_>, sink: &mut Sink) -> Option<Located<Port>> {
    let number = integer(field, PORTS, "", sink)?;
    let port = u16::try_from(number).ok().and_then(Port::new)?;
    Some(Located::new(port, field.node.at))
}

/// A number of hosts.
pub(super) fn hosts(field: &Field<'_>, sink: &mut Sink) -> Option<Located<u32>> {
    integer(field, HOSTS, "", sink).map(|hosts| Located::new(hosts, field.node.at))
}

/// An MTU in bytes.
pub(super) fn mtu(field: &Field<'_>, sink: &mut Sink) -> Option<Located<Mtu>> {
    let bytes = integer(field, MTUS, "", sink)?;
    Mtu::new(bytes).ok().map(|mtu| Located::new(mtu, field.node.at))
}

/// Seconds, or `off` (also `false` and 0, as wg(8) has them).
pub(super) fn keepalive(field: &Field<'_>, sink: &mut Sink) -> Option<Located<Option<Keepalive>>> {
    let at = field.node.at;
    if ["off", "false", "0"].iter().any(|word| is_word(field, word)) {
        return Some(Located::new(None, at));
    }
    let seconds = integer(field, SECONDS, ", or off", sink)?;
    Some(Located::new(u16::try_from(seconds).ok().and_then(Keepalive::new), at))
}

/// A mark, or `off`.
pub(super) fn fwmark(field: &Field<'_>, sink: &mut Sink) -> Option<Located<Option<FwMark>>> {
    let at = field.node.at;
    if ["off", "0", "0x0"].iter().any(|word| is_word(field, word)) {
        return Some(Located::new(None, at));
    }
    let mark = integer(field, MARKS, ", or off", sink)?;
    Some(Located::new(Some(FwMark(mark)), at))
}

/// wg-quick's `Table`.
pub(super) fn table(field: &Field<'_>, sink: &mut Sink) -> Option<Located<RouteTable>> {
    match &field.node.kind {
        Kind::Scalar { text, .. } if matches!(&**text, "false") => {
            bad_value("a boolean is not a table; write off", field.place(), sink);
            None
        }
        Kind::Scalar { .. } => parse(field, sink),
        _ => {
            wrong_type(field, "`table` is auto, off, main or a table number", sink);
            None
        }
    }
}

/// One value or a list of them, as one field each.
pub(super) fn many<'n>(field: &Field<'n>, sink: &mut Sink) -> Vec<Field<'n>> {
    let one = |node: &'n Node| Field { name: field.name, at: field.at, node };
    match &field.node.kind {
        Kind::Seq(items) => items
            .iter()
            .filter_map(|item| {
                if let Kind::Scalar { .. } = item.kind {
                    return Some(one(item));
                }
                wrong_type(&one(item), &format!("`{}` takes plain values", field.name), sink);
                None
            })
            .collect(),
        Kind::Scalar { .. } => vec![*field],
        Kind::Map(_) | Kind::Null => {
            wrong_type(field, &format!("`{}` is a value or a list of values", field.name), sink);
            Vec::new()
        }
    }
}

/// One value or a list of them, each parsed by the model.
pub(super) fn parse_many<T>(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<T>>
where
    T: FromStr,
    T::Err: Display,
{
    many(field, sink).iter().filter_map(|item| parse(item, sink)).collect()
}

/// One value or a list of them, each as it is written.
pub(super) fn texts(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<String>> {
    let items = many(field, sink);
    let texts = items.iter().filter_map(|item| text(item, sink));
    texts.map(|text| text.map(str::to_owned)).collect()
}

/// The name of a host, or `false`.
pub(super) fn full_tunnel(
    field: &Field<'_>,
    sink: &mut Sink,
) -> Option<Declared<Option<HostName>>> {
    let text = text(field, sink)?;
    match text.value {
        "false" | "off" => Some(Declared::own(None, text.at)),
        "true" => {
            bad_value(
                "`full_tunnel` of a host names the host that everything is sent through; write \
                 `full_tunnel: NAME`",
                text.at,
                sink,
            );
            None
        }
        _ => declared(field, sink).map(|name| name.map(Some)),
    }
}

/// A prefix with bits set beyond its length.
pub(super) fn host_bits(net: &IpNet, at: Location, sink: &mut Sink) {
    let title = format!("{net} is an address within a prefix, not a prefix");
    sink.push(
        Finding::new(Code::BadValue, title, at)
            .label("bits are set behind the prefix length")
            .help(format!("write {}", net.trunc())),
    );
}

/// A prefix with no bits set beyond its length.
fn prefix(field: &Field<'_>, sink: &mut Sink) -> Option<Located<IpNet>> {
    let text = text(field, sink)?;
    match parse_net(text.value) {
        Ok(net) if net != net.trunc() => {
            host_bits(&net, text.at, sink);
            // What is meant is clear, so that nothing else follows from the mistake.
            Some(Located::new(net.trunc(), text.at))
        }
        Ok(net) => Some(Located::new(net, text.at)),
        Err(error) => {
            bad_value(&error.to_string(), text.at, sink);
            None
        }
    }
}

/// Prefixes, each once.
pub(super) fn prefixes(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<IpNet>> {
    let mut seen: HashMap<IpNet, Location> = HashMap::new();
    let mut found = Vec::new();
    for item in many(field, sink) {
        let Some(net) = prefix(&item, sink) else { continue };
        if let Some(first) = seen.get(&net.value) {
            sink.push(
                Finding::new(
                    Code::DuplicateName,
                    format!("{} is written twice", net.value),
                    net.at,
                )
                .also(*first, "first here"),
            );
        } else {
            seen.insert(net.value, net.at);
            found.push(net);
        }
    }
    found
}

/// At most one prefix of each family.
pub(super) fn network_prefixes(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<IpNet>> {
    let mut found: Vec<Located<IpNet>> = Vec::new();
    for net in prefixes(field, sink) {
        let family = Family::of(&net.value);
        match found.iter().find(|other| Family::of(&other.value) == family) {
            Some(first) => sink.push(
                Finding::new(Code::Conflict, format!("a second {family} prefix"), net.at)
                    .also(first.at, format!("the {family} prefix of the network"))
                    .help("a network has at most one prefix of each family; make a second network"),
            ),
            None => found.push(net),
        }
    }
    if found.is_empty() && matches!(&field.node.kind, Kind::Seq(items) if items.is_empty()) {
        sink.push(
            Finding::new(Code::MissingKey, "a network needs at least one prefix", field.at)
                .help("write one like [10.10.0.0/24, \"fd10:10::/64\"]"),
        );
    }
    found
}

/// Tunnel addresses: at most one of each family.
pub(super) fn addresses(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<IpAddr>> {
    let mut found: Vec<Located<IpAddr>> = Vec::new();
    for item in many(field, sink) {
        let Some(text) = text(&item, sink) else { continue };
        let Ok(addr) = text.value.parse::<IpAddr>() else {
            let bare = text.value.split('/').next().and_then(|addr| addr.parse::<IpAddr>().ok());
            let title = format!("\"{}\" is not an IPv4 or IPv6 address", shorten(text.value));
            let mut finding = Finding::new(Code::BadValue, title, text.at);
            finding.help =
                bare.map(|bare| format!("write {bare}; the prefix length is that of the network"));
            sink.push(finding);
            continue;
        };
        if addr.is_loopback() || addr.is_multicast() || addr.is_unspecified() {
            let title = format!("{addr} cannot be the address of a host");
            sink.push(
                Finding::new(Code::UnusableAddress, title, text.at)
                    .label("a loopback, multicast or unspecified address")
                    .help("choose an address within the network's prefix, or leave it out: one is allocated"),
            );
            continue;
        }
        found.push(Located::new(addr, text.at));
    }
    found
}

/// Keeps the first address of each family: what one interface can have.
pub(super) fn one_of_each_family(
    addresses: Vec<Declared<IpAddr>>,
    sink: &mut Sink,
) -> Vec<Declared<IpAddr>> {
    let mut kept: Vec<Declared<IpAddr>> = Vec::new();
    for addr in addresses {
        let family = Family::of_addr(&addr.value);
        match kept.iter().find(|other| Family::of_addr(&other.value) == family) {
            Some(first) => sink.push(
                Finding::new(Code::Conflict, format!("a second {family} address"), addr.at)
                    .also(first.at, format!("the {family} address"))
                    .help("an interface has at most one address of each family"),
            ),
            None => kept.push(addr),
        }
    }
    kept
}

/// DNS servers and search domains, as wg-quick's `DNS` takes them.
pub(super) fn dns(field: &Field<'_>, sink: &mut Sink) -> Vec<Located<String>> {
    let mut found = Vec::new();
    for item in many(field, sink) {
        let Some(text) = text(&item, sink) else { continue };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let domain = text.value.strip_suffix('.').unwrap_or(text.value);
        let numeric = domain.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let is_domain = domain.len() <= 253 && !numeric && domain.split('.').all(label);
        if text.value.parse::<IpAddr>().is_ok() || is_domain {
            found.push(Located::new(text.value.to_owned(), text.at));
        } else {
            bad_value(
                &format!(
                    "\"{}\" is neither an address of a DNS server nor a search domain; write a list \
                     like [10.0.0.53, corp.example.com]",
                    shorten(text.value)
                ),
                text.at,
                sink,
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::yaml;
    use crate::model::FileId;

    fn with<T>(yaml: &str, read: impl FnOnce(&Field<'_>, &mut Sink) -> T) -> (T, Vec<String>) {
        let mut sink = Sink::default();
        let node = yaml::parse(yaml, FileId(0), &mut yaml::Budget::default(), &mut sink.findings)
            .expect("yaml");
        let field = Field { name: "x", at: node.at, node: &node };
        let value = read(&field, &mut sink);
        (value, sink.findings.into_iter().map(|finding| finding.title).collect())
    }

    #[test]
    fn quoted_numbers_and_other_spellings_are_told_apart() {
        assert_eq!(with("51820", port).0.map(|port| port.value.get()), Some(51820));
        for bad in ["\"51820\"", "0", "65536", "-1", "1.5", "~x", "[1]", "+1", "1_000"] {
            let (value, findings) = with(bad, port);
            assert!(value.is_none() && findings.len() == 1, "{bad}: {findings:?}");
        }
        assert_eq!(with("0xca6c", fwmark).0.map(|mark| mark.value), Some(Some(FwMark(0xca6c))));
        assert_eq!(with("off", keepalive).0.map(|seconds| seconds.value), Some(None));
    }

    #[test]
    fn booleans_of_yaml_1_1_are_explained() {
        assert_eq!(with("true", boolean).0, Some(true));
        assert_eq!(with("\"true\"", boolean).0, None);
        assert_eq!(with("yes", boolean), (None, vec!["`x` is true or false".to_owned()]));
    }

    #[test]
    fn a_prefix_with_host_bits_says_what_to_write() {
        let (nets, findings) = with("[10.0.0.1/24, 10.0.1.0/24]", prefixes);
        assert_eq!(nets.len(), 2);
        assert_eq!(findings, ["10.0.0.1/24 is an address within a prefix, not a prefix"]);
    }
}

//! Reads the text of one observation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::str::SplitAsciiWhitespace;

use ipnet::IpNet;

use super::bounds::{Bounds, Kind};
use super::drops::ObservedDrops;
use super::error::ObserveError;
use super::interface::{LiveBackend, ObservedInterface, ObservedPeer, ObservedPsk};
use super::lacking::Lacking;
use super::protocol::PROTOCOL;
use super::routing::Routing;
use super::word::word;
use super::{ObservedFile, ObservedHost, UnitState};
use crate::model::{FleetName, HostPath, InterfaceName, Keepalive, Tool, is_deceptive, parse_net};

/// Reads the text of one observation.
///
/// # Errors
/// [`ObserveError`]; nothing of a text that is not whole is used.
pub fn parse(text: &str) -> Result<ObservedHost, ObserveError> {
    let spoken = text.lines().next().and_then(|line| line.strip_prefix("observe "));
    if let Some(found) =
        spoken.and_then(|word| word.parse().ok()).filter(|found| *found != PROTOCOL)
    {
        return Err(ObserveError::Protocol { found });
    }
    let mut reader = Reader::default();
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        reader.bounds.take(Kind::Line, 1).ok_or_else(|| reader.bounds.error())?;
        lines = index + 1;
        if line.len() > LONGEST_LINE || reader.line(line).is_none() {
            if reader.bounds.are_passed() {
                return Err(reader.bounds.error());
            }
            let text = line.chars().take(60).collect();
            return Err(ObserveError::Line { line: lines, text });
        }
    }
    if !reader.ended {
        return Err(ObserveError::Truncated { lines });
    }
    reader.routing.tell(&mut reader.host);
    if reader.lacking.is_empty() {
        Ok(reader.host)
    } else {
        Err(ObserveError::Lacks(reader.lacking))
    }
}

/// The most bytes of one line: a peer with 50,000 prefixes.
const LONGEST_LINE: usize = 1 << 20;

#[derive(Default)]
struct Reader {
    host: ObservedHost,
    bounds: Bounds,
    lacking: Lacking,
    routing: Routing,
    /// What the text lines that follow belong to.
    text: Option<TextOf>,
    ended: bool,
}

/// What has a text of lines.
enum TextOf {
    /// A file, by its path.
    File(HostPath),
    /// The record of a fleet, by its name.
    Record(String),
}

fn flag(word: &str) -> Option<bool> {
    match word {
        "yes" | "1" => Some(true),
        "no" | "0" => Some(false),
        _ => None,
    }
}

impl Reader {
    /// Reads one line; `None` where it makes no sense.
    fn line(&mut self, line: &str) -> Option<()> {
        if self.ended {
            return None;
        }
        if let Some(text) = line.strip_prefix("| ") {
            let whole = match self.text.as_ref()? {
                TextOf::File(path) => &mut self.host.files.get_mut(path)?.public_text,
                TextOf::Record(fleet) => self.host.records.get_mut(fleet)?,
            };
            whole.push_str(text);
            whole.push('\n');
            return Some(());
        }
        let mut words = line.split_ascii_whitespace();
        let rest = &mut words;
        let facts = &mut self.host.facts;
        let first = rest.next()?;
        if let Some(kind) = Kind::of(first) {
            self.bounds.take(kind, 1)?;
        }
        match first {
            "observe" => (word::<u32>(rest)? == PROTOCOL).then_some(())?,
            "now" => self.host.now = word(rest)?,
            "machine" => facts.machine = printable(rest.next()?)?,
            "kernel" => facts.kernel = printable(rest.next()?)?,
            "systemd" => facts.systemd = flag(rest.next()?)?,
            "kernel-wireguard" => facts.kernel_wireguard = flag(rest.next()?)?,
            "tun" => facts.tun = flag(rest.next()?)?,
            "lacks" => self.lacking.add(word(rest)?),
            "installer" => self.lacking.installer = Some(printable(rest.next()?)?),
            "tool" => facts.tools.extend([word::<Tool>(rest)?]),
            "helper" => facts.helper = Some(word(rest)?),
            "forward4" => self.host.forward_v4 = flag(rest.next()?)?,
            "forward6" => self.host.forward_v6 = flag(rest.next()?)?,
            "advertised" => self.host.advertised.extend(word::<InterfaceName>(rest)),
            "machine-id" => self.host.machine_id = Some(word(rest)?),
            "host-key" => self.host.host_key = Some(word(rest)?),
            "record" => self.start_record(rest)?,
            "armed" => self.host.armed = Some(printable(rest.next()?)?),
            "firewall" => {
                let (table, digest) = (printable(rest.next()?)?, printable(rest.next()?)?);
                self.host.firewalls.insert(table, Some(digest).filter(|digest| digest != "none"));
            }
            "unit" => {
                let name = word(rest)?;
                let state = UnitState {
                    enabled: flag(rest.next()?)?,
                    active: flag(rest.next()?)?,
                    masked: rest.next().is_some_and(|word| word == "yes"),
                };
                self.host.units.insert(name, state);
            }
            "file" => self.start_file(line)?,
            "interface" => self.start_interface(rest)?,
            "device" => self.device(rest)?,
            "address" => self.address(rest)?,
            "route" => self.route(rest)?,
            "connected" => self.routing.connected(rest)?,
            "rule" => self.routing.rule(rest)?,
            "odd" => {
                let kind = word(rest)?;
                let path = line.splitn(3, ' ').nth(2)?.parse().ok()?;
                self.host.odd.insert(path, kind);
            }
            "peer" => self.peer(line)?,
            "dropped" => {
                ObservedDrops::read(&mut self.host.dropped, &self.host.interfaces, rest)?;
            }
            "end" => self.ended = true,
            _ => return None,
        }
        Some(())
    }

    /// `file MODE ROOT SHA256 PATH`; the path is all that is left, blanks included.
    fn start_file(&mut self, line: &str) -> Option<()> {
        let mut fields = line.splitn(5, ' ').skip(1);
        let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
        let root = flag(fields.next()?)?;
        let fingerprint = fields.next()?.parse().ok()?;
        let path: HostPath = fields.next()?.parse().ok()?;
        let file = ObservedFile { mode, root, fingerprint, public_text: String::new() };
        self.host.files.insert(path.clone(), file);
        self.text = Some(TextOf::File(path));
        Some(())
    }

    /// `record FLEET`
    fn start_record(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let fleet: FleetName = word(words)?;
        let fleet = fleet.to_string();
        self.host.records.insert(fleet.clone(), String::new());
        self.text = Some(TextOf::Record(fleet));
        Some(())
    }

    fn start_interface(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let name: InterfaceName = word(words)?;
        let backend: LiveBackend = word(words)?;
        let interface = ObservedInterface {
            backend,
            up: flag(words.next()?)?,
            mtu: word(words)?,
            public_key: None,
            listen_port: 0,
            fwmark: 0,
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            unruled: BTreeSet::new(),
            peers: BTreeMap::new(),
        };
        self.host.interfaces.insert(name, interface);
        Some(())
    }

    fn interface(
        &mut self,
        words: &mut SplitAsciiWhitespace<'_>,
    ) -> Option<&mut ObservedInterface> {
        let name: InterfaceName = word(words)?;
        self.host.interfaces.get_mut(&name)
    }

    /// `device IF PUBLIC-KEY PORT FWMARK`
    fn device(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let interface = self.interface(words)?;
        interface.public_key = match words.next()? {
            "(none)" => None,
            key => Some(key.parse().ok()?),
        };
        interface.listen_port = word(words)?;
        interface.fwmark = match words.next()? {
            "off" => 0,
            mark => match mark.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => mark.parse().ok()?,
            },
        };
        Some(())
    }

    fn address(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let interface = self.interface(words)?;
        let net: IpNet = parse_net(words.next()?).ok()?;
        let link_local = matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
        if !link_local {
            interface.addresses.insert(net);
        }
        Some(())
    }

    /// `route IF FAMILY TABLE PREFIX`
    fn route(&mut self, words: &mut SplitAsciiWhitespace<'_>) -> Option<()> {
        let interface = self.interface(words)?;
        let family = words.next()?;
        let table = match words.next()? {
            "main" => 254,
            "default" => 253,
            "local" => 255,
            number => number.parse().ok()?,
        };
        let net = match (words.next()?, family) {
            ("default", "4") => IpNet::V4(ipnet::Ipv4Net::default()),
            ("default", "6") => IpNet::V6(ipnet::Ipv6Net::default()),
            (text, _) => parse_net(text).ok()?,
        };
        let link_local = matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
        if !link_local && table != 255 {
            interface.routes.insert((table, net));
        }
        Some(())
    }

    /// `peer` and the fields of `wg show dump` behind tabs, the preshared key replaced by a word.
    fn peer(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t').skip(1);
        let name: InterfaceName = fields.next()?.parse().ok()?;
        let key = fields.next()?.parse().ok()?;
        let psk = match fields.next()? {
            "none" => ObservedPsk::None,
            "as-file" => ObservedPsk::AsFile,
            "other" => ObservedPsk::Other,
            _ => return None,
        };
        let endpoint = match fields.next()? {
            "(none)" => None,
            text => Some(socket(text)?),
        };
        let allowed_ips = match fields.next()? {
            "(none)" => BTreeSet::new(),
            list => {
                self.bounds.take(Kind::Prefix, list.split(',').count())?;
                list.split(',').map(|net| parse_net(net).ok()).collect::<Option<_>>()?
            }
        };
        let latest_handshake = fields.next()?.parse().ok()?;
        let received = fields.next()?.parse().ok()?;
        let sent = fields.next()?.parse().ok()?;
        let keepalive = match fields.next()? {
            "off" => None,
            seconds => Keepalive::new(seconds.parse().ok()?),
        };
        let peer = ObservedPeer {
            psk,
            endpoint,
            allowed_ips,
            latest_handshake,
            received,
            sent,
            keepalive,
        };
        self.host.interfaces.get_mut(&name)?.peers.insert(key, peer);
        Some(())
    }
}

/// A live endpoint; the zone of a link-local one says nothing elsewhere.
fn socket(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        Some((addr, rest)) => format!("{addr}{}", &rest[rest.find("]:")?..]).parse().ok(),
        None => text.parse().ok(),
    }
}

/// A word that can be shown to a person: printable, of a sane length.
fn printable(word: &str) -> Option<String> {
    (word.len() <= 256 && !word.chars().any(is_deceptive)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_whole_answer_is_read() {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        let text = format!(
            "observe 3\nnow 1700000000\nmachine x86_64\nkernel 6.1.0\nsystemd no\n\
             kernel-wireguard no\ntun yes\ntool wg\nforward4 1\nforward6 0\n\
             interface wg0 userspace yes 1420\ndevice wg0 {key} 51820 off\n\
             address wg0 10.10.0.1/24\naddress wg0 fe80::1/64\nroute wg0 4 main 192.168.7.0/24\n\
             peer\twg0\t{key}\tas-file\t[fe80::1%eth0]:51820\t10.10.0.2/32,192.168.7.0/24\t0\t1\t2\t25\n\
             file 600 yes {} /etc/wireguard/wg0.conf\n| [Interface]\n| PrivateKey = (hidden)\nend\n",
            "ab".repeat(32)
        );
        let host = parse(&text).unwrap();
        let interface = &host.interfaces[&"wg0".parse().unwrap()];
        assert_eq!(interface.peers.len(), 1);
        let endpoint = interface.peers.values().next().unwrap().endpoint;
        assert_eq!(endpoint, Some("[fe80::1]:51820".parse().unwrap()));
        assert_eq!(interface.addresses.len(), 1);
        assert_eq!(interface.routes.len(), 1);
        assert_eq!(
            host.files["/etc/wireguard/wg0.conf"].public_text,
            "[Interface]\nPrivateKey = (hidden)\n"
        );
        let cut = text.strip_suffix("end\n").unwrap();
        assert_eq!(parse(cut), Err(ObserveError::Truncated { lines: 19 }));
    }

    type Line<'a> = &'a dyn Fn(usize) -> String;

    #[test]
    fn no_host_fills_the_memory_of_the_plan() {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        let head = "observe 3\ninterface wg0 kernel yes 1420\n";
        let mark = "ab".repeat(32);
        let peers: Line<'_> =
            &|_| format!("peer\twg0\t{key}\tnone\t(none)\t(none)\t0\t0\t0\toff\n");
        let cases: [(&str, usize, Line<'_>); 7] = [
            ("peers", 100_000, peers),
            ("files", 1_000, &|n| format!("file 600 yes {mark} /{n}\n")),
            ("units", 1_000, &|n| format!("unit wg-quick@w{n}.service no no\n")),
            ("interfaces", 999, &|n| format!("interface w{n} kernel yes 1420\n")),
            ("addresses and routes", 200_000, &|_| "route wg0 4 main 10.0.0.0/8\n".to_owned()),
            ("programs", 100, &|_| "tool ip\n".to_owned()),
            ("lines", 1_999_995, &|_| "now 1\n".to_owned()),
        ];
        for (what, most, line) in cases {
            let mut text = String::from(head);
            (0..most).for_each(|number| text.push_str(&line(number)));
            assert!(parse(&format!("{text}end\n")).is_ok(), "{what}");
            (most..most + 5).for_each(|number| text.push_str(&line(number)));
            let said = parse(&format!("{text}end\n"));
            assert!(
                matches!(said, Err(ObserveError::TooMany { what: found, .. }) if found == what),
                "{said:?}"
            );
        }
        let long = format!(
            "{head}peer\twg0\t{key}\tnone\t(none)\t{}1.2.3.4/32",
            "10.0.0.0/8,".repeat(100_000)
        );
        assert!(matches!(parse(&long), Err(ObserveError::Line { line: 3, .. })));
    }

    #[test]
    fn what_a_host_lacks_is_named_with_what_brings_it() {
        let other = parse("observe 4\nfuture\nend\n");
        assert_eq!(other, Err(ObserveError::Protocol { found: 4 }));
        assert!(other.unwrap_err().to_string().ends_with("use one version of wgfleet for both"));
        assert_eq!(parse("observe 0\nend\n"), Err(ObserveError::Protocol { found: 0 }));
        let said = parse("observe 3\nlacks awk\nlacks setsid\ninstaller apt-get\nend\n");
        assert_eq!(
            said.unwrap_err().to_string(),
            "the host lacks awk and setsid, which wgfleet works with there: run \
             `apt-get install mawk util-linux` on it"
        );
    }

    #[test]
    fn what_says_which_machine_it_is_and_what_it_was_in_is_read() {
        let (id, keys) = ("ab".repeat(32), "cd".repeat(32));
        let host = parse(&format!(
            "observe 3\nmachine-id {id}\nhost-key {keys}\nfile 600 yes {id} /etc/x\n| of the file\n\
             record east\n| {{\n| }}\nrecord west\nend\n"
        ))
        .unwrap();
        assert_eq!(host.machine_id, id.parse().ok());
        assert_eq!(host.host_key, keys.parse().ok());
        let text = |of: &str, text: &str| (of.to_owned(), text.to_owned());
        assert_eq!(host.records, [text("east", "{\n}\n"), text("west", "")].into());
        assert_eq!(host.files["/etc/x"].public_text, "of the file\n");
        for line in ["record", "record ../x", "record East", "digest", "host-key x"] {
            let said = parse(&format!("observe 3\n{line}\nend\n"));
            assert!(matches!(said, Err(ObserveError::Line { line: 2, .. })), "{line}");
        }
    }

    #[test]
    fn a_path_has_its_blanks() {
        let mark = "ab".repeat(32);
        let text = |path| format!("observe 3\nfile 600 yes {mark} {path}\n| x\nend\n");
        for path in ["/etc/wire guard/wg0.conf", "/etc/wg  0.conf", "/etc/wg0.conf "] {
            let host = parse(&text(path)).unwrap();
            assert_eq!(host.files.keys().collect::<Vec<_>>(), [path]);
            assert_eq!(host.files[path].public_text, "x\n");
        }
        for path in ["", "etc/wg0.conf", "/etc/\u{7}", "/etc/\twg0.conf"] {
            assert!(matches!(parse(&text(path)), Err(ObserveError::Line { line: 2, .. })));
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in "((interface|device|peer|file|route|address|unit|end|\\|)?[ \\t]?[ -~\\t]{0,40}\n){0,12}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_mixture_of_sound_and_unsound_words_panics(lines in proptest::collection::vec(
            proptest::collection::vec(proptest::sample::select(vec![
                "interface", "device", "address", "route", "peer", "dropped", "no_peer", "file", "unit", "|", "| ", "wg0", "wg1", "kernel",
                "userspace", "yes", "no", "1420", "0", "-1", "4294967296", "600", "off", "(none)", "0x77", "0xfffffffff",
                "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "10.0.0.1/24", "10.0.0.1/33", "fd00::/64", "default",
                "4", "6", "main", "local", "table", "as-file", "other", "none", "1.2.3.4:0", "1.2.3.4:5", "[::1]:7",
                "10.0.0.0/8,fd00::/8", ",", "\t", "end", "now", "armed", "firewall", "record", "digest", "machine-id", "host-key", "f4", "tool", "é", "\u{0}", "/etc/x",
                "abababababababababababababababababababababababababababababababab",
            ]), 0..11),
            0..12,
        ), blank in proptest::sample::select(vec![" ", "\t", "  "])) {
            let text: String = lines.iter().map(|words| words.join(blank) + "\n").collect();
            if let Ok(host) = parse(&(text + "end\n")) {
                // What was accepted can be shown.
                let shown = host.units.keys().map(|unit| &**unit).chain(host.files.keys().map(|path| &**path));
                let shown = shown.chain(host.records.keys().map(String::as_str));
                for text in shown.chain(host.armed.as_deref()).chain(host.firewalls.keys().map(String::as_str)) {
                    prop_assert!(!text.chars().any(char::is_control));
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}

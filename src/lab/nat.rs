//! The source NAT of a site's router, as rules for nft(8).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Spec;
use super::spec::Node;
use super::wiring::UPLINK;

/// The rules of a router; `None` where no host is behind its NAT.
///
/// What they do is what a branch's cheap router does: packets leave with the router's address and
/// a random port, answers come back, and everything else from outside is dropped in silence. A port
/// is forwarded from outside alone: what comes from inside is not turned around (hairpin).
pub(super) fn rules(spec: &Spec, index: usize) -> Option<String> {
    let hosts = spec.hosts.iter().enumerate();
    let inside: Vec<_> =
        hosts.filter(|(_, host)| host.uplink.router == index && host.uplink.nat).collect();
    if inside.is_empty() {
        return None;
    }
    let ports: Vec<String> =
        inside.iter().map(|(index, _)| format!("\"{}\"", Node::Host(*index).id())).collect();
    let addresses = |v6: bool| -> Vec<String> {
        let all = inside.iter().flat_map(|(_, host)| host.uplink.all());
        all.filter(|addr| addr.is_ipv6() == v6).map(|addr| addr.to_string()).collect()
    };
    let mut text = String::from("table inet lab {\n");
    let mut set = |name: &str, kind: &str, elements: &[String]| {
        let elements = if elements.is_empty() {
            String::new()
        } else {
            format!("elements = {{ {} }}; ", elements.join(", "))
        };
        let _ = writeln!(text, "\tset {name} {{ type {kind}; {elements}}}");
    };
    set("ports", "ifname", &ports);
    set("inside4", "ipv4_addr", &addresses(false));
    set("inside6", "ipv6_addr", &addresses(true));
    text.push_str("\tchain forwards {\n\t\ttype nat hook prerouting priority dstnat;\n");
    for forward in &spec.routers[index].forwards {
        let (from, to) = (forward.from, forward.to);
        let (from_port, to_port) = (forward.from_port, forward.to_port);
        let _ = match to {
            IpAddr::V4(_) => writeln!(
                text,
                "\t\tiifname != @ports ip daddr {from} udp dport {from_port} dnat ip to {to}:{to_port}"
            ),
            IpAddr::V6(_) => writeln!(
                text,
                "\t\tiifname != @ports ip6 daddr {from} udp dport {from_port} dnat ip6 to [{to}]:{to_port}"
            ),
        };
    }
    let _ = write!(
        text,
        "\t}}
	chain out {{
		type nat hook postrouting priority srcnat;
		ip saddr @inside4 ip daddr != @inside4 masquerade fully-random
		ip6 saddr @inside6 ip6 daddr != @inside6 masquerade fully-random
	}}
	chain in {{
		type filter hook forward priority filter;
		oifname != @ports accept
		iifname @ports accept
		ct state established,related accept
		ct status dnat accept
		drop
	}}
	chain own {{
		type filter hook input priority filter;
		iifname != \"{UPLINK}\" accept
		ct state established,related accept
		meta l4proto {{ icmp, icmpv6 }} accept
		drop
	}}
}}
"
    );
    Some(text)
}

//! The IP header around messages: marks of congestion, and whether routers may divide them.

use crate::ends::{Backend, End, tunnel};
use crate::namespace::{Folder, require_root};

fn ours(outer: &str, folder: &Folder) -> (End, End) {
    tunnel(Backend::Ours, Backend::Ours, outer, folder)
}

/// Loads rules for what comes in, and what is counted there.
fn rules(end: &End, rules: &str) {
    let table = format!(
        "table inet t {{ chain in {{ type filter hook input priority 0; {rules} }}; \
         chain out {{ type filter hook output priority 0; }}; }}"
    );
    end.namespace.run("nft", [table]);
}

#[test]
fn single_messages_may_be_divided_on_their_way() {
    require_root();
    let folder = Folder::new();
    let (a, b) = ours("192.0.2.2", &folder);
    for end in [&a, &b] {
        rules(end, "udp dport 51821-51822 ip frag-off & 0x4000 != 0 drop;");
    }
    a.speaks_with(&b);
    a.namespace.run("ping", ["-c", "2", "-M", "do", "-s", "1392", "-W", "2", &b.inner()]);
}

#[test]
fn marks_of_congestion_go_out_and_come_back() {
    require_root();
    let folder = Folder::new();
    for (outer, ip) in [("192.0.2.2", "ip"), ("[2001:db8::2]", "ip6")] {
        let (a, b) = ours(outer, &folder);
        a.speaks_with(&b);
        // A class of its own (0xb8) with ECT(0) inside: only the mark is outside.
        let inside = "icmp type echo-request ip dscp 46 ip ecn";
        rules(
            &b,
            &format!(
                "udp dport 51822 {ip} dscp 46 drop; udp dport 51822 {ip} ecn ect0 counter; \
             {inside} ect0 counter accept; icmp type echo-request drop;"
            ),
        );
        let ping = ["-c", "1", "-W", "2", "-Q", "0xba", &b.inner()];
        a.namespace.run("ping", ping);
        // A router that meets congestion says so outside, and it arrives inside.
        b.namespace.run("nft", ["flush table inet t"]);
        b.namespace.run(
            "nft",
            [&format!(
                "add chain inet t pre {{ type filter hook prerouting priority -300; }}; \
             add rule inet t pre udp dport 51822 {ip} ecn ect0 {ip} ecn set ce; \
             add rule inet t in {inside} ce counter accept; \
             add rule inet t in icmp type echo-request drop"
            )],
        );
        a.namespace.run("ping", ping);
        // Whoever knows nothing of marks gets none.
        a.namespace.fails("ping", ["-c", "1", "-W", "1", "-Q", "0xb8", &b.inner()]);
    }
}

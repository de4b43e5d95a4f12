//! Different data planes in one fleet, and IPv6 outside.

use crate::yard::Yard;

const MIXED: &str = r#"
fleet: mixed
networks:
  backbone: { interface: wg0, prefixes: ["fd10::/64", 10.10.0.0/24], psk: pairwise }
defaults: { gateway: true }
sites:
  paris:
    subnets: ["fd01::/64", 192.168.1.0/24]
    hosts:
      paris-gw: { backend: embedded, endpoint: "[2001:db8:1::5]:51820", address: [10.10.0.1, "fd10::1"] }
  oslo:
    subnets: ["fd02::/64", 192.168.2.0/24]
    hosts:
      oslo-gw: { backend: wireguard-go, endpoint: "[2001:db8:2::5]:51820", address: [10.10.0.2, "fd10::2"] }
  branch:
    subnets: ["fd07::/64"]
    hosts:
      branch-gw: { backend: wireguard-go, nat: true, address: [10.10.0.3, "fd10::3"] }
"#;

#[test]
fn an_embedded_host_and_wireguard_go_over_ipv6() {
    let yard = Yard::up(MIXED);
    yard.settle();
    // The mark holds the process of wgfleet's own tunnel.
    let mark = "grep -q wgfleet /proc/$(cut -d ' ' -f 1 /run/wireguard/wg0.wgfleet)/cmdline";
    assert!(yard.holds("paris-gw", mark));
    assert!(yard.holds("oslo-gw", "test ! -e /run/wireguard/wg0.wgfleet && pgrep -x wireguard-go"));
    for (from, to) in [
        ("lan-paris-1", "fd02::64"),
        ("lan-oslo-1", "fd01::64"),
        ("lan-paris-2", "192.168.2.100"),
        ("lan-oslo-2", "192.168.1.100"),
        ("lan-branch-1", "fd01::64"),
        ("lan-branch-1", "fd02::64"),
        ("lan-oslo-1", "fd07::64"),
        ("branch-gw", "10.10.0.1"),
    ] {
        yard.reaches(from, to);
    }
    for session in yard.sessions("paris-gw", "wg0").values() {
        assert!(session.endpoint.starts_with('['), "{session:?}");
    }
    let status = yard.done(&["status"]).stdout;
    assert!(status.contains("embedded") && status.contains("wireguard-go"), "{status}");
}

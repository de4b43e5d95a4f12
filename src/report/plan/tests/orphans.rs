//! What is told of what the inventory no longer has.

use super::*;
use crate::model::HostName;
use crate::plan::{FormerTarget, Found, LeftOut, LiveInterface, NotAsked, Remains, Says};

fn orphan(name: &str, login: Option<(&str, Option<&str>)>, found: Found) -> Orphan {
    let login = login.map(|(ssh, commit)| FormerTarget {
        ssh: ssh.parse().unwrap(),
        commit: commit.map(|id| id.repeat(20).try_into().unwrap()),
    });
    let runs = matches!(found, Found::Own { .. }).then(|| vec![wg(0)]);
    let remains = Some(Remains { login, found });
    Orphan { remains, ..Orphan::new(OrphanKind::Host, name.to_owned(), runs) }
}

fn own(sessions: u64, handshake_age: Option<u64>) -> Found {
    let addresses = ["10.10.0.3/24".parse().unwrap()].into();
    let interfaces =
        vec![LiveInterface { interface: wg(0), addresses, peers: 2, sessions, handshake_age }];
    let file = |name: u32| format!("/etc/wireguard/wg{name}.conf");
    Found::Own {
        text: Untrusted::new("ann@ctl on 2026-11-20"),
        interfaces,
        units: vec!["wg-quick@wg0.service".to_owned()],
        files: (0..6).map(file).collect(),
        forwarding: vec![Family::V4],
        masquerades: true,
    }
}

#[test]
fn what_still_runs_is_told_with_what_ends_it() {
    let (a, b): (HostName, HostName) = ("a".parse().unwrap(), "b".parse().unwrap());
    let mut plan = plan(Vec::new());
    let running = orphan("h7", Some(("root@192.0.2.7", Some("0a"))), own(1, Some(12)));
    let idle = orphan("h8", Some(("h8", None)), own(0, Some(86_400)));
    plan.orphans = vec![
        Orphan { peer_of: vec![a.clone(), b.clone()], ..running },
        Orphan { peer_of: vec![a.clone()], stays_peer_of: vec![a], ..idle },
        Orphan::new(OrphanKind::Network, "red".to_owned(), Some(vec![wg(0), wg(1)])),
    ];
    insta::assert_snapshot!(text(&plan, Detail::Grouped), @r"
    No longer in the inventory:
      host h7: wg0 still runs
        root@192.0.2.7 (as of commit 0a0a0a0a0a0a), changed last by ann@ctl on 2026-11-20
        wg0: 10.10.0.3/24, 2 peers, 1 session alive (last handshake 12 s ago): traffic may flow
        starts at boot: wg-quick@wg0.service
        forwards IPv4, masquerades
        files: /etc/wireguard/wg0.conf, /etc/wireguard/wg1.conf, /etc/wireguard/wg2.conf, /etc/wireguard/wg3.conf and 2 more
        to end it by hand, as root there: `systemctl disable --now wg-quick@wg0.service; ip link del wg0 2>/dev/null; nft delete table inet wgfleet-f; sysctl net.ipv4.ip_forward=0; rm -f /etc/wireguard/wg0.conf /etc/wireguard/wg1.conf /etc/wireguard/wg2.conf /etc/wireguard/wg3.conf /etc/wireguard/wg4.conf /etc/wireguard/wg5.conf /var/lib/wgfleet/f.json`
        a, b have it as a peer; none of them after this plan
      host h8: wg0 still runs
        h8 (where the last login from here went), changed last by ann@ctl on 2026-11-20
        wg0: 10.10.0.3/24, 2 peers, the last handshake was 24 h ago: no traffic flows
        starts at boot: wg-quick@wg0.service
        forwards IPv4, masquerades
        files: /etc/wireguard/wg0.conf, /etc/wireguard/wg1.conf, /etc/wireguard/wg2.conf, /etc/wireguard/wg3.conf and 2 more
        to end it by hand, as root there: `systemctl disable --now wg-quick@wg0.service; ip link del wg0 2>/dev/null; nft delete table inet wgfleet-f; sysctl net.ipv4.ip_forward=0; rm -f /etc/wireguard/wg0.conf /etc/wireguard/wg1.conf /etc/wireguard/wg2.conf /etc/wireguard/wg3.conf /etc/wireguard/wg4.conf /etc/wireguard/wg5.conf /var/lib/wgfleet/f.json`
        a has it as a peer; after this plan still a
      network red: wg0, wg1 still run

    No changes.
    ");
}

#[test]
fn who_is_left_out_is_told_with_the_reason() {
    let mut plan = plan(Vec::new());
    let left_out = |orphan: Orphan, why| Orphan { left_out: Some(why), ..orphan };
    let over = LeftOut::Over { until: "2027-01-31".to_owned() };
    plan.orphans = vec![
        left_out(
            orphan("h1", None, Found::NotAsked { why: NotAsked::NoTarget }),
            LeftOut::Disabled,
        ),
        left_out(orphan("phone", None, Found::NotAsked { why: NotAsked::Peer }), over),
        Orphan::new(OrphanKind::Network, "red".to_owned(), Some(Vec::new())),
    ];
    insta::assert_snapshot!(text(&plan, Detail::Grouped), @r"
    Left out by the inventory:
      host h1, disabled: what runs there could not be read: neither a commit that hosts recorded nor an earlier login from here says where it is
      peer phone, its time was over with 2027-01-31: nobody can log in to it; its own configuration stays there
    No longer in the inventory:
      network red: nothing of it runs

    No changes.
    ");
}

#[test]
fn why_nobody_knows_what_runs_is_told() {
    let another = |says, fleet: Option<&str>, host: Option<&str>| Found::Another {
        says,
        fleet: fleet.map(|name| name.parse().unwrap()),
        host: host.map(|name| name.parse().unwrap()),
    };
    let not_asked = |why| Found::NotAsked { why };
    let at = Some(("root@h", None));
    let refused = Unanswered::Login { said: Untrusted::new("refused\u{1b}[31m") };
    let mut plan = plan(Vec::new());
    plan.orphans = vec![
        orphan("h1", None, not_asked(NotAsked::OutsideLimit)),
        orphan("h2", None, not_asked(NotAsked::NoTarget)),
        orphan("h3", None, not_asked(NotAsked::Peer)),
        orphan("h4", at, Found::Unreadable { reason: refused }),
        orphan("h5", at, another(Says::OtherHost, Some("acme"), Some("h9"))),
        orphan("h6", at, another(Says::OtherFleet, Some("beta"), Some("x"))),
        orphan("h7", at, another(Says::Copy, None, None)),
        orphan("h8", at, another(Says::Unclear, None, None)),
        orphan("h9", at, another(Says::Nothing, None, None)),
    ];
    insta::assert_snapshot!(text(&plan, Detail::Grouped), @r"
    No longer in the inventory:
      host h1: what runs there was not read; `--limit h1` reads it
      host h2: what runs there could not be read: neither a commit that hosts recorded nor an earlier login from here says where it is
      host h3: it was an unmanaged peer, and nobody can log in to it; take its configuration away there
      host h4: root@h (where the last login from here went) could not be read: ssh did not connect: refused\u{1b}[31m
      host h5: the machine at root@h (where the last login from here went) is host `h9` now
      host h6: the machine at root@h (where the last login from here went) has no record of this fleet, and is `x` of fleet `beta`
      host h7: the machine at root@h (where the last login from here went) is a copy of it: its machine-id and its ssh host keys are not those of the record there
      host h8: the machine at root@h (where the last login from here went) has a record of this fleet that cannot be read
      host h9: the machine at root@h (where the last login from here went) has no record of wgfleet: it was installed anew, or cleaned up

    No changes.
    ");
}

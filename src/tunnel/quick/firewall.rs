//! The packet filter of a full tunnel, in the words of nft(8) and of iptables-restore(8).
//!
//! Packets to the tunnel's own addresses may only come through the tunnel, and answers to
//! encrypted packets keep their mark, so that reverse-path filters find the way they came.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::model::{Family, InterfaceName};

/// The rules of one address family, for `nft -f -`.
pub(super) fn nft(interface: &InterfaceName, family: Family, mark: u32, own: &[IpAddr]) -> String {
    let pf = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let table = format!("{pf} wg-quick-{interface}");
    let mut text = format!(
        "add table {table}\n\
         add chain {table} preraw {{ type filter hook prerouting priority -300; }}\n\
         add chain {table} premangle {{ type filter hook prerouting priority -150; }}\n\
         add chain {table} postmangle {{ type filter hook postrouting priority -150; }}\n"
    );
    for address in own {
        let _ = writeln!(
            text,
            "add rule {table} preraw iifname != \"{interface}\" {pf} daddr {address} \
             fib saddr type != local drop"
        );
    }
    let _ = write!(
        text,
        "add rule {table} postmangle meta l4proto udp mark {mark} ct mark set mark\n\
         add rule {table} premangle meta l4proto udp meta mark set ct mark\n"
    );
    text
}

/// The same for `iptables-restore -n` and `ip6tables-restore -n`.
pub(super) fn iptables(interface: &InterfaceName, mark: u32, own: &[IpAddr]) -> String {
    let marker = format!("-m comment --comment \"wg-quick(8) rule for {interface}\"");
    let mut text = "*raw\n".to_owned();
    for address in own {
        let _ = writeln!(
            text,
            "-I PREROUTING ! -i {interface} -d {address} -m addrtype ! --src-type LOCAL \
             -j DROP {marker}"
        );
    }
    let _ = write!(
        text,
        "COMMIT\n*mangle\n\
         -I POSTROUTING -m mark --mark {mark} -p udp -j CONNMARK --save-mark {marker}\n\
         -I PREROUTING -p udp -j CONNMARK --restore-mark {marker}\nCOMMIT\n"
    );
    text
}

/// The commands that delete our tables, from what `nft list tables` printed.
pub(super) fn nft_removal(interface: &InterfaceName, listed: &str) -> String {
    let suffix = format!(" wg-quick-{interface}");
    let ours = listed.lines().filter(|line| line.ends_with(&suffix));
    ours.fold(String::new(), |text, line| text + "delete " + line + "\n")
}

/// What deletes our rules, from what `iptables-save` printed; empty where there are none.
pub(super) fn iptables_removal(interface: &InterfaceName, saved: &str) -> String {
    let marker = format!("-m comment --comment \"wg-quick(8) rule for {interface}\"");
    let mut found = false;
    let mut text = String::new();
    for line in saved.lines() {
        if let Some(rule) = line.strip_prefix("-A").filter(|rule| rule.contains(&marker)) {
            found = true;
            let _ = writeln!(text, "-D{rule}");
        } else if line.starts_with('*') || line == "COMMIT" {
            let _ = writeln!(text, "{line}");
        }
    }
    if found { text } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rules_of_this_interface_are_removed() {
        let wg0: InterfaceName = "wg0".parse().unwrap();
        let listed = "table ip wg-quick-wg0\ntable ip6 wg-quick-wg0\ntable ip wg-quick-xwg0\n";
        let listed = format!("{listed}table ip nat\n");
        assert_eq!(
            nft_removal(&wg0, &listed),
            "delete table ip wg-quick-wg0\ndelete table ip6 wg-quick-wg0\n"
        );
        let saved = "*raw\n-A PREROUTING -d 10.0.0.1/32 -m comment --comment \"wg-quick(8) rule \
                     for wg0\" -j DROP\n-A PREROUTING -j ACCEPT\nCOMMIT\n";
        assert_eq!(
            iptables_removal(&wg0, saved),
            "*raw\n-D PREROUTING -d 10.0.0.1/32 -m comment --comment \"wg-quick(8) rule for \
             wg0\" -j DROP\nCOMMIT\n"
        );
        assert_eq!(iptables_removal(&wg0, "*raw\n-A PREROUTING -j ACCEPT\nCOMMIT\n"), "");
    }
}

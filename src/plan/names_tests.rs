//! Whose a name is.

use super::*;
use crate::model::Fingerprint;

const F4: &str =
    "# wg0 on h6, network net of fleet f4.\n# Managed by wgfleet: edit the inventory\n";
const F6: &str =
    "# wg7 on h6, network net of fleet f.6.\n# Managed by wgfleet: edit the inventory\n";
const RULES: &str = "# Managed by wgfleet\n?oifname != { \"wg0\", \"wg1\" } ip saddr 10.0.0.0/8\n";

fn host(files: &[(&str, &str)]) -> ObservedHost {
    let file = |(path, text): &(&str, &str)| {
        let fingerprint = Fingerprint::from_bytes([0; 32]);
        let public_text = (*text).to_owned();
        (HostPath::made(path), ObservedFile { mode: 0o600, root: true, fingerprint, public_text })
    };
    ObservedHost { files: files.iter().map(file).collect(), ..ObservedHost::default() }
}

fn names(fleet: &str) -> Names {
    Names::of(&fleet.parse().unwrap())
}

fn another(fleet: &str) -> Owner {
    Owner::Another(fleet.parse().unwrap())
}

#[test]
fn names_are_of_one_fleet_and_fit() {
    let longest = "a".repeat(63);
    let fleets = ["a", "a.b", "a-b", "a.nft", "b.conf", "9", longest.as_str()];
    let mut all = BTreeSet::new();
    for fleet in fleets {
        let Names { table, firewall_file, sysctl_file, .. } = names(fleet);
        assert!(table.len() < 256, "NFT_NAME_MAXLEN");
        for path in [&firewall_file, &sysctl_file] {
            assert_eq!(fleet_of_path(path), Some(fleet.parse().unwrap()), "{path}");
            // `.NAME.wgfleet`, where it waits.
            assert!(path.rsplit('/').next().unwrap().len() + 9 < 256, "NAME_MAX");
        }
        all.extend([table, firewall_file.to_string(), sysctl_file.to_string()]);
    }
    assert_eq!(all.len(), fleets.len() * 3);
    for path in [LEGACY_FIREWALL_FILE, LEGACY_SYSCTL_FILE, "/etc/wireguard/wgfleet-.nft"] {
        assert_eq!(fleet_of_path(path), None);
    }
}

#[test]
fn what_names_another_fleet_is_never_owned() {
    let drop_in = "/etc/systemd/system/wg-quick@wg7.service.d/wgfleet.conf";
    let observed = host(&[
        ("/etc/wireguard/wg0.conf", F4),
        ("/etc/wireguard/wg7.conf", F6),
        ("/etc/wireguard/wgx.conf", "# Managed by wgfleet, by a template of its own\n"),
        (drop_in, "# Managed by wgfleet.\n[Service]\n"),
    ]);
    let (f4, f6) = (names("f4"), names("f.6"));
    for (path, of_f4, of_f6) in [
        ("/etc/wireguard/wg0.conf", true, false),
        ("/etc/wireguard/wg7.conf", false, true),
        ("/etc/wireguard/wgx.conf", true, true),
        (drop_in, false, true),
        ("/etc/systemd/system/wgfleet-wg0.service", true, false),
        ("/etc/systemd/system/wgfleet-wg9.service", true, true),
        ("/etc/sysctl.d/60-wgfleet-f4.conf", true, false),
        ("/etc/wireguard/wgfleet-f.6.nft", false, true),
    ] {
        assert_eq!(
            (f4.may_own(path, &observed), f6.may_own(path, &observed)),
            (of_f4, of_f6),
            "{path}"
        );
    }
}

#[test]
fn what_has_no_fleet_in_its_name_is_decided_by_what_stands_there() {
    let files =
        [("/etc/wireguard/wg0.conf", F4), (LEGACY_FIREWALL_FILE, RULES), (LEGACY_SYSCTL_FILE, "")];
    let alone = host(&files);
    let rules = |fleet: &str, observed: &ObservedHost| names(fleet).legacy_rules(observed);
    let sysctls = |fleet: &str, observed: &ObservedHost| names(fleet).legacy_sysctls(observed);
    assert_eq!((rules("f4", &alone), sysctls("f4", &alone)), (Owner::Ours, Owner::Ours));
    // A fleet that comes to this machine takes nothing of it.
    assert_eq!((rules("f.6", &alone), sysctls("f.6", &alone)), (another("f4"), another("f4")));
    let notes = names("f.6").left_alone(&alone);
    assert_eq!(notes.len(), 2);
    assert!(notes[1].starts_with("/etc/sysctl.d/60-wgfleet.conf is left as it is"), "{notes:?}");
    assert!(names("f4").left_alone(&alone).is_empty());
    // Two that 0.1.0 set up: the rules tell by their interfaces, the sysctls cannot.
    let mut both = host(&[&files[..], &[("/etc/wireguard/wg7.conf", F6)]].concat());
    assert_eq!((rules("f4", &both), rules("f.6", &both)), (Owner::Ours, another("f4")));
    assert_eq!((sysctls("f4", &both), sysctls("f.6", &both)), (another("f.6"), another("f4")));
    // One of them has been applied since.
    both.records.insert("f.6".to_owned(), String::new());
    assert_eq!((sysctls("f4", &both), sysctls("f.6", &both)), (Owner::Ours, another("f4")));
    both.records.clear();
    let named = host(&[("/etc/sysctl.d/60-wgfleet-f.6.conf", "")]).files;
    both.files.extend(named);
    assert_eq!(sysctls("f4", &both), Owner::Ours);
    // Nothing says whose: it is that of whoever asks, as ever.
    let bare = host(&[(LEGACY_FIREWALL_FILE, ""), (LEGACY_SYSCTL_FILE, "")]);
    assert_eq!((rules("f4", &bare), sysctls("f.6", &bare)), (Owner::Ours, Owner::Ours));
}

#[test]
fn a_host_masquerades_for_the_fleet_whose_table_it_is() {
    let mut observed = host(&[("/etc/wireguard/wg0.conf", F4), (LEGACY_FIREWALL_FILE, RULES)]);
    assert!(!names("f4").masquerades(&observed));
    observed.firewalls.insert(LEGACY_TABLE.to_owned(), None);
    assert!(names("f4").masquerades(&observed) && !names("f.6").masquerades(&observed));
    observed.firewalls = [("wgfleet-f.6".to_owned(), None)].into();
    assert!(!names("f4").masquerades(&observed) && names("f.6").masquerades(&observed));
}

#[test]
fn no_text_of_a_host_panics() {
    for text in ["# of fleet ", "# x of fleet .", "# x of fleet \u{202e}", "oifname != {", "#"] {
        let observed = host(&[("/etc/wireguard/wg0.conf", text), (LEGACY_FIREWALL_FILE, text)]);
        assert_eq!(names("f4").legacy_rules(&observed), Owner::Ours);
    }
}

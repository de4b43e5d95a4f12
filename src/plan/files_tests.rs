//! What people are shown of a host's files.

use super::*;
use crate::model::Fingerprint;
use crate::plan::SecretState;

fn seen(text: &str) -> ObservedFile {
    let fingerprint = Fingerprint::from_bytes([1; 32]);
    ObservedFile { mode: 0o600, root: true, fingerprint, public_text: text.to_owned() }
}

fn wanted(text: &str) -> TargetFile {
    let fingerprint = Fingerprint::from_bytes([2; 32]);
    let secrets = SecretState::Compared;
    TargetFile { mode: 0o600, fingerprint, public_text: text.to_owned(), conf: None, secrets }
}

fn shown(old: &str, new: &str) -> Vec<String> {
    let (lines, _) = updated(&seen(old), &wanted(new), &Told::default());
    lines.iter().map(|line| format!("{}{}", line.sign, line.text)).collect()
}

#[test]
fn a_change_is_shown_with_a_line_around_it() {
    assert_eq!(shown("a\nb\nc\nd\ne\n", "a\nb\nx\nd\ne\n"), [" b", "-c", "+x", " d"]);
    assert_eq!(shown("", "a\n"), ["+a"]);
    assert_eq!(shown("a\n", ""), ["-a"]);
    assert_eq!(shown("a\na\n", "a\n"), [" a", "-a"]);
    assert_eq!(shown("a\n", "a\n"), [] as [&str; 0]);
}

#[test]
fn a_host_cannot_stall_a_plan_or_drown_it() {
    let own = "[Interface]\nMTU = 1420\n";
    let noise = "7\n9\n1\n977\n".repeat(100_000);
    let text = format!("{noise}{own}{noise}");
    let lines = shown(&text, &format!("{own}PostUp = true\n"));
    assert!(lines.len() < 300, "{}", lines.len());
    assert!(lines.contains(&"+PostUp = true".to_owned()), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("more lines of the file")), "{lines:?}");
    // What is written is never left out.
    let many = "PostUp = true\n".repeat(5_000);
    let lines = shown(&noise, &many);
    assert_eq!(lines.iter().filter(|line| line.starts_with('+')).count(), 5_000);
}

#[test]
fn keys_are_hidden_on_either_side() {
    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    let lines = shown(&format!("PostUp = a {key}\n"), &format!("PostUp = b {key}\n"));
    assert_eq!(lines, ["-PostUp = a (hidden)", "+PostUp = b (hidden)"]);
}

#[test]
fn what_other_changes_tell_is_left_out_with_the_lines_around_it() {
    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    let field = crate::plan::FieldChange {
        field: crate::plan::PeerField::Keepalive,
        from: None,
        to: Some("20".to_owned()),
    };
    let interface: crate::model::InterfaceName = "wg0".parse().unwrap();
    let peer = crate::plan::PeerRef { name: None, key: key.parse().unwrap() };
    let (fields, of) = (vec![field], interface.clone());
    let changes = [Change::ChangePeer { interface: of, peer, fields }];
    let told = Told::of(&interface, &changes);
    let old = format!("[Interface]\nMTU = 1420\n[Peer]\nPublicKey = {key}\n# end\n");
    let line = "PersistentKeepalive = 20\n";
    let new = format!("[Interface]\nMTU = 1420\n[Peer]\nPublicKey = {key}\n{line}# end\n");
    assert_eq!(updated(&seen(&old), &wanted(&new), &told), (Vec::new(), 1));
    let new = new.replace("MTU = 1420", "MTU = 1420\nTable = off");
    let (lines, said) = updated(&seen(&old), &wanted(&new), &told);
    assert_eq!(said, 1);
    let lines: Vec<String> = lines.iter().map(|l| format!("{}{}", l.sign, l.text)).collect();
    assert_eq!(lines, [" MTU = 1420", "+Table = off", " [Peer]"]);
}

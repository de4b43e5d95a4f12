//! Before anything is touched somebody is asked, on a terminal, and takes their time.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::fleet::Fleet;

const TWO: &str = "fleet: ops
networks:
  net: { interface: wg0, prefixes: 10.90.0.0/24 }
hosts:
  a: { ssh: root@a.example.com, address: 10.90.0.1, endpoint: 'a.example.com:51820' }
  b: { ssh: root@b.example.com, address: 10.90.0.2, endpoint: 'b.example.com:51820' }
";

/// Longer than a connection lasts that nobody uses.
const LONG: Duration = Duration::from_secs(35);
const PATIENCE: Duration = Duration::from_mins(1);

/// `wgfleet` on a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<u8>,
    shown: String,
}

impl Terminal {
    fn run(fleet: &Fleet, args: &[&str]) -> Self {
        let wgfleet = fleet.command(args);
        let words = std::iter::once(wgfleet.get_program()).chain(wgfleet.get_args());
        let line: Vec<String> =
            words.map(|word| format!("'{}'", word.to_str().expect("plain words"))).collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
        for (name, value) in wgfleet.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("script(1) of bsdutils runs");
        let keyboard = child.stdin.take().expect("a pipe");
        let mut screen = child.stdout.take().expect("a pipe");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let mut byte = [0];
            while screen.read_exact(&mut byte).is_ok() && tell.send(byte[0]).is_ok() {}
        });
        Self { child, keyboard, screen: told, shown: String::new() }
    }

    /// Reads the screen until a text is on it.
    fn sees(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let byte = self.screen.recv_timeout(PATIENCE);
            let byte = byte.unwrap_or_else(|why| panic!("{why}, no {text:?} in {}", self.shown));
            self.shown.push(char::from(byte));
        }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("it listens");
    }

    fn ends(mut self, code: i32) -> String {
        while let Ok(byte) = self.screen.recv_timeout(PATIENCE) {
            self.shown.push(char::from(byte));
        }
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{}", self.shown);
        std::mem::take(&mut self.shown)
    }
}

#[test]
fn a_plan_is_read_for_long_and_carried_out_all_the_same() {
    let fleet = Fleet::up(TWO, &[]);
    let mut terminal = Terminal::run(&fleet, &["apply"]);
    terminal.sees("[y/N]");
    std::thread::sleep(LONG);
    terminal.types("y\n");
    let shown = terminal.ends(0);
    assert!(shown.contains("2 applied"), "{shown}");
    fleet.in_order();
    fleet.reaches("a", "10.90.0.2");
}

#[test]
fn a_question_can_be_interrupted_or_answered_with_no() {
    let fleet = Fleet::up(TWO, &[]);
    let before = fleet.state("a");
    let mut terminal = Terminal::run(&fleet, &["apply"]);
    terminal.sees("[y/N]");
    terminal.types("\u{3}");
    terminal.ends(130);
    assert_eq!(fleet.state("a"), before);
    // What would be done is shown before the question, and JSON stays whole.
    let mut terminal = Terminal::run(&fleet, &["apply", "--format", "json"]);
    terminal.sees("[y/N]");
    assert!(terminal.shown.contains(", on 2 hosts"), "{}", terminal.shown);
    assert!(terminal.shown.contains("2 flows begin to work"), "{}", terminal.shown);
    terminal.types("n\n");
    let shown = terminal.ends(0);
    assert!(shown.contains("\"outcomes\":[]"), "{shown}");
    assert_eq!(fleet.state("a"), before);
}

/// Errors are told also to whoever wants to hear of nothing else, on a control path of any length.
#[test]
fn quiet_tells_what_failed_and_a_long_temporary_folder_is_no_reason_to() {
    let fleet = Fleet::up(TWO, &[]);
    let folder = fleet.folder().join("a-folder-whose-path-is-much-too-long-for-a-control-socket");
    std::fs::create_dir(&folder).expect("a folder of our own");
    let output = fleet.command(&["apply", "--yes"]).env("TMPDIR", &folder).output();
    crate::fleet::ends(&output.expect("it runs"), 0, &["apply"]);
    fleet.edit("address: 10.90.0.1", "address: 10.90.0.1, mtu: 1300, post_up: \"false\"");
    let said = fleet.ends(8, &["--quiet", "apply", "--yes", "--limit", "a"]);
    assert!(said.contains("a: rolled back"), "{said}");
}

//! How ssh(1) reaches the hosts of a lab.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::spec::{HostSpec, Node};
use super::state::Lab;
use super::workers::each;
use super::{LabError, netns};
use crate::sys::{Mode, write_atomic};

/// The port of every sshd.
pub(super) const PORT: u16 = 22;

/// Quotes a word for the shell that ssh(1) gives a `ProxyCommand` to, after its `%` tokens.
fn proxy_word(word: &str) -> String {
    format!("'{}'", word.replace('%', "%%").replace('\'', "'\\''"))
}

/// Writes `known_hosts` and `ssh_config`; `keys` has each host's public key.
pub(super) fn configure(lab: &Lab, keys: &[Option<String>]) -> Result<(), LabError> {
    let mut known = String::new();
    for (host, key) in lab.spec.hosts.iter().zip(keys) {
        if let Some(key) = key {
            let mut words = key.split_ascii_whitespace();
            let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let _ = writeln!(known, "{} {kind} {key}", host.name);
        }
    }
    write_atomic(&lab.dir.known_hosts(), known.as_bytes(), Mode::Private)?;
    Ok(write_atomic(&lab.dir.ssh_config(), config(lab).as_bytes(), Mode::Private)?)
}

fn config(lab: &Lab) -> String {
    let name = &lab.spec.name;
    let mut text = format!("# The lab {name}. A host that is not listed cannot be reached.\n");
    for host in &lab.spec.hosts {
        let Some(aliases) = &host.ssh else { continue };
        let mut patterns = vec![host.name.as_str()];
        patterns.extend(aliases.iter().map(String::as_str).filter(|a| *a != host.name.as_str()));
        let _ = writeln!(
            text,
            "Host {}\n  HostName {}\n  HostKeyAlias {}\n  User {}",
            patterns.join(" "),
            host.management,
            host.name,
            host.login.user()
        );
    }
    let program = proxy_word(&lab.program.to_string_lossy());
    let _ = write!(
        text,
        "Host *
  Port {PORT}
  ProxyCommand {program} lab connect {name} %h
  ProxyUseFdpass yes
  IdentityFile {}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  GSSAPIAuthentication no
  BatchMode yes
",
        lab.dir.ssh_key().display(),
        lab.dir.known_hosts().display()
    );
    text
}

/// How long a host may take to start: a systemd in an emulated machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until the sshd of each host has said who it is; of a host without one, until it is on.
pub(super) fn wait(lab: &Lab, hosts: &[usize]) -> Result<(), LabError> {
    netns::within(&lab.dir.pin(Node::Controller), || {
        each(hosts, |index| {
            let host = &lab.spec.hosts[*index];
            let deadline = Instant::now() + PATIENCE;
            while !answers(lab, *index, host) {
                if Instant::now() > deadline {
                    let log = lab.dir.host(&Node::Host(*index).id()).join("log");
                    return Err(LabError::Silent { host: host.name.to_string(), said: tail(&log) });
                }
                sleep(Duration::from_millis(5));
            }
            Ok(())
        })
    })
}

/// Whether a host is up, seen from this thread's namespace.
fn answers(lab: &Lab, index: usize, host: &HostSpec) -> bool {
    if lab.dir.pid(Node::Host(index)).is_none() {
        return false;
    }
    if host.ssh.is_none() {
        return true;
    }
    let addr = SocketAddr::new(IpAddr::V4(host.management), PORT);
    let Ok(mut stream) = TcpStream::connect_timeout(&addr, Duration::from_secs(2)) else {
        return false;
    };
    let mut banner = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut banner).is_ok()
        && &banner == b"SSH-"
}

/// The end of a log, for an error.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    if lines.is_empty() {
        return "it says nothing".to_owned();
    }
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_command_survives_a_hostile_path() {
        assert_eq!(proxy_word("/a b/'%h#"), r"'/a b/'\''%%h#'");
    }
}

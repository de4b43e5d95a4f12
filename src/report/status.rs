//! The sessions of a fleet by name: who talks to whom, and since when.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::desired::{DesiredInterface, DesiredState};
use crate::model::{HostName, InterfaceName, PublicKey, Untrusted};
use crate::observed::{
    DropCounts, LiveBackend, ObservedHost, ObservedInterface, ObservedPeer, Unanswered,
};
use crate::plan::LeftOut;

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// The last handshake is younger than a session lives.
    Fresh,
    /// No recent handshake, and no keepalive that would ask for one.
    Idle,
    /// No recent handshake, though a keepalive should have brought one.
    Late,
    /// There never was a handshake.
    Never,
    /// The file has the peer, the host does not.
    Missing,
    /// The host has the peer, the file does not.
    Unknown,
}

/// Seconds after which a session is rejected without a new handshake (`WireGuard` paper, section
/// 6.1: Reject-After-Time).
const REJECT_AFTER: u64 = 180;

/// One side of one session.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Session"))]
pub struct SessionStatus {
    /// The host that says so.
    pub host: HostName,
    /// Its interface.
    pub interface: InterfaceName,
    /// What carries the interface's packets.
    pub backend: Option<LiveBackend>,
    /// The peer's name; `None` where no name belongs to the key.
    pub peer: Option<HostName>,
    /// The peer's key.
    pub public_key: PublicKey,
    /// How the session stands.
    pub state: SessionState,
    /// Seconds since the last handshake.
    pub handshake_age: Option<u64>,
    /// Where the peer was last seen.
    #[cfg_attr(test, schemars(with = "Option<crate::model::schema::Word>"))]
    pub endpoint: Option<String>,
    /// Bytes received from it.
    pub received: u64,
    /// Bytes sent to it.
    pub sent: u64,
    /// What was dropped on the way to it or from it, where the embedded tunnel counts that.
    pub dropped: DropCounts,
}

/// What an interface dropped that belongs to no peer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dropped {
    /// The host that says so.
    pub host: HostName,
    /// Its interface.
    pub interface: InterfaceName,
    /// How much, by cause.
    pub dropped: DropCounts,
}

/// All sessions of a fleet.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Sessions, in order of the file.
    pub sessions: Vec<SessionStatus>,
    /// What interfaces dropped; those that dropped nothing are left out.
    pub dropped: Vec<Dropped>,
    /// Hosts that could not be read, with the reasons.
    pub unreadable: BTreeMap<HostName, Unanswered>,
    /// Hosts and peers that the inventory leaves out, with the reasons.
    pub left_out: BTreeMap<HostName, LeftOut>,
}

impl Status {
    /// Adds what one host says.
    pub fn add(
        &mut self,
        state: &DesiredState,
        names: &BTreeMap<PublicKey, HostName>,
        host: &HostName,
        seen: &ObservedHost,
    ) {
        let wanted = state.hosts.iter().find(|desired| desired.name == *host);
        for desired in wanted.iter().flat_map(|host| &host.interfaces) {
            let live = seen.interfaces.get(&desired.name);
            for (key, peer) in &desired.peers {
                let observed = live.and_then(|live| live.peers.get(key));
                let kept = peer.keepalive.is_some() || keeps(state, &peer.name, desired);
                let mut session = base(host, desired, live, *key);
                session.peer = Some(peer.name.clone());
                if let Some(observed) = observed {
                    fill(&mut session, observed, seen.now, kept);
                    session.dropped = of_peer(seen, desired, key);
                }
                self.sessions.push(session);
            }
            for (key, observed) in live.iter().flat_map(|live| &live.peers) {
                if desired.peers.contains_key(key) {
                    continue;
                }
                let mut session = base(host, desired, live, *key);
                session.peer = names.get(key).cloned();
                fill(&mut session, observed, seen.now, false);
                session.state = SessionState::Unknown;
                session.dropped = of_peer(seen, desired, key);
                self.sessions.push(session);
            }
            let drops = seen.dropped.get(&desired.name).map(|drops| &drops.interface);
            if let Some(dropped) = drops.filter(|drops| !drops.is_empty()).cloned() {
                let interface = desired.name.clone();
                self.dropped.push(Dropped { host: host.clone(), interface, dropped });
            }
        }
    }
}

fn of_peer(seen: &ObservedHost, desired: &DesiredInterface, key: &PublicKey) -> DropCounts {
    let drops = seen.dropped.get(&desired.name);
    drops.and_then(|drops| drops.peers.get(key)).cloned().unwrap_or_default()
}

/// Whether the other end keeps the session open.
fn keeps(state: &DesiredState, peer: &HostName, this: &DesiredInterface) -> bool {
    let other = state.hosts.iter().find(|host| host.name == *peer);
    let same = other.into_iter().flat_map(|host| &host.interfaces);
    same.filter(|own| own.network == this.network)
        .any(|own| own.peers.get(&this.public_key).is_some_and(|peer| peer.keepalive.is_some()))
}

fn base(
    host: &HostName,
    desired: &DesiredInterface,
    live: Option<&ObservedInterface>,
    public_key: PublicKey,
) -> SessionStatus {
    SessionStatus {
        host: host.clone(),
        interface: desired.name.clone(),
        backend: live.map(|live| live.backend),
        peer: None,
        public_key,
        state: SessionState::Missing,
        handshake_age: None,
        endpoint: None,
        received: 0,
        sent: 0,
        dropped: DropCounts::new(),
    }
}

fn fill(session: &mut SessionStatus, observed: &ObservedPeer, now: u64, kept: bool) {
    let handshake = observed.latest_handshake;
    session.handshake_age = (handshake > 0).then(|| now.saturating_sub(handshake));
    session.state = match session.handshake_age {
        None => SessionState::Never,
        Some(age) if age <= REJECT_AFTER => SessionState::Fresh,
        Some(_) if kept => SessionState::Late,
        Some(_) => SessionState::Idle,
    };
    session.endpoint = observed.endpoint.map(|endpoint| endpoint.to_string());
    session.received = observed.received;
    session.sent = observed.sent;
}

/// The sessions as a table.
#[must_use]
pub fn human(status: &Status) -> String {
    const HEAD: [&str; 8] =
        ["HOST", "INTERFACE", "PEER", "STATE", "HANDSHAKE", "ENDPOINT", "RECEIVED", "SENT"];
    let rows: Vec<[String; 8]> = status.sessions.iter().map(row).collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(HEAD[column].len())
        })
        .collect();
    let mut out = String::new();
    let mut line = |cells: &[&str], style: Option<Style>| {
        let mut text = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let pad = widths[index] - cell.chars().count().min(widths[index]);
            let painted = match style {
                Some(style) if index == 3 => format!("{style}{cell}{style:#}"),
                _ => (*cell).to_owned(),
            };
            let right = index >= 6;
            let fill = " ".repeat(pad);
            let _ = if right {
                write!(text, "{fill}{painted}  ")
            } else {
                write!(text, "{painted}{fill}  ")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    if !rows.is_empty() {
        line(&HEAD, None);
    }
    for (session, row) in status.sessions.iter().zip(&rows) {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells, Some(style(session.state)));
    }
    losses(status, &mut out);
    for (name, why) in &status.left_out {
        let _ = writeln!(out, "{name} is left out: {}", Untrusted::new(why.to_string()));
    }
    for (host, reason) in &status.unreadable {
        let bad = style(SessionState::Missing);
        let reason = Untrusted::new(reason.to_string());
        let _ = writeln!(out, "{host}  {bad}could not be read{bad:#}: {reason}");
    }
    out.push_str(&summary(status));
    out
}

/// What was dropped, below the sessions: most hosts have nothing to say here.
fn losses(status: &Status, out: &mut String) {
    let list = |counts: &DropCounts| -> String {
        let counts = counts.iter().map(|(cause, count)| format!("{} {count}", cause.name()));
        counts.collect::<Vec<_>>().join(", ")
    };
    for own in &status.dropped {
        let Dropped { host, interface, dropped } = own;
        let _ = writeln!(out, "{host} {interface} dropped {}", list(dropped));
    }
    for session in status.sessions.iter().filter(|session| !session.dropped.is_empty()) {
        let [host, _, peer, ..] = row(session);
        let interface = &session.interface;
        let _ = writeln!(out, "{host} {interface} {peer} dropped {}", list(&session.dropped));
    }
}

fn summary(status: &Status) -> String {
    let mut counts: BTreeMap<SessionState, usize> = BTreeMap::new();
    for session in &status.sessions {
        *counts.entry(session.state).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(state, number)| format!("{number} {}", word(*state))).collect();
    let sessions = if parts.is_empty() { "no sessions".to_owned() } else { parts.join(", ") };
    match status.unreadable.len() {
        0 => format!("{sessions}\n"),
        number => format!("{sessions}; {number} unreadable\n"),
    }
}

fn row(session: &SessionStatus) -> [String; 8] {
    let key = session.public_key.to_string();
    let backend = session.backend.map_or_else(|| "down".to_owned(), |backend| backend.to_string());
    [
        session.host.to_string(),
        format!("{} ({backend})", session.interface),
        session.peer.as_ref().map_or_else(|| format!("{}…", &key[..12]), ToString::to_string),
        word(session.state).to_owned(),
        session.handshake_age.map_or_else(|| "-".to_owned(), age),
        session.endpoint.clone().unwrap_or_else(|| "-".to_owned()),
        bytes(session.received),
        bytes(session.sent),
    ]
}

const fn word(state: SessionState) -> &'static str {
    match state {
        SessionState::Fresh => "fresh",
        SessionState::Idle => "idle",
        SessionState::Late => "late",
        SessionState::Never => "never",
        SessionState::Missing => "missing",
        SessionState::Unknown => "unknown",
    }
}

const fn style(state: SessionState) -> Style {
    match state {
        SessionState::Fresh => AnsiColor::Green.on_default(),
        SessionState::Idle => Style::new(),
        SessionState::Late | SessionState::Never => AnsiColor::Yellow.on_default(),
        SessionState::Missing | SessionState::Unknown => AnsiColor::Red.on_default(),
    }
}

/// `12 s`, `3 min`, `5 h`, `2 d` ago.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86400),
    }
}

/// Binary units with at most four digits.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number;
    let mut unit = 0;
    let mut tenth = 0;
    while value >= 1024 && unit + 1 < UNITS.len() {
        tenth = (value % 1024) * 10 / 1024;
        value /= 1024;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{value}.{tenth} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_by_interface_and_by_peer() {
        use crate::model::DropCause::{NoPeer, QueueFull, Replay};
        use crate::report::document::StatusDocument;
        let (host, interface): (HostName, InterfaceName) =
            ("a".parse().unwrap(), "wg0".parse().unwrap());
        let session = SessionStatus {
            host: host.clone(),
            interface: interface.clone(),
            backend: Some(LiveBackend::Embedded),
            peer: Some("b".parse().unwrap()),
            public_key: PublicKey::from_bytes([7; 32]),
            state: SessionState::Fresh,
            handshake_age: Some(1),
            endpoint: None,
            received: 0,
            sent: 0,
            dropped: DropCounts::from([(QueueFull, 2), (Replay, 1)]),
        };
        let quiet = SessionStatus { dropped: DropCounts::new(), ..session.clone() };
        let dropped = Dropped { host, interface, dropped: DropCounts::from([(NoPeer, 3)]) };
        let status = Status {
            left_out: [(
                "tablet".parse().unwrap(),
                LeftOut::Over { until: "2027-01-31".to_owned() },
            )]
            .into(),
            sessions: vec![quiet, session],
            dropped: vec![dropped],
            unreadable: BTreeMap::new(),
        };
        let text = human(&status);
        let told: Vec<&str> = text.lines().filter(|line| line.contains("dropped")).collect();
        assert_eq!(told, ["a wg0 dropped no_peer 3", "a wg0 b dropped queue_full 2, replay 1"]);
        let json = serde_json::to_value(StatusDocument::new(&status)).unwrap();
        assert_eq!(json["dropped"][0]["dropped"]["no_peer"], 3);
        assert_eq!(json["sessions"][1]["dropped"]["replay"], 1);
    }

    #[test]
    fn sizes_and_ages_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
        assert_eq!(age(119), "119 s ago");
        assert_eq!(age(7200), "2 h ago");
    }
}

//! What keeps a flood of handshake messages out.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::tunnel::noise::{Load, Moment, SourceLimiter};

/// Cookies that strangers get in a second, all together. Each costs the packets of others
/// microseconds, and their sources may be invented.
const FOR_STRANGERS: u32 = 2000;
/// How old the list of known sources may be.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The load, the sources that proved themselves, and those that are known without a proof.
#[derive(Default)]
pub(super) struct Guard {
    pub(super) load: Load,
    pub(super) sources: SourceLimiter,
    /// Where peers are. Empty while there is no load.
    known: HashSet<IpAddr>,
    listed: Option<Moment>,
    /// When the present second of strangers' cookies began, and how many they got in it.
    strangers: Option<(Moment, u32)>,
}

impl Guard {
    /// Whether a source may be sent a cookie. Where a peer is known to be, always: its session has
    /// to be renewed through the flood. `list` tells where peers are.
    pub(super) fn may_have_cookie(
        &mut self,
        from: IpAddr,
        now: Moment,
        list: impl FnOnce() -> HashSet<IpAddr>,
    ) -> bool {
        if self.listed.is_none_or(|at| now.since(at) >= KNOWN_FOR) {
            self.known = list();
            self.listed = Some(now);
        }
        if self.known.contains(&from) {
            return true;
        }
        let second = self.strangers.filter(|(began, _)| now.since(*began) < Duration::from_secs(1));
        let (began, count) = second.unwrap_or((now, 0));
        self.strangers = Some((began, count + 1));
        count < FOR_STRANGERS
    }

    /// Forgets what is only needed under load, and sources that have been quiet.
    pub(super) fn forget(&mut self, now: Moment) {
        self.sources.forget(now);
        if !self.load.is_believed(now) && self.listed.take().is_some() {
            self.known = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sources_get_through_where_strangers_share() {
        let mut guard = Guard::default();
        let at = |millis| Moment::since_boot(Duration::from_millis(millis));
        let peer = IpAddr::from([192, 0, 2, 1]);
        let mut ask = |from, now| guard.may_have_cookie(from, at(now), || HashSet::from([peer]));
        let stranger = |number: u32| IpAddr::from(number.to_be_bytes());
        let given = (0..10_000).filter(|number| ask(stranger(*number), 0)).count();
        assert_eq!(given, FOR_STRANGERS as usize);
        assert!(ask(peer, 999) && !ask(stranger(1), 999) && ask(stranger(1), 1000));
        guard.forget(at(2000));
        assert!(guard.known.capacity() == 0);
    }
}

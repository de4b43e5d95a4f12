//! The hosts of two inventories compared.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::rows::differing;
use super::settings::{Side, settings};
use super::stand_ins::StandIns;
use super::{HostAction, HostComparison, Setting};
use crate::desired::{DesiredHost, DesiredState};
use crate::model::HostName;

/// Why two inventories are not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError<E: std::error::Error + 'static> {
    /// A file cannot be rendered.
    #[error(transparent)]
    Render(E),
    /// They differ in more than anybody reads.
    #[error("the inventories differ in more than {} MiB of text, at host `{host}`", MOST_BYTES >> 20)]
    TooMuch {
        /// Where the limit was reached.
        host: HostName,
    },
}

/// The most bytes of settings that differ. A new mesh of 1,000 hosts has some 80 MiB.
const MOST_BYTES: usize = 256 << 20;
/// Hosts whose files are rendered before any of them is forgotten.
const AT_ONCE: usize = 32;

/// Compares hosts, and unmanaged peers that configs are issued to; in order of the new file, then
/// those that only the old one has.
///
/// # Errors
/// [`CompareError`].
pub fn compare_hosts<E: std::error::Error + Send + 'static>(
    old: Option<&Side<'_, E>>,
    new: &Side<'_, E>,
    keys: &StandIns,
) -> Result<Vec<HostComparison>, CompareError<E>> {
    type Known<'a> = BTreeMap<&'a HostName, (&'a DesiredHost, bool)>;
    let of = |state| -> Vec<(&HostName, (&DesiredHost, bool))> {
        let DesiredState { hosts, issued, .. }: &DesiredState = state;
        let hosts = hosts.iter().map(|host| (&host.name, (host, false)));
        hosts.chain(issued.iter().map(|peer| (&peer.name, (peer, true)))).collect()
    };
    let before: Known<'_> =
        old.map(|side| of(side.state)).unwrap_or_default().into_iter().collect();
    let mut names: Vec<&HostName> = of(new.state).into_iter().map(|(name, _)| name).collect();
    let after: Known<'_> = of(new.state).into_iter().collect();
    let gone = old.map(|side| of(side.state)).unwrap_or_default().into_iter();
    names.extend(gone.map(|(name, _)| name).filter(|name| !after.contains_key(name)));
    let compare = |name: &&HostName| -> Result<Option<HostComparison>, E> {
        let (was, is) = (before.get(name), after.get(name));
        let action = match (was, is) {
            (None, _) => HostAction::Add,
            (_, None) => HostAction::Remove,
            _ => HostAction::Change,
        };
        let read = |host: Option<&(&DesiredHost, bool)>, side: Option<&Side<'_, E>>| {
            host.zip(side).map(|(host, side)| settings(*host, side, keys)).transpose()
        };
        let (from, to) = (read(was, old)?, read(is, Some(new))?);
        let settings = differing(&from.unwrap_or_default(), &to.unwrap_or_default());
        let issued = is.or(was).is_some_and(|(_, issued)| *issued);
        let same = action == HostAction::Change && settings.is_empty();
        let host = (*name).clone();
        Ok((!same).then_some(HostComparison { host, issued, action, settings }))
    };
    let (mut hosts, mut bytes) = (Vec::new(), 0);
    for some in names.chunks(AT_ONCE) {
        let found: Vec<_> =
            some.par_iter().map(compare).collect::<Result<_, _>>().map_err(CompareError::Render)?;
        for host in found.into_iter().flatten() {
            bytes += host.settings.iter().map(Setting::bytes).sum::<usize>();
            if bytes > MOST_BYTES {
                return Err(CompareError::TooMuch { host: host.host });
            }
            hosts.push(host);
        }
    }
    Ok(hosts)
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;

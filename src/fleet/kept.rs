//! Links whose other end cannot change now keep their old values.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::Error;
use super::read::Fleet;
use super::survey::Survey;
use crate::desired::DesiredHost;
use crate::model::HostName;
use crate::observed::{ObservedHost, Unanswered};
use crate::plan::{HostState, KeptLink, Names, Standing, Standstill, hold, resolve};
use crate::remote::Connect;
use crate::vault::Vault;

impl<C: Connect> Survey<C> {
    /// Has hosts keep the old values of their links with those that do not change now; `left_out` names
    /// more of these.
    ///
    /// # Errors
    /// Where a file cannot be rendered.
    pub(super) fn keep_links(
        &mut self,
        fleet: &Fleet,
        left_out: &[HostName],
        vault: &Vault,
    ) -> Result<(), Error> {
        let hosts = self.standing(left_out)?;
        if hosts.is_empty() {
            return Ok(());
        }
        let epochs = vault.index().epochs().keys().copied().collect();
        let seen: BTreeMap<&HostName, &ObservedHost> =
            self.seen.iter().map(|(name, (seen, _))| (name, seen)).collect();
        let still =
            Standstill::new(hosts, &self.names, epochs, &fleet.topology, seen.values().copied());
        let names = Names::of(&self.state.fleet);
        let goes_on = |host: &&mut DesiredHost| !still.hosts.contains_key(&host.name);
        let going = self.state.hosts.iter_mut().filter(goes_on);
        let going: Vec<(&mut DesiredHost, &ObservedHost)> = going
            .filter_map(|host| {
                let seen = *seen.get(&host.name)?;
                Some((host, seen))
            })
            .collect();
        let kept =
            going.into_par_iter().flat_map_iter(|(host, seen)| hold(host, seen, &names, &still));
        let kept: Vec<KeptLink> = kept.collect();
        let changed: BTreeSet<&HostName> = kept.iter().map(|link| &link.host).collect();
        let hosts = self.state.hosts.iter().filter(|host| changed.contains(&host.name));
        let rendered = fleet.render(&hosts.collect::<Vec<_>>(), &self.secrets)?;
        self.rendered.extend(rendered);
        self.kept = kept;
        Ok(())
    }

    /// The hosts that do not change now, whatever they are to have.
    fn standing(&self, left_out: &[HostName]) -> Result<BTreeMap<HostName, Standing>, Error> {
        let hosts: Vec<&DesiredHost> = self.state.hosts.iter().collect();
        let standing = hosts.into_par_iter().map(|host| {
            let standing = self.stands(host, left_out)?;
            Ok(standing.map(|standing| (host.name.clone(), standing)))
        });
        let standing: Result<Vec<_>, Error> = standing.collect();
        Ok(standing?.into_iter().flatten().collect())
    }

    fn stands(&self, host: &DesiredHost, left_out: &[HostName]) -> Result<Option<Standing>, Error> {
        let name = &host.name;
        // Whoever leaves a host out with --limit gets what the file says; the plan tells what is lost.
        if !self.requests.contains_key(name) {
            return Ok(None);
        }
        let pair = self.seen.get(name).zip(self.rendered.get(name));
        let Some(((seen, _), rendered)) = pair else {
            let lacks = matches!(self.unread.get(name), Some(Unanswered::LackingTools { .. }));
            return Ok(Some(if lacks { Standing::Blocked } else { Standing::Unreadable }));
        };
        if left_out.contains(name) || self.strangers.contains_key(name) {
            return Ok(Some(Standing::Blocked));
        }
        // To make the plan of each host twice would take as long as the rest.
        if !resolve(host, rendered, seen).may_be_blocked(&self.state.fleet, seen, &self.helpers) {
            return Ok(None);
        }
        let blocked = matches!(self.host_plan(host)?.state, HostState::Blocked(_));
        Ok(blocked.then_some(Standing::Blocked))
    }
}

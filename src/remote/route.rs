//! The machines on the way to a host, as the user's `ssh_config` names them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::settings::{HostKeys, SshSettings};
use crate::model::SshTarget;

/// One machine on the way to a host; the last one is the host itself.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) target: SshTarget,
    /// What its key is filed under in `known_hosts`.
    pub(super) known_as: String,
    pub(super) keys: HostKeys,
    /// The jump hosts before it, as `-J` takes them, where they do not follow from its own settings.
    pub(super) through: Option<String>,
    /// Whether it is a jump host.
    pub(super) is_jump: bool,
}

/// How a host is reached.
#[derive(Debug)]
pub(super) struct Route {
    /// The machines on the way; the last one is the host.
    pub(super) hops: Vec<Hop>,
    /// How the host's own key is checked.
    pub(super) keys: HostKeys,
    /// What a login passes.
    pub(super) gates: BTreeSet<String>,
    /// The same without the host itself.
    pub(super) shared: BTreeSet<String>,
    /// The jump hosts before those that are known, and a command that stands in their place.
    outer: Option<Vec<SshTarget>>,
}

impl Route {
    /// A way to a host whose jump hosts are not known yet.
    pub(super) fn to(target: &SshTarget, own: &SshSettings) -> Self {
        let mut route = Self {
            hops: vec![Hop {
                target: target.clone(),
                known_as: own.known_as.clone(),
                keys: own.keys,
                through: None,
                is_jump: false,
            }],
            keys: own.keys,
            gates: BTreeSet::from([own.address.clone()]),
            shared: BTreeSet::new(),
            outer: None,
        };
        route.before(own);
        route
    }

    /// The jump hosts.
    pub(super) fn jumps(&self) -> &[Hop] {
        &self.hops[..self.hops.len() - 1]
    }

    /// The jump hosts whose settings are to be asked next.
    pub(super) fn next(&mut self) -> Option<Vec<SshTarget>> {
        let list = self.outer.take().filter(|list| !list.is_empty())?;
        // `Host *` may send a jump host through itself; ssh(1) does not follow that.
        let known = |jump: &SshTarget| self.hops.iter().any(|hop| hop.target.host() == jump.host());
        (!list.iter().any(known)).then_some(list)
    }

    /// The way leads through these jump hosts, the first one first.
    pub(super) fn through(&mut self, list: &[SshTarget], all: &[Arc<SshSettings>]) {
        let mut before: Vec<String> = Vec::new();
        let mut hops = Vec::new();
        for (jump, settings) in list.iter().zip(all) {
            self.pass(settings.address.clone());
            hops.push(Hop {
                target: jump.clone(),
                known_as: settings.known_as.clone(),
                keys: settings.keys,
                through: (!before.is_empty()).then(|| before.join(",")),
                is_jump: true,
            });
            before.push(jump.to_string());
        }
        self.hops.splice(0..0, hops);
        if let Some(first) = all.first() {
            self.before(first);
        }
    }

    /// Only keys that are known are believed on the whole way.
    pub(super) fn believe_known(&mut self) {
        self.keys = HostKeys::Known;
        for hop in &mut self.hops {
            hop.keys = HostKeys::Known;
        }
    }

    /// What lies before a machine with such settings.
    fn before(&mut self, settings: &SshSettings) {
        self.outer.clone_from(&settings.jumps);
        if let Some(command) = &settings.command {
            // Only a command that logs in somewhere else has an sshd on its way.
            if command.split(['/', ' ', '\'', '"']).any(|word| word == "ssh") {
                self.pass(command.clone());
            }
        }
    }

    fn pass(&mut self, gate: String) {
        self.gates.insert(gate.clone());
        self.shared.insert(gate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(host: &str, more: &str) -> Arc<SshSettings> {
        let text = format!("hostname {host}\nport 22\n{more}");
        Arc::new(SshSettings::parse(&text).unwrap())
    }

    #[test]
    fn a_route_leads_through_the_jump_hosts_of_the_first_jump_host() {
        let target: SshTarget = "root@b7".parse().unwrap();
        let mut route = Route::to(&target, &settings("b7", "proxyjump mid,ops@inner\n"));
        let list = route.next().unwrap();
        route.through(
            &list,
            &[settings("mid", "proxyjump outer\n"), settings("inner", "proxyjump x\n")],
        );
        let list = route.next().unwrap();
        route.through(
            &list,
            &[settings("198.51.100.1", "proxycommand /usr/bin/ssh -W %h:%p gate\n")],
        );
        assert_eq!(route.next(), None);
        let hops: Vec<_> = route.hops.iter().map(|hop| hop.target.to_string()).collect();
        assert_eq!(hops, ["outer", "mid", "ops@inner", "root@b7"]);
        assert_eq!(route.jumps()[2].through.as_deref(), Some("mid"));
        assert_eq!(route.jumps()[1].through, None, "its own settings name them");
        assert_eq!(route.shared.len(), 4, "{:?}", route.shared);
        assert!(!route.shared.contains("b7:22") && route.gates.contains("b7:22"));
    }

    #[test]
    fn a_jump_host_that_jumps_through_itself_ends_the_way() {
        let target: SshTarget = "b7".parse().unwrap();
        let mut route = Route::to(&target, &settings("b7", "proxyjump gate\n"));
        let list = route.next().unwrap();
        route.through(&list, &[settings("gate", "proxyjump gate\n")]);
        assert_eq!(route.next(), None);
        assert_eq!(route.jumps().len(), 1);
        // A command that only opens a connection has no sshd on its way.
        let route = Route::to(&target, &settings("b7", "proxycommand nc %h %p\n"));
        assert!(route.shared.is_empty());
    }
}

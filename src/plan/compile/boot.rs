//! Files and units: what a running system needs at once, and what only its next boot reads.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::op::Op;
use super::payload::Compiler;
use super::word::{Mode, Staged};
use crate::desired::Secrets;
use crate::plan::paths;
use crate::plan::{Change, FileAction, NewInterface, Rename, TargetFile};

/// Where units and their drop-ins are.
const UNITS: &str = "/etc/systemd/";

/// What the path of a drop-in has.
const DROP_IN: &str = ".service.d/";

impl<'a, S: Secrets> Compiler<'a, S> {
    /// Tries what can fail of the files that wg-quick starts interfaces from, the disk, their words
    /// and the programs of their hooks: nothing stops for a start that cannot succeed.
    pub(super) fn prepare_starts(&mut self) {
        let plan = self.plan;
        for change in &plan.changes {
            let (Change::Create(NewInterface { interface, .. })
            | Change::Restart { interface, .. }) = change
            else {
                continue;
            };
            if !self.wanted(interface).is_some_and(|wanted| wanted.quick) {
                continue;
            }
            let conf = paths::conf(interface);
            let mut files = self.files().into_iter();
            let written =
                files.find(|(path, action)| *path == conf && *action != FileAction::Remove);
            let Some((path, _)) = written else { continue };
            if let Some((content, file)) = self.stage(path) {
                self.op(Op::Try { conf: content, interface: interface.clone() });
                self.op(Op::Prepare { content, mode: Mode(file.mode), path: path.to_owned() });
                self.prepared.insert(path, content);
            }
        }
    }

    /// Writes what units and wg-quick read in the course of this very change.
    pub(super) fn install_now(&mut self) {
        let now = self.read_now();
        self.install(|path| now.contains(path));
        if now.iter().any(|path| path.starts_with(UNITS)) {
            self.op(Op::Reload);
        }
    }

    /// Writes the files that `which` picks at once, but for those that are written already.
    pub(super) fn install(&mut self, which: impl Fn(&str) -> bool) {
        for (path, action) in self.files() {
            if !which(path) || !self.installed.insert(path) {
                continue;
            }
            if action == FileAction::Remove {
                self.op(Op::Remove { path: path.to_owned() });
            } else if let Some(content) = self.prepared.get(path).copied()
                && let Some(file) = self.target.files.get(path)
            {
                self.op(Op::Keep { content, mode: Mode(file.mode), path: path.to_owned() });
            } else if let Some((content, file)) = self.stage(path) {
                self.op(Op::File { content, mode: Mode(file.mode), path: path.to_owned() });
            }
        }
    }

    /// Prepares what was not installed, so that nothing of it can fail any more, and leaves it to
    /// the confirmation.
    pub(super) fn install_for_boot(&mut self) {
        let units: Vec<(&str, bool)> = self
            .plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Unit { unit, from, to } if from.enabled != to.enabled => {
                    Some((unit.as_str(), to.enabled))
                }
                _ => None,
            })
            .collect();
        // A unit is known by its file, so that goes after it and comes before it.
        for (unit, _) in units.iter().filter(|(_, on)| !on) {
            self.keep(Op::Disable { unit: (*unit).to_owned() });
        }
        let mut reload = false;
        for (path, action) in self.files() {
            if self.installed.contains(path) {
                continue;
            }
            if action == FileAction::Remove {
                reload |= path.starts_with(UNITS);
                self.keep(Op::Remove { path: path.to_owned() });
            } else if let Some((content, file)) = self.stage(path) {
                let (mode, path) = (Mode(file.mode), path.to_owned());
                self.op(Op::Prepare { content, mode, path: path.clone() });
                self.keep(Op::Keep { content, mode, path });
            }
        }
        if reload {
            self.keep(Op::Reload);
        }
        for (unit, _) in units.iter().filter(|(_, on)| *on) {
            self.keep(Op::Enable { unit: (*unit).to_owned() });
        }
        for change in &self.plan.changes {
            // Who may read a file does not wait.
            if let Change::File { path, action: FileAction::Protect, .. } = change
                && let Some(file) = self.target.files.get(path)
            {
                self.op(Op::Protect { mode: Mode(file.mode), path: path.clone() });
            }
        }
    }

    /// The paths whose new content the change itself depends on.
    fn read_now(&self) -> BTreeSet<&'a str> {
        let mut started = BTreeSet::new();
        let mut runs_unit = false;
        for change in &self.plan.changes {
            match change {
                Change::Create(NewInterface { interface, .. })
                | Change::Restart { interface, .. } => {
                    runs_unit = true;
                    if self.wanted(interface).is_some_and(|wanted| wanted.quick) {
                        started.insert(paths::conf(interface));
                    }
                }
                Change::Unit { to, .. } => runs_unit |= to.active,
                _ => {}
            }
        }
        // A unit's own file has to outlast the unit.
        let shapes_unit = |path: &str, action: FileAction| {
            path.starts_with(UNITS) && (action != FileAction::Remove || path.contains(DROP_IN))
        };
        let files = self.files();
        // A unit that loads rules finds them, also after a power cut.
        runs_unit |= files.iter().any(|(path, action)| shapes_unit(path, *action));
        let rules = |path: &str| runs_unit && path == self.target.names.firewall_file;
        let now = files.iter().filter(|(path, action)| {
            started.contains(*path) || shapes_unit(path, *action) || rules(path)
        });
        now.map(|(path, _)| *path).collect()
    }

    /// The files that change in content, each once.
    fn files(&self) -> Vec<(&'a str, FileAction)> {
        let mut seen = BTreeSet::new();
        let changes = self.plan.changes.iter();
        changes
            .flat_map(|change| match change {
                Change::File { path, action, .. } if *action != FileAction::Protect => {
                    [Some((path.as_str(), *action)), None]
                }
                Change::Rename(Rename::File { from, to, .. }) => [
                    Some((to.as_str(), FileAction::Create)),
                    Some((from.as_str(), FileAction::Remove)),
                ],
                Change::Rename(Rename::Reference { path, .. }) => {
                    [Some((path.as_str(), FileAction::Update)), None]
                }
                _ => [None, None],
            })
            .flatten()
            .filter(|(path, _)| seen.insert(*path))
            .collect()
    }

    /// Sends a file's content along; none where the target does not have the file.
    fn stage(&mut self, path: &str) -> Option<(Staged, &'a TargetFile)> {
        let target = self.target;
        let file = target.files.get(path)?;
        let content = match &file.conf {
            Some(name) => self.rendered.files.get(name)?.content.clone().into_inner(),
            None => Zeroizing::new(file.public_text.clone()),
        };
        Some((self.payload.file("file", content), file))
    }
}

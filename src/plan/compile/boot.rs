//! Files and units: what a running system needs at once, and what only its next boot reads.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::op::Op;
use super::payload::Compiler;
use super::word::{Mode, Staged};
use crate::desired::Secrets;
use crate::model::{HostPath, UnitName};
use crate::plan::manager::{self, Step};
use crate::plan::paths;
use crate::plan::{Change, FileAction, NewInterface, Rename, TargetFile};

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
                files.find(|(path, action)| **path == conf && *action != FileAction::Remove);
            let Some((path, _)) = written else { continue };
            if let Some((content, file)) = self.stage(path) {
                self.op(Op::Try { conf: content, interface: interface.clone() });
                self.op(Op::Prepare { content, mode: Mode(file.mode), path: path.clone() });
                self.prepared.insert(path, content);
            }
        }
    }

    /// Writes what units and wg-quick read in the course of this very change.
    pub(super) fn install_now(&mut self) {
        let now = self.read_now();
        self.install(|path| now.contains(path));
        if let Some(reader) = now.iter().find_map(|path| manager::reader_of(path)) {
            self.op(reader.reload());
        }
    }

    /// Writes the files that `which` picks at once, but for those that are written already.
    pub(super) fn install(&mut self, which: impl Fn(&HostPath) -> bool) {
        for (path, action) in self.files() {
            if !which(path) || !self.installed.insert(path) {
                continue;
            }
            if action == FileAction::Remove {
                self.op(Op::Remove { path: path.clone() });
            } else if let Some(content) = self.prepared.get(path).copied()
                && let Some(file) = self.target.files.get(path)
            {
                self.op(Op::Keep { content, mode: Mode(file.mode), path: path.clone() });
            } else if let Some((content, file)) = self.stage(path) {
                self.op(Op::File { content, mode: Mode(file.mode), path: path.clone() });
            }
        }
    }

    /// Prepares what was not installed, so that nothing of it can fail any more, and leaves it to
    /// the confirmation.
    pub(super) fn install_for_boot(&mut self) {
        let units: Vec<(&UnitName, bool)> = self
            .plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Unit { unit, from, to } if from.enabled != to.enabled => {
                    Some((unit, to.enabled))
                }
                _ => None,
            })
            .collect();
        // A unit is known by its file, so that goes after it and comes before it.
        for (unit, _) in units.iter().filter(|(_, on)| !on) {
            self.keep_unit(Step::Disable, unit);
        }
        let mut reload = None;
        for (path, action) in self.files() {
            if self.installed.contains(path) {
                continue;
            }
            if action == FileAction::Remove {
                reload = reload.or_else(|| manager::reader_of(path));
                self.keep(Op::Remove { path: path.clone() });
            } else if let Some((content, file)) = self.stage(path) {
                let (mode, path) = (Mode(file.mode), path.clone());
                self.op(Op::Prepare { content, mode, path: path.clone() });
                self.keep(Op::Keep { content, mode, path });
            }
        }
        if let Some(reader) = reload {
            self.keep(reader.reload());
        }
        for (unit, _) in units.iter().filter(|(_, on)| *on) {
            self.keep_unit(Step::Enable, unit);
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
    fn read_now(&self) -> BTreeSet<&'a HostPath> {
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
        let shapes_unit = |path: &str, action: FileAction| {
            let goes = action == FileAction::Remove;
            manager::reader_of(path).is_some_and(|reader| reader.reads_now(path, goes))
        };
        let files = self.files();
        // A unit that loads rules finds them, also after a power cut.
        runs_unit |= files.iter().any(|(path, action)| shapes_unit(path, *action));
        let rules = |path: &HostPath| runs_unit && *path == self.target.names.firewall_file;
        let now = files.iter().filter(|(path, action)| {
            started.contains(*path) || shapes_unit(path, *action) || rules(path)
        });
        now.map(|(path, _)| *path).collect()
    }

    /// The files that change in content, each once.
    fn files(&self) -> Vec<(&'a HostPath, FileAction)> {
        let mut seen = BTreeSet::new();
        let changes = self.plan.changes.iter();
        changes
            .flat_map(|change| match change {
                Change::File { path, action, .. } if *action != FileAction::Protect => {
                    [Some((path, *action)), None]
                }
                Change::Rename(Rename::File { from, to, .. }) => {
                    [Some((to, FileAction::Create)), Some((from, FileAction::Remove))]
                }
                Change::Rename(Rename::Reference { path, .. }) => {
                    [Some((path, FileAction::Update)), None]
                }
                _ => [None, None],
            })
            .flatten()
            .filter(|(path, _)| seen.insert(*path))
            .collect()
    }

    /// Does something to a unit with the confirmation.
    fn keep_unit(&mut self, step: Step, unit: &UnitName) {
        if let Some(op) = manager::operation(step, unit) {
            self.keep(op);
        }
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

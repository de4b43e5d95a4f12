//! A host's plan as files and operations for its side of wgfleet.
//!
//! Every word of an operation comes from a type that cannot hold a blank or a quote; everything
//! else travels as a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::op::Op;
use super::word::{Mode, Staged};
use crate::desired::Secrets;
use crate::model::{Fingerprint, FleetName, HostPath, InterfaceName};
use crate::observed::{ObservedHost, PROTOCOL, Record};
use crate::plan::{Change, HostPlan, RenderedHost, Target, TargetInterface};

/// What is sent to a host: staged files, operations, and what undoes them.
pub struct Payload {
    files: Vec<(String, Zeroizing<String>)>,
    ops: Vec<Op>,
    /// What concerns the next boot only: done with the confirmation, so that a power cut before it
    /// brings up what ran before.
    keep: Vec<Op>,
    undo: Vec<Op>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("ops", &self.ops).finish_non_exhaustive()
    }
}

impl Payload {
    /// Compiles the changes of one host, but for the pushing of the binary.
    ///
    /// # Errors
    /// Where the vault does not have a secret.
    pub fn compile<S: Secrets>(
        plan: &HostPlan,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        secrets: &S,
    ) -> Result<Self, S::Error> {
        Self::of(plan, target, rendered, (observed, true), secrets)
    }

    /// The same without the places where peers were last heard: they move by themselves.
    pub(in crate::plan) fn settled<S: Secrets>(
        plan: &HostPlan,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        secrets: &S,
    ) -> Result<Self, S::Error> {
        Self::of(plan, target, rendered, (observed, false), secrets)
    }

    fn of<S: Secrets>(
        plan: &HostPlan,
        target: &Target<'_>,
        rendered: &RenderedHost,
        (observed, heard): (&ObservedHost, bool),
        secrets: &S,
    ) -> Result<Self, S::Error> {
        let payload =
            Self { files: Vec::new(), ops: Vec::new(), keep: Vec::new(), undo: Vec::new() };
        let (prepared, installed, filters) = (BTreeMap::new(), BTreeSet::new(), false);
        let mut compiler = Compiler {
            payload,
            prepared,
            installed,
            filters,
            plan,
            target,
            rendered,
            observed,
            heard,
            secrets,
        };
        compiler.run()?;
        Ok(compiler.payload)
    }

    /// Has the host do nothing unless it is still what was observed: `stdin` is what the observation
    /// was asked with, `digest` what it came to.
    pub fn expecting(&mut self, stdin: Zeroizing<String>, digest: Fingerprint) {
        self.files.push(("observe".to_owned(), stdin));
        self.files.push(("expect".to_owned(), Zeroizing::new(format!("{digest}\n"))));
    }

    /// Has the host do nothing while another run than this one has its lock.
    pub fn locked_by(&mut self, run: &str) {
        self.files.push(("lock".to_owned(), Zeroizing::new(format!("{run}\n"))));
    }

    /// Has the host keep a record of this change: true with the confirmation, and not before.
    pub fn recording(&mut self, fleet: &FleetName, text: String) {
        let path = Record::path(fleet);
        let (content, mode) = (self.file("record", Zeroizing::new(text)), Mode(0o600));
        self.ops.push(Op::Prepare { content, mode, path: path.clone() });
        self.keep.push(Op::Keep { content, mode, path });
    }

    /// The operations, in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations that wait for the confirmation, in order.
    #[must_use]
    pub fn keep(&self) -> &[Op] {
        &self.keep
    }

    /// What a rollback does first, of what was begun, in order.
    #[must_use]
    pub fn undo(&self) -> &[Op] {
        &self.undo
    }

    /// The bytes for the host's stdin: each line of a file behind a blank, so that no content can
    /// look like a head line.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let lists =
            [("ops", &self.ops), ("keep", &self.keep), ("undo", &self.undo)].map(|(name, ops)| {
                let lines: Vec<String> = ops.iter().map(Op::to_string).collect();
                (name, lines)
            });
        let size: usize = self.files.iter().map(|(name, text)| name.len() + text.len() * 2).sum();
        let listed: usize = lists.iter().flat_map(|(_, l)| l.iter()).map(|l| l.len() + 2).sum();
        let mut out = Zeroizing::new(String::with_capacity(size + listed + 256));
        let _ = writeln!(out, "=== protocol\n {PROTOCOL}");
        for (name, text) in &self.files {
            let _ = writeln!(out, "=== {name}");
            for line in text.lines() {
                let _ = writeln!(out, " {line}");
            }
        }
        for (name, lines) in lists {
            let _ = writeln!(out, "=== {name}");
            for line in lines {
                let _ = writeln!(out, " {line}");
            }
        }
        out.push_str("=== end\n");
        out
    }

    /// Stages a file under a number and a word, never under a name out of the inventory.
    pub(super) fn file(&mut self, word: &'static str, text: Zeroizing<String>) -> Staged {
        let staged = Staged { number: self.files.len(), word };
        self.files.push((staged.to_string(), text));
        staged
    }
}

/// A payload in the making; each noun of a host adds its own part.
pub(super) struct Compiler<'a, S> {
    pub(super) payload: Payload,
    /// The staged names of files that are prepared before anything stops, by path.
    pub(super) prepared: BTreeMap<&'a HostPath, Staged>,
    /// The paths of files that are written in the course of the change.
    pub(super) installed: BTreeSet<&'a HostPath>,
    /// Whether the rules of masquerading are put in place.
    pub(super) filters: bool,
    pub(super) plan: &'a HostPlan,
    pub(super) target: &'a Target<'a>,
    pub(super) rendered: &'a RenderedHost,
    pub(super) observed: &'a ObservedHost,
    /// Whether it goes by the places where peers were last heard.
    pub(super) heard: bool,
    pub(super) secrets: &'a S,
}

impl<'a, S: Secrets> Compiler<'a, S> {
    pub(super) fn op(&mut self, op: Op) {
        self.payload.ops.push(op);
    }

    pub(super) fn keep(&mut self, op: Op) {
        self.payload.keep.push(op);
    }

    pub(super) fn undo(&mut self, op: Op) {
        self.payload.undo.push(op);
    }

    /// Stages lines of ip(8), where there are any.
    pub(super) fn lines(&mut self, word: &'static str, lines: String) -> Option<Staged> {
        (!lines.is_empty()).then(|| self.payload.file(word, Zeroizing::new(lines)))
    }

    fn run(&mut self) -> Result<(), S::Error> {
        let touched: BTreeSet<InterfaceName> =
            self.plan.changes.iter().filter_map(Change::interface).cloned().collect();
        for name in &touched {
            self.op(Op::Touch { interface: name.clone() });
        }
        self.prepare_starts();
        self.unmask();
        self.host_settings();
        self.units(false);
        // What goes frees its port and its addresses for what comes.
        for change in &self.plan.changes {
            if let Change::Delete { interface } = change {
                self.stop(interface);
            }
        }
        for name in &touched {
            self.interface(name)?;
        }
        // Routes that move from one interface to another go before they come.
        for name in &touched {
            self.drop_addresses_and_routes(name);
        }
        for name in &touched {
            self.add_addresses_and_routes(name);
        }
        self.install_now();
        self.units(true);
        self.units_anew();
        self.install_for_boot();
        Ok(())
    }

    pub(super) fn wanted(&self, name: &InterfaceName) -> Option<&'a TargetInterface<'a>> {
        self.target.interfaces.iter().find(|interface| interface.desired.name == *name)
    }
}

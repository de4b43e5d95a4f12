//! Texts from templates, within limits; the only file that knows minijinja.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use super::DesiredInterface;

/// What is wrong with a template: line and cause.
pub type TemplateError = minijinja::Error;

/// Steps that all files of a fleet may take beyond what their peers account for: some seconds.
const STEPS_OF_A_FLEET: u64 = 100_000_000;

/// Bytes that all files of a fleet may have beyond what their peers account for.
const BYTES_OF_A_FLEET: usize = 256 << 20;

/// What one file may cost: a template may come from a stranger, and a large fleet is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// minijinja's fuel: about a unit for each step, and one for 64 bytes that it makes.
    pub(super) fuel: u64,
    /// Bytes of output.
    pub(super) bytes: usize,
}

impl Budget {
    /// For each of so many files, before their peers count: so the sum has a limit too.
    pub(super) fn each_of(files: usize) -> Self {
        let files = files.max(1);
        Self {
            fuel: (STEPS_OF_A_FLEET / files as u64).clamp(10_000, 1_000_000),
            bytes: (BYTES_OF_A_FLEET / files).clamp(1 << 14, 1 << 20),
        }
    }

    /// For files that tell of so many hosts and peers.
    pub(super) fn of_fleet(members: usize) -> Self {
        Self { fuel: 1_000_000 + 2_000 * members as u64, bytes: (1 << 20) + (1 << 13) * members }
    }

    /// The default template takes some 30 units and 300 bytes for a peer, 3 units and 40 bytes for a
    /// prefix; one of an operator's own may take several times that.
    pub(super) fn of(self, interface: &DesiredInterface) -> Self {
        let peers = interface.peers.len();
        let prefixes: usize = interface.peers.values().map(|peer| peer.allowed_ips.len()).sum();
        Self {
            fuel: self.fuel + 200 * peers as u64 + 20 * prefixes as u64,
            bytes: self.bytes + (1 << 10) * peers + (1 << 7) * prefixes,
        }
    }
}

/// Why a template gave no text.
#[derive(Debug)]
pub(super) enum Failure {
    /// It takes more than these steps.
    Endless { line: Option<usize>, steps: u64 },
    /// It writes more than these bytes.
    TooLong { line: Option<usize>, bytes: usize },
    /// It is wrong.
    Wrong(TemplateError),
}

/// A template that was understood.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    name: String,
}

impl Template {
    /// Takes the text of a template; errors call it by its name.
    pub(super) fn new(name: &str, text: String) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_template_owned(name.to_owned(), text)?;
        Ok(Self { environment, name: name.to_owned() })
    }

    /// What it writes where it knows `context`.
    pub(super) fn render(
        &self,
        context: &impl Serialize,
        budget: Budget,
    ) -> Result<String, Failure> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(budget.fuel));
        let mut text = Limited { bytes: Vec::new(), limit: budget.bytes, spent: false };
        let context = Value::from(Serde(context));
        let rendered = environment
            .get_template(&self.name)
            .and_then(|template| template.render_captured_to(context.clone(), &mut text).map(drop))
            .and_then(|()| {
                let not_text = |_| minijinja::Error::new(ErrorKind::WriteFailure, "not UTF-8");
                String::from_utf8(std::mem::take(&mut text.bytes)).map_err(not_text)
            });
        rendered.map_err(|source| match source.kind() {
            ErrorKind::OutOfFuel => Failure::Endless { line: source.line(), steps: budget.fuel },
            _ if text.spent => {
                let line = line_of_excess(&environment, &self.name, &context, budget);
                Failure::TooLong { line, bytes: budget.bytes }
            }
            _ => Failure::Wrong(source),
        })
    }
}

/// The line of the template that wrote more than it may. The error of a writer has none, that of
/// fuel has: so the most fuel is searched that does not get as far.
fn line_of_excess(
    environment: &Environment<'_>,
    name: &str,
    context: &Value,
    budget: Budget,
) -> Option<usize> {
    let mut environment = environment.clone();
    let (mut low, mut high, mut line) = (0, budget.fuel, None);
    while low < high {
        let fuel = low.midpoint(high);
        environment.set_fuel(Some(fuel));
        let mut text = Limited { bytes: Vec::new(), limit: budget.bytes, spent: false };
        let template = environment.get_template(name).ok()?;
        match template.render_captured_to(context.clone(), &mut text) {
            Err(error) if error.kind() == ErrorKind::OutOfFuel && !text.spent => {
                (low, line) = (fuel + 1, error.line());
            }
            _ => high = fuel,
        }
    }
    line
}

/// What a template writes, up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    /// Whether it would have written more.
    spent: bool,
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.spent = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

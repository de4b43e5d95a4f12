//! Which file below src/ needs which: each name belongs to the file that defines it.

use std::collections::BTreeMap;

use petgraph::graphmap::DiGraphMap;

use crate::names::{Import, Mention, Names, read};

/// Path of a module from the root of the crate.
type Path = Vec<String>;

/// Files, and why one needs another: the path that says so, and its line.
pub(crate) type Needs<'a> = DiGraphMap<&'a str, &'a Mention>;

/// The modules that ship.
#[derive(Default)]
pub(crate) struct Modules {
    modules: BTreeMap<Path, Module>,
}

struct Module {
    /// Below src/.
    file: String,
    names: Names,
}

/// What a path leads to.
enum Found {
    Module(Path),
    /// Something that this module defines.
    Item(Path),
}

impl Modules {
    /// Reads the modules that `lib.rs` declares, and theirs; `texts` has the files by path.
    pub(crate) fn new(texts: &BTreeMap<String, String>) -> Self {
        let mut modules = Self::default();
        modules.add(Vec::new(), "lib.rs", read(&texts["lib.rs"]), texts);
        modules
    }

    fn add(&mut self, at: Path, file: &str, names: Names, texts: &BTreeMap<String, String>) {
        for child in &names.files {
            let at = below(&at, child);
            let stem = at.join("/");
            let files = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
            let file = files.iter().find(|file| texts.contains_key(*file));
            let file = file.unwrap_or_else(|| panic!("src/{stem} is declared and has no file"));
            self.add(at, file, read(&texts[file]), texts);
        }
        let mut names = names;
        for (child, inner) in std::mem::take(&mut names.inner) {
            self.add(below(&at, &child), file, inner, texts);
        }
        self.modules.insert(at, Module { file: file.to_owned(), names });
    }

    /// What files need of one another.
    pub(crate) fn needs(&self) -> Needs<'_> {
        let mut needs = Needs::new();
        for (at, module) in &self.modules {
            for import in &module.names.imports {
                let found = self.find(at, &import.from.path);
                if !found.as_ref().is_some_and(|found| handed_on(at, import, found)) {
                    self.note(&mut needs, module, &import.from, found);
                }
            }
            for glob in &module.names.globs {
                let found = self.find(at, &glob.path).map(|found| match found {
                    Found::Module(path) | Found::Item(path) => Found::Item(path),
                });
                self.note(&mut needs, module, glob, found);
            }
            for mention in &module.names.mentions {
                self.note(&mut needs, module, mention, self.find(at, &mention.path));
            }
        }
        needs
    }

    fn note<'a>(
        &'a self,
        needs: &mut Needs<'a>,
        module: &'a Module,
        mention: &'a Mention,
        found: Option<Found>,
    ) {
        let Some(Found::Item(path)) = found else { return };
        let (here, there) = (module.file.as_str(), self.modules[&path].file.as_str());
        if here != there && !needs.contains_edge(here, there) {
            needs.add_edge(here, there, mention);
        }
    }

    /// What a path in this module leads to; `None` is outside the crate.
    fn find(&self, from: &Path, path: &[String]) -> Option<Found> {
        let mut at = from.clone();
        let roots =
            path.iter().take_while(|part| matches!(part.as_str(), "crate" | "self" | "super"));
        let roots = roots.count();
        for root in &path[..roots] {
            match root.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                _ => {}
            }
        }
        let rest = &path[roots..];
        let known = || {
            rest.first().is_some_and(|name| {
                let imports = &self.modules[&at].names.imports;
                self.modules.contains_key(&below(&at, name))
                    || imports.iter().any(|import| import.name == *name)
            })
        };
        if roots == 0 && !known() { None } else { self.follow(at, rest) }
    }

    /// What the rest of a path leads to, after its parts up to the module `at`.
    fn follow(&self, at: Path, rest: &[String]) -> Option<Found> {
        let Some(name) = rest.first() else { return Some(Found::Module(at)) };
        let import = self.modules[&at].names.imports.iter().find(|import| import.name == *name);
        let child = below(&at, name);
        let has_child = self.modules.contains_key(&child);
        match import {
            // A function often has the name of its module.
            Some(import) if !has_child || rest.len() == 1 => {
                if import.from.path.first() == Some(name) && !has_child {
                    return None;
                }
                match self.find(&at, &import.from.path)? {
                    Found::Module(path) => self.follow(path, &rest[1..]),
                    item @ Found::Item(_) => Some(item),
                }
            }
            _ if has_child => self.follow(child, &rest[1..]),
            _ => Some(Found::Item(at)),
        }
    }
}

fn below(at: &Path, child: &str) -> Path {
    let mut path = at.clone();
    path.push(child.to_owned());
    path
}

/// Whether a module only makes a name of a module below it known.
fn handed_on(at: &Path, import: &Import, found: &Found) -> bool {
    matches!(found, Found::Item(path) if import.public && path.len() > at.len() && path.starts_with(at))
}

//! The shape of the source: layers, fences and sizes that docs/architecture.md promises.
//!
//! What a module may *do* (files, processes, clocks) is clippy's to hold: see clippy.toml and
//! src/lib.rs. What it may *name* is held here, by reading the text.

mod circles;
mod graph;
mod literals;
mod names;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{after, imports, sources};

/// Each line may use the lines above it; modules of one line may not use one another, except `sys`,
/// which stands beside the others of its line for all of them to use.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["finding", "wgconf"],
    &["inventory", "observed"],
    &["topology"],
    &["adopt", "check", "desired"],
    &["plan"],
    &["event"],
    &["remote", "vault", "journal", "sys"],
    &["apply", "tunnel", "lab"],
    &["fleet"],
    &["report"],
    &["cli"],
];

/// The last line of [`LAYERS`] that is pure.
const PURE: &str = "event";

/// Pairs that the order would allow and the design does not.
const NEVER: &[(&str, &str)] = &[
    ("report", "apply"),
    ("report", "tunnel"),
    ("report", "lab"),
    ("report", "remote"),
    ("report", "vault"),
    ("report", "fleet"),
    ("fleet", "tunnel"),
    ("fleet", "lab"),
];

/// Libraries, and the only place that may name each.
const FENCES: &[(&str, &str)] = &[
    ("openssh", "remote/ssh_host.rs"),
    ("openssh_mux_client", "remote/ssh_host.rs"),
    ("age", "vault/age_file/"),
    ("age_core", "vault/age_file/"),
    ("minijinja", "desired/template.rs"),
    ("png", "report/qr.rs"),
    ("qrcode", "report/qr.rs"),
    ("granit_parser", "inventory/yaml.rs"),
    ("serde_saphyr", "inventory/yaml.rs"),
    ("annotate_snippets", "report/findings.rs"),
    ("indicatif", "report/progress.rs"),
    ("blake2", "tunnel/noise/"),
    ("chacha20poly1305", "tunnel/noise/"),
    ("ring", "tunnel/noise/"),
    ("x25519_dalek", "model/key.rs"),
    ("hkdf", "vault/derive.rs"),
    ("petgraph", "check/"),
    ("clap", "cli/"),
    ("clap_complete", "cli/completions/"),
    ("clap_mangen", "cli/man.rs"),
    ("roff", "cli/man.rs"),
    ("seccompiler", "tunnel/confinement/"),
    ("tracing_subscriber", "cli/"),
];

/// Libraries that touch the world, which the pure layers do not name.
const WORLDLY: &[&str] =
    &["anstream", "futures_util", "getrandom", "openssh", "rustix", "tempfile", "tokio", "tracing"];

/// Lines at which a file splits by noun.
const LONGEST: usize = 600;

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.contains(&layer))
}

#[test]
fn every_module_has_a_place() {
    let crate_root = ["lib", "main", "helper"];
    for source in sources() {
        let known = rank(&source.layer).is_some() || crate_root.contains(&source.layer.as_str());
        assert!(known, "src/{}: give `{}` its place in LAYERS", source.path, source.layer);
    }
}

#[test]
fn a_lower_layer_never_imports_an_upper_one() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = rank(&source.layer) else { continue };
        for import in imports(&source.code).iter().filter(|import| **import != source.layer) {
            let Some(theirs) = rank(import) else { continue };
            let below = theirs < own || (theirs == own && import == "sys");
            let never = NEVER.contains(&(&source.layer, import));
            if !below || never {
                wrong.push(format!("src/{} uses crate::{import}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of the layers:\n{}", wrong.join("\n"));
}

#[test]
fn each_library_stays_behind_its_fence() {
    let mut wrong = Vec::new();
    let mut held: BTreeMap<&str, bool> = BTreeMap::new();
    for source in sources() {
        for (library, place) in FENCES {
            if after(&source.code, library).is_empty() {
                continue;
            }
            if source.path.starts_with(place) {
                held.insert(library, true);
            } else {
                wrong.push(format!("src/{} names {library}: only src/{place} may", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for library in ["openssh", "age", "minijinja", "annotate_snippets", "indicatif", "clap"] {
        assert!(held.contains_key(library), "nothing uses {library}: take its fence down");
    }
}

#[test]
fn the_pure_layers_do_not_touch_the_world() {
    let pure = rank(PURE).expect("the pure layers have an end");
    let mut wrong = Vec::new();
    for source in sources() {
        if rank(&source.layer).is_none_or(|own| own > pure) {
            continue;
        }
        for library in WORLDLY {
            if !after(source.shipped(), library).is_empty() {
                wrong.push(format!("src/{} names {library}", source.path));
            }
        }
        if source.shipped().contains("async fn") || source.shipped().contains(".await") {
            wrong.push(format!("src/{} is async", source.path));
        }
    }
    assert!(wrong.is_empty(), "pure up to `{PURE}`:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.layer != "cli") {
        for word in ["println!", "eprintln!", "print!(", "eprint!("] {
            // The progress bars stand in for the command line: they draw on stderr.
            if source.shipped().contains(word) && source.path != "report/progress.rs" {
                wrong.push(format!("src/{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_split_before_they_sprawl_and_nothing_is_left_open() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("src/{} has {lines} lines: split it by noun", source.path));
        }
        // Put together here, so that this file does not hold them.
        for word in ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!(")) {
            if source.code.contains(&word) {
                wrong.push(format!("src/{} has {word})", source.path));
            }
        }
        for word in ["#[allow(", "#![allow("] {
            if source.code.contains(word) {
                wrong.push(format!(
                    "src/{}: {word}…)] hides what #[expect] would check",
                    source.path
                ));
            }
        }
        let stem = Path::new(&source.path).file_stem().and_then(|stem| stem.to_str());
        let vague = ["utils", "util", "helpers", "common", "types", "manager", "imp", "misc"];
        if stem.is_some_and(|stem| vague.contains(&stem)) {
            wrong.push(format!("src/{}: name the file by its noun", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The code of each `struct` and `enum` that derives `Debug`, tests included.
fn printing_types(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("#[derive(") {
        let rest = &code[at..];
        let Some(end) = rest.find(")]") else { continue };
        if !rest[..end].split([',', '(', ' ', '\n']).any(|word| word == "Debug") {
            continue;
        }
        let item = &rest[end..];
        let (open, short) = (item.find('{'), item.find(';'));
        let end = match (open, short) {
            (Some(open), short) if short.is_none_or(|short| open < short) => {
                let mut depth = 0;
                item.char_indices().find_map(|(at, c)| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    (at >= open && depth == 0).then_some(at)
                })
            }
            (_, short) => short,
        };
        found.push(&item[..end.unwrap_or(item.len())]);
    }
    found
}

#[test]
fn types_are_read_to_their_end() {
    let code = "#[derive(Clone, Debug)]\nstruct A(X);\n#[derive(Clone)] struct B { y: Y }\n\
                #[derive(Debug)] enum C { D { e: E }, F }\nfn g() { z }";
    let found = printing_types(code);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains('X') && !found[0].contains('Y'));
    assert!(found[1].contains('F') && !found[1].contains('z'));
}

/// `Zeroizing` prints what it holds. A type with a secret holds a type that does not
/// (`PrivateKey`, `FingerprintKey`, `SecretText`, …), or says itself what is printed of it.
#[test]
fn no_type_that_derives_its_debug_holds_a_bare_secret() {
    let sources = sources();
    // Other names of it, each with the folder that can use it.
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let mut bare = vec![("Zeroizing".to_owned(), String::new())];
    for source in &sources {
        for line in source.code.lines().filter(|line| line.contains("Zeroizing<")) {
            let alias = line.split("type ").nth(1).and_then(|rest| rest.split([' ', '<']).next());
            bare.extend(alias.map(|alias| (alias.to_owned(), folder(&source.path))));
        }
    }
    assert!(bare.len() > 1, "aliases are found");
    let mut wrong = Vec::new();
    for source in &sources {
        for item in printing_types(&source.code) {
            let words = || item.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words().any(|word| {
                bare.iter().any(|(secret, at)| secret == word && source.path.starts_with(at))
            }) {
                let name = words().skip_while(|word| !matches!(*word, "struct" | "enum")).nth(1);
                wrong.push(format!("src/{}: {}", source.path, name.unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "their Debug would print a secret:\n{}", wrong.join("\n"));
}

/// The first sentence of a module is what `cargo doc` lists it by.
#[test]
fn every_file_begins_with_what_it_is() {
    for source in sources() {
        let first = source.text.lines().next().unwrap_or_default();
        let said = first.strip_prefix("//! ").unwrap_or_default();
        assert!(said.len() > 10, "src/{}: the first line says what is in the file", source.path);
    }
}

#[test]
fn the_documentation_shows_the_same_order() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let text = fs::read_to_string(path).expect("docs/architecture.md is there");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("<!-- layers"))
        .take_while(|line| !line.starts_with("<!-- end of layers"))
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.split(" | ").next().unwrap_or_default())
        .map(|cell| cell.split(['`', ',', ' ']).filter(|word| !word.is_empty()).collect())
        .collect();
    let shown: Vec<&str> = rows.into_iter().flatten().collect();
    let modules: BTreeSet<String> = sources().into_iter().map(|source| source.layer).collect();
    let held: Vec<&str> = LAYERS
        .iter()
        .flat_map(|line| line.iter())
        .copied()
        .filter(|layer| modules.contains(*layer))
        .collect();
    assert_eq!(shown, held, "the table of layers, from the bottom up");
}

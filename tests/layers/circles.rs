//! No set of files in which each needs all others: such a set can only be read, moved and tested as
//! a whole.

use std::fmt::Write as _;

use petgraph::algo::{astar, tarjan_scc};

use crate::graph::{Modules, Needs};
use crate::source::sources;

/// Each set of files that need one another, as a shortest circle with the lines that make it.
fn circles(needs: &Needs) -> Vec<String> {
    let mut told = Vec::new();
    for mut files in tarjan_scc(needs).into_iter().filter(|files| files.len() > 1) {
        files.sort_unstable();
        let ways = files.iter().filter_map(|file| circle(needs, file));
        let Some(way) = ways.min_by_key(Vec::len) else { continue };
        let mut text = format!("{} files: {}\n", files.len(), files.join(", "));
        for pair in way.windows(2) {
            let mention = needs[(pair[0], pair[1])];
            let path = mention.path.join("::");
            let _ =
                writeln!(text, "  src/{}:{}: {path} is in src/{}", pair[0], mention.line, pair[1]);
        }
        told.push(text);
    }
    told.sort();
    told
}

/// The shortest way from a file back to itself.
fn circle<'a>(needs: &Needs<'a>, file: &'a str) -> Option<Vec<&'a str>> {
    let ways = needs
        .neighbors(file)
        .filter_map(|next| astar(needs, next, |at| at == file, |_| 1, |_| 0).map(|(_, way)| way));
    let way = ways.min_by_key(Vec::len)?;
    Some(std::iter::once(file).chain(way).collect())
}

#[test]
fn no_files_need_one_another() {
    let texts = sources().into_iter().map(|source| (source.path, source.text)).collect();
    let modules = Modules::new(&texts);
    let needs = modules.needs();
    assert!(needs.edge_count() > 1000, "{} needs were read", needs.edge_count());
    let circles = circles(&needs);
    assert!(
        circles.is_empty(),
        "{} circles of files: move what two of them need into a file of its own\n\n{}",
        circles.len(),
        circles.join("\n")
    );
}

/// The circles of a small crate.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    circles(&Modules::new(&texts.collect()).needs())
}

#[test]
fn names_belong_to_the_file_that_defines_them() {
    let parent = "mod b;\nmod c;\npub use b::B;\npub use self::c::{C, c as d};\npub struct A;";
    let both = [("lib.rs", "mod a;"), ("a/mod.rs", parent)];
    let used = ("a/c.rs", "use super::B;\npub struct C;\npub fn c() {}");
    // Each through its parent, which needs neither.
    let circle = [both[0], both[1], used, ("a/b.rs", "\nuse crate::a::{C as X, A};\nstruct B;")];
    let told = circles_of(&circle);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("2 files: a/b.rs, a/c.rs\n"), "{told:?}");
    assert!(told[0].contains("  src/a/b.rs:2: crate::a::C is in src/a/c.rs\n"), "{told:?}");
    assert!(told[0].contains("  src/a/c.rs:1: super::B is in src/a/b.rs\n"), "{told:?}");
    for named in ["fn f() { super::d() }", "struct B { c: Vec<super::C> }", "f!(x, crate::a::C)"] {
        assert_eq!(circles_of(&[both[0], both[1], used, ("a/b.rs", named)]).len(), 1, "{named}");
    }
    let unnamed = [
        "pub struct B;\n#[cfg(test)]\nmod tests { use super::super::C; }",
        "#[cfg(test)]\nuse super::C;\npub(in crate::a) struct B;",
        "/// See [`super::C`].\npub struct B(&'static str);\nconst X: &str = \"super::C\";",
        "use super::A;\npub struct B { d: u8 }\nfn d(b: B) -> u8 { b.c() + b.d }",
    ];
    for named in unnamed {
        let told = circles_of(&[both[0], both[1], used, ("a/b.rs", named)]);
        assert!(told.is_empty(), "{named}: {told:?}");
    }
}

#[test]
fn a_parent_needs_what_it_calls_in_a_child() {
    let child = ("a/b.rs", "use super::A;\npub fn b() {}\npub struct B;");
    for parent in [
        "mod b;\npub struct A;\nfn f() { b::b() }",
        "mod b;\npub use b::b;\npub struct A;\nfn f() { b() }",
        "mod b;\npub use b::B;\npub struct A(B);",
        "mod b;\nuse b::B as X;\npub struct A(X);",
        "mod b;\nuse self::b as x;\npub struct A(x::B);",
        "mod b;\npub use inner::A;\nmod inner { use super::b::*; pub struct A; }",
    ] {
        let told = circles_of(&[("lib.rs", "mod a;"), ("a.rs", parent), child]);
        assert_eq!(told.len(), 1, "{parent}: {told:?}");
    }
}

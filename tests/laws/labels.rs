//! The operations that the compiler writes are those that the host's script reads, and each that
//! changes something is one that the script's `snapshot()` saves something for.

use std::collections::BTreeSet;

use wgfleet::model::{InterfaceName, Need, Tool};
use wgfleet::plan::{Op, Saved, files_of, units_of};

const SCRIPT: &str = wgfleet::remote::HOST_SCRIPT;

/// The body of a function of the script.
fn body(name: &str) -> &'static str {
    let head = format!("\n{name}() {{");
    let (_, rest) = SCRIPT.split_once(&head).unwrap_or_else(|| panic!("no function {name}"));
    rest.split_once("\n}").expect("it ends").0
}

/// The patterns of the branches of a `case` whose lines have so many tabs before them.
fn branches(body: &str, tabs: usize) -> BTreeSet<&str> {
    let indent = "\t".repeat(tabs);
    let lines = body.lines().filter_map(|line| line.strip_prefix(indent.as_str()));
    let patterns = lines.filter_map(|line| {
        let (pattern, _) = line.split_once(')')?;
        let plain = |c: char| c.is_ascii_lowercase() || "-| ".contains(c);
        pattern.starts_with(|c: char| c.is_ascii_lowercase()).then_some(())?;
        pattern.chars().all(plain).then_some(pattern)
    });
    patterns.flat_map(|pattern| pattern.split('|').map(str::trim)).collect()
}

fn labels(which: impl Fn(Saved) -> bool) -> BTreeSet<&'static str> {
    Op::ALL.iter().filter(|(_, saved)| which(*saved)).map(|(label, _)| *label).collect()
}

#[test]
fn the_script_knows_every_operation_and_no_other() {
    let all = labels(|_| true);
    assert_eq!(all.len(), Op::ALL.len(), "two operations have one label");
    assert_eq!(branches(body("op"), 1), all);
}

#[test]
fn the_script_saves_what_an_operation_names() {
    assert_eq!(branches(body("snapshot_of"), 2), labels(|saved| saved == Saved::Itself));
}

#[test]
fn no_other_part_of_the_script_has_a_label_of_its_own() {
    let mut seen = BTreeSet::new();
    for name in ["began", "began_unit", "sync_names"] {
        for text in body(name).split("$1 ").skip(1) {
            let words = match (text.strip_prefix("== \""), text.strip_prefix("~ /^(")) {
                (Some(rest), _) => rest.split('"').next(),
                (_, Some(rest)) => rest.split(')').next(),
                _ => None,
            };
            seen.extend(words.expect("a comparison with labels").split('|'));
        }
    }
    for text in SCRIPT.split("grep -Eq '^(").skip(1) {
        seen.extend(text.split(')').next().expect("a list").split('|'));
    }
    let all = labels(|_| true);
    assert!(seen.len() > 8 && seen.is_subset(&all), "{:?}", seen.difference(&all));
}

/// The names of the tools that are needed in some way.
fn tools(need: Need) -> BTreeSet<&'static str> {
    let needed = Tool::ALL.iter().filter(|tool| tool.need() == need);
    needed.map(|tool| tool.name()).collect()
}

#[test]
fn the_script_asks_for_the_tools_that_plans_know() {
    let (_, list) = SCRIPT.split_once("\ntools=\"").expect("the list of tools");
    let list = list.split('"').next().unwrap_or_default();
    assert_eq!(list.split_whitespace().collect::<BTreeSet<_>>(), tools(Need::Always));
    let (_, told) = body("state").split_once("for t in ").expect("a loop over tools");
    let told = told.split([';', '\n']).next().unwrap_or_default();
    let mut told: BTreeSet<&str> = told.split_whitespace().collect();
    // A function of the script has its name, so that is asked for elsewhere.
    assert!(body("state").contains("tool wg$"), "wg is not told");
    told.insert("wg");
    assert_eq!(told, tools(Need::Told));
}

/// Words that are the shell's own.
const SHELL: &str = "[ break case cd continue do done esac eval exit export fi for kill printf read return set \
                     shift trap umask unset wait : }";

/// Words behind which a command begins.
const AGAIN: &str = "! { if then else elif do while until command exec";

/// The programs that a script calls: first words of commands that are neither functions of its own nor
/// the shell's.
fn called(script: &str) -> BTreeSet<String> {
    let [shell, again] = [SHELL, AGAIN].map(|words| words.split_whitespace().collect::<Vec<_>>());
    let functions: BTreeSet<&str> =
        script.lines().filter_map(|line| line.split_once("() {").map(|(name, _)| name)).collect();
    let mut found = BTreeSet::new();
    let plain = plain(script);
    for line in plain.lines().map(without_expansions) {
        // What a branch of `case` matches is no command.
        let command = line.split_once(')').filter(|(pattern, _)| !pattern.contains('('));
        let command = command.map_or(line.as_str(), |(_, command)| command);
        for part in command.split([';', '|', '&', '(', '`']) {
            let mut words = part.split_whitespace();
            let assigns = |word: &str| word.contains('=') && !word.starts_with(['"', '$']);
            let word = words
                .find(|word| !again.contains(word) && !assigns(word) && !word.ends_with(')'))
                .unwrap_or_default();
            let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(name)
                && !shell.contains(&word)
                && !functions.contains(word)
            {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// A line without `${…}` and `$((…))`.
fn without_expansions(line: &str) -> String {
    let mut left = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("${").into_iter().chain(rest.find("$((")).min() {
        left.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("$((") {
            rest.find("))").map(|at| at + 2)
        } else {
            let mut depth = 0_i32;
            rest.char_indices().find_map(|(at, c)| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                (c == '}' && depth == 0).then_some(at + 1)
            })
        };
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    left + rest
}

/// A script without comments, quoted text and here-documents.
fn plain(script: &str) -> String {
    let mut plain = String::new();
    let mut quoted: Option<char> = None;
    let mut until: Option<&str> = None;
    for line in script.lines() {
        if let Some(end) = until {
            if line.trim() == end {
                until = None;
            }
            continue;
        }
        if quoted.is_none() && line.trim_start().starts_with('#') {
            continue;
        }
        let mut last = ' ';
        for c in line.chars() {
            match quoted {
                Some(quote) if c == quote && last != '\\' => quoted = None,
                Some(_) => {}
                None if matches!(c, '\'' | '"') && last != '\\' => {
                    quoted = Some(c);
                    plain.push('"');
                }
                None if c == '#' && matches!(last, ' ' | '\t') => break,
                None => plain.push(c),
            }
            last = c;
        }
        plain.push('\n');
        if quoted.is_none() {
            until = line
                .split_once("<<-")
                .map(|(_, rest)| rest.split([' ', ')']).next().unwrap_or(rest));
        }
    }
    plain
}

#[test]
fn the_script_calls_no_program_that_the_list_does_not_have() {
    let known: BTreeSet<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
    let called = called(SCRIPT);
    let unknown: Vec<&String> =
        called.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "give these a row in src/model/tool.rs: {unknown:?}");
    let words: BTreeSet<&str> =
        SCRIPT.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).collect();
    let idle: Vec<&str> = known.into_iter().filter(|name| !words.contains(name)).collect();
    assert!(idle.is_empty(), "the script calls none of {idle:?}");
    assert!(called.len() > 20, "{called:?}");
}

#[test]
fn the_script_looks_at_what_managers_have() {
    let name: InterfaceName = "wg0".parse().expect("a name");
    let state = body("state");
    for unit in units_of(&name) {
        let asked = unit.replace("wg0", "$i");
        assert!(state.contains(&asked), "observe() does not ask for {asked}");
        let stem = unit.split("wg0").next().unwrap_or_default();
        for part in ["began", "unit_off"] {
            assert!(body(part).contains(stem), "{part}() does not know {unit}");
        }
    }
    for path in files_of(&name) {
        let asked = path.replace("wg0", "*");
        assert!(state.contains(&asked), "observe() does not tell of {asked}");
    }
}

//! One thing has one name: docs/glossary.md has the words, and nothing that people read says a retired
//! one. Names in code are read as words too: `WayBack` and `way_back` are "way back".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Phrases that are retired, and what is said instead. The glossary's last table has the same lines.
const RETIRED: &[(&str, &str)] = &[
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("way back", "rollback, or return path"),
    ("go back", "roll back"),
    ("goes back", "rolls back"),
    ("going back", "rolling back"),
    ("gone back", "rolled back"),
    ("went back", "rolled back"),
    ("take hosts back", "go to an older state"),
    ("takes hosts back", "goes to an older state"),
    ("unconfirmed change back", "roll back an unconfirmed change"),
    ("torn", "interrupted"),
    ("cut short", "interrupted, or truncated"),
    ("left over", "left behind, or orphan"),
    ("go round", "loop"),
    ("goes round", "routing loop"),
    ("leaves beside", "bypasses"),
    ("story", "record, or outcome"),
    ("whither", "where to"),
    ("of late", "recently"),
];

/// Where people read: folders and files below the repository, and the endings that count.
const PLACES: &[&str] = &[
    "src",
    "docs",
    "templates",
    "tests",
    "examples",
    "benches",
    "scripts",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];
const ENDINGS: &[&str] = &["rs", "sh", "md", "snap", "html", "j2", "yaml"];
/// These two name the retired words.
const EXCEPT: &[&str] = &["tests/glossary.rs", "docs/glossary.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(at: &Path, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).expect("the folder can be read") {
            files(&entry.expect("the folder can be read").path(), found);
        }
    } else if at.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one)) {
        found.push(at.to_owned());
    }
}

/// The words of a text in lower case, with their lines; `.` stands between sentences. Comment marks
/// and line ends part no phrase.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut last = ' ';
        for c in line.chars().chain([' ']) {
            let new = !c.is_alphanumeric() || (c.is_uppercase() && last.is_lowercase());
            if new && !word.is_empty() {
                words.push((number + 1, std::mem::take(&mut word).to_lowercase()));
            }
            if c.is_alphanumeric() {
                word.push(c);
            } else if matches!(c, '.' | ';' | ':' | '!' | '?' | ',' | '|' | '(' | ')' | '"') {
                words.push((number + 1, ".".to_owned()));
            }
            last = c;
        }
    }
    words
}

/// The words of a text with blanks between them, to be searched quickly.
fn joined(words: &[(usize, String)]) -> String {
    words.iter().fold(" ".to_owned(), |all, (_, word)| all + word + " ")
}

/// The lines that have a phrase.
fn lines(words: &[(usize, String)], phrase: &str) -> Vec<usize> {
    let wanted: Vec<&str> = phrase.split(' ').collect();
    let same = |window: &[(usize, String)]| {
        window.iter().zip(&wanted).all(|((_, word), wanted)| word == wanted)
    };
    words.windows(wanted.len()).filter(|window| same(window)).map(|window| window[0].0).collect()
}

#[test]
fn nothing_says_a_retired_word() {
    let mut paths = Vec::new();
    for place in PLACES {
        files(&root().join(place), &mut paths);
    }
    assert!(paths.len() > 300, "the project's files are found: {}", paths.len());
    let mut wrong = BTreeSet::new();
    for path in paths {
        let name = path.strip_prefix(root()).expect("it is below the root").display().to_string();
        if EXCEPT.contains(&name.as_str()) {
            continue;
        }
        let words = words(&fs::read_to_string(&path).expect("it can be read"));
        let joined = joined(&words);
        for (phrase, instead) in RETIRED {
            if !joined.contains(&format!(" {phrase} ")) {
                continue;
            }
            let found = lines(&words, phrase);
            wrong
                .extend(found.iter().map(|line| format!("{name}:{line}: {phrase}: say {instead}")));
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phrases_are_found_across_lines_and_in_names() {
    let text = "/// It knows the way\n/// back.\nNoWayBack no_way_back away back\nthe way. Back";
    assert_eq!(lines(&words(text), "way back"), [1, 3, 3]);
}

fn glossary() -> String {
    fs::read_to_string(root().join("docs/glossary.md")).expect("the page is there")
}

fn rows(text: &str) -> Vec<[&str; 2]> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|---"));
    let rows = rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    });
    rows.filter(|row| !matches!(row[0], "word" | "not")).collect()
}

#[test]
fn the_glossary_has_the_retired_words() {
    let page = glossary();
    let (_, table) = page.split_once("## Retired words").expect("the last table");
    let held: Vec<(&str, &str)> = rows(table).iter().map(|[not, but]| (*not, *but)).collect();
    assert_eq!(held, RETIRED);
}

/// A word of the glossary that neither the program nor another page uses helps nobody.
#[test]
fn the_words_of_the_glossary_are_used() {
    let page = glossary();
    let (terms, _) = page.split_once("## Retired words").expect("the last table");
    let terms = rows(terms);
    assert!(terms.len() > 40, "{}", terms.len());
    let mut paths = Vec::new();
    for place in ["src", "docs", "README.md"] {
        files(&root().join(place), &mut paths);
    }
    let texts: Vec<_> = paths
        .iter()
        .filter(|path| !path.ends_with("glossary.md"))
        .map(|path| joined(&words(&fs::read_to_string(path).expect("it can be read"))))
        .collect();
    for [term, meaning] in &terms {
        assert!(meaning.ends_with('.'), "{term}: {meaning}");
        assert!(
            texts.iter().any(|text| text.contains(&format!(" {term} "))),
            "nothing says {term:?}"
        );
    }
    let names: BTreeSet<&str> = terms.iter().map(|[term, _]| *term).collect();
    assert_eq!(names.len(), terms.len(), "each word stands once");
}

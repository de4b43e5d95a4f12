//! Literals of the shipped source: who writes down what only one place may know.

use proc_macro2::{TokenStream, TokenTree};

use crate::names::{is, skip_item};
use crate::source::sources;

/// A literal as it is written, and its line.
struct Literal {
    text: String,
    line: usize,
}

/// The literals of a file, without those of documentation and of tests.
fn literals(text: &str) -> Vec<Literal> {
    let tokens: TokenStream = text.parse().expect("the source is Rust");
    let mut found = Vec::new();
    take(tokens, &mut found);
    found
}

fn take(tokens: TokenStream, found: &mut Vec<Literal>) {
    let mut tokens = tokens.into_iter().collect::<Vec<_>>().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                tokens.next_if(|next| is(next, '!'));
                let Some(TokenTree::Group(attribute)) = tokens.next() else { continue };
                let name = attribute.stream().to_string();
                if name == "cfg (test)" {
                    skip_item(&mut tokens);
                } else if !name.starts_with("doc ") {
                    take(attribute.stream(), found);
                }
            }
            TokenTree::Group(group) => take(group.stream(), found),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                found.push(Literal { text: literal.to_string(), line });
            }
            _ => {}
        }
    }
}

/// What stands in a literal of whoever reads or writes WireGuard's files itself.
const PARTS: [&str; 4] = ["[interface]", "[peer]", "privatekey", "presharedkey"];

/// What is a literal of its own there.
const WORDS: [&str; 8] = [
    "publickey",
    "allowedips",
    "listenport",
    "persistentkeepalive",
    "preup",
    "postup",
    "predown",
    "postdown",
];

/// Who else writes them down, and why.
const KNOWN: [(&str, &str); 5] = [
    ("model/key.rs", "what Debug says in the place of a secret"),
    ("model/masking.rs", "the words behind which a public key stands, in any text"),
    ("model/schema.rs", "the names of types in JSON schemas"),
    ("inventory/fields.rs", "what to say to those who write them into an inventory"),
    ("observed/bounds.rs", "what a host has too many of, for people"),
];

fn is_of_conf(literal: &Literal) -> bool {
    let text = literal.text.to_ascii_lowercase();
    let word = text.trim_start_matches('b').trim_matches('"');
    PARTS.iter().any(|part| text.contains(part)) || WORDS.contains(&word)
}

/// One tokenizer, one writer, one redactor. The shell on hosts cannot share them
/// (`src/remote/host/observe.sh` hides secrets there, `operations.sh` and `snapshot.sh` read hooks and
/// what `wg showconf` prints), and templates are for operators to write.
#[test]
fn configuration_files_are_read_and_written_in_one_place() {
    let mut wrong = Vec::new();
    let mut used = Vec::new();
    for source in sources() {
        let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
        if source.layer == "wgconf" || is_test {
            continue;
        }
        for literal in literals(&source.text).iter().filter(|literal| is_of_conf(literal)) {
            match KNOWN.iter().find(|(path, _)| *path == source.path) {
                Some((path, _)) => used.push(*path),
                None => wrong.push(format!(
                    "src/{}:{}: {}: `wgconf` reads, writes and hides such text",
                    source.path, literal.line, literal.text
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (path, why) in KNOWN {
        assert!(used.contains(&path), "src/{path} has none any more: take it out ({why})");
    }
}

#[test]
fn literals_are_found_in_code_and_attributes_and_nowhere_else() {
    let code = "//! \"[Peer]\"\n/// `[Peer]`\n#[error(\"no [PEER]\")]\nenum E {}\nconst A: [&str; 2] = \
                [\"PostUp\", \"postups\"];\nfn f() { g!(b\"PublicKey\") }\n#[cfg(test)]\nmod tests {\n\
                const B: &str = \"[Peer]\"; }\n";
    let found: Vec<(String, usize)> = literals(code)
        .into_iter()
        .filter(is_of_conf)
        .map(|literal| (literal.text, literal.line))
        .collect();
    let expected = [("\"no [PEER]\"", 3), ("\"PostUp\"", 5), ("b\"PublicKey\"", 6)];
    assert_eq!(found, expected.map(|(text, line)| (text.to_owned(), line)));
}

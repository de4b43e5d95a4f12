//! What the text of a module declares, imports and names. Tests are left out.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A path as it is written, and its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// A name that `use` brings into a module.
#[derive(Debug)]
pub(crate) struct Import {
    /// What the module calls it.
    pub(crate) name: String,
    /// Where it comes from.
    pub(crate) from: Mention,
    /// Whether it is handed on with `pub`.
    pub(crate) public: bool,
}

/// What the text of one module names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Modules with a file of their own.
    pub(crate) files: Vec<String>,
    /// Modules in braces.
    pub(crate) inner: BTreeMap<String, Names>,
    pub(crate) imports: Vec<Import>,
    /// Modules of which everything is imported.
    pub(crate) globs: Vec<Mention>,
    /// Paths of two parts or more, and names of types and of functions that are called.
    pub(crate) mentions: Vec<Mention>,
}

/// Reads the text of a file.
pub(crate) fn read(text: &str) -> Names {
    let tokens: TokenStream = text.parse().expect("the source is Rust");
    let mut names = Names::default();
    names.take(tokens);
    names
}

pub(crate) type Tokens = Peekable<IntoIter<TokenTree>>;

impl Names {
    fn take(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().collect::<Vec<_>>().into_iter().peekable();
        let mut public = false;
        // Whether what comes next belongs to the value or path before it.
        let mut joined = false;
        while let Some(token) = tokens.next() {
            let was_public = std::mem::take(&mut public);
            let was_joined = std::mem::take(&mut joined);
            match token {
                TokenTree::Punct(sign) if sign.as_char() == '#' => {
                    if attribute(&mut tokens).is_some_and(|text| text == "cfg (test)") {
                        skip_item(&mut tokens);
                    }
                }
                TokenTree::Punct(sign) => joined = sign.as_char() == '.',
                TokenTree::Group(group) => self.take(group.stream()),
                TokenTree::Literal(_) => {}
                TokenTree::Ident(word) if was_joined => drop(word),
                TokenTree::Ident(word) => match word.to_string().as_str() {
                    "pub" => {
                        public = true;
                        // `pub(in crate::plan)` names nothing that is used.
                        tokens.next_if(in_parentheses);
                    }
                    "mod" => self.module(&mut tokens),
                    // The name of what is defined here.
                    "fn" => drop(tokens.next()),
                    "use" => import(&mut tokens, &[], was_public, self),
                    first => {
                        let line = word.span().start().line;
                        let path = path(first, &mut tokens);
                        // A variable or a field may have the name of a function.
                        let mut called = || tokens.peek().is_some_and(in_parentheses);
                        if path.len() > 1 || first.starts_with(char::is_uppercase) || called() {
                            self.mentions.push(Mention { path, line });
                        }
                    }
                },
            }
        }
    }

    fn module(&mut self, tokens: &mut Tokens) {
        let Some(TokenTree::Ident(name)) = tokens.next() else { return };
        if let Some(TokenTree::Group(body)) = tokens.next_if(is_body) {
            self.inner.entry(name.to_string()).or_default().take(body.stream());
        } else {
            self.files.push(name.to_string());
        }
    }
}

/// What stands in the brackets of an attribute whose `#` was read.
fn attribute(tokens: &mut Tokens) -> Option<String> {
    tokens.next_if(|next| is(next, '!'));
    match tokens.next() {
        Some(TokenTree::Group(text)) => Some(text.stream().to_string()),
        _ => None,
    }
}

/// Reads to the end of an item, a field or an arm.
pub(crate) fn skip_item(tokens: &mut Tokens) {
    let mut import = false;
    for token in tokens.by_ref() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == ';' => return,
            TokenTree::Ident(word) if word == "use" => import = true,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !import => return,
            _ => {}
        }
    }
}

/// The rest of a path whose first part was read; what stands in `<…>` is not part of it.
fn path(first: &str, tokens: &mut Tokens) -> Vec<String> {
    let mut path = vec![first.to_owned()];
    while separator(tokens) {
        match tokens.peek() {
            Some(TokenTree::Ident(part)) => {
                path.push(part.to_string());
                tokens.next();
            }
            _ => break,
        }
    }
    path
}

/// Reads `::` if it is next.
fn separator(tokens: &mut Tokens) -> bool {
    let joint = |next: &TokenTree| {
        matches!(next, TokenTree::Punct(sign)
            if sign.as_char() == ':' && sign.spacing() == Spacing::Joint)
    };
    tokens.next_if(joint).is_some() && tokens.next_if(|next| is(next, ':')).is_some()
}

/// Reads one branch of the tree behind `use`.
fn import(tokens: &mut Tokens, above: &[String], public: bool, names: &mut Names) {
    let mut path = above.to_vec();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                path.push(word.to_string());
                if separator(tokens) {
                    continue;
                }
                if path.len() > 1 && word == "self" {
                    path.pop();
                }
                let renamed = tokens.next_if(|next| next.to_string() == "as").is_some();
                let name = if renamed { tokens.next().map(|name| name.to_string()) } else { None };
                let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
                return names.imports.push(Import { name, from: Mention { path, line }, public });
            }
            TokenTree::Group(group) => return branches(&group, &path, public, names),
            TokenTree::Punct(sign) if sign.as_char() == '*' => {
                let line = sign.span().start().line;
                return names.globs.push(Mention { path, line });
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' => {}
            _ => return,
        }
    }
}

/// Reads the branches in the braces of a `use`.
fn branches(group: &Group, above: &[String], public: bool, names: &mut Names) {
    let mut tokens = group.stream().into_iter().collect::<Vec<_>>().into_iter().peekable();
    while tokens.peek().is_some() {
        import(&mut tokens, above, public, names);
        tokens.next_if(|next| is(next, ','));
    }
}

pub(crate) fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn in_parentheses(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

//! Writing YAML as a person would: short maps on one line, long ones on several.

use std::fmt::Write as _;

/// The most characters of a line that holds a map or a list.
const WIDTH: usize = 96;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A scalar, as it is to be read.
    Text(String),
    /// A scalar that is written as it is: a word or a number of the format.
    Word(String),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(Map),
}

/// Keys with their values, in order.
pub(super) type Map = Vec<(String, Value)>;

impl Value {
    /// One value alone, several as a list.
    pub(super) fn one_or_many<T: ToString>(all: &[T]) -> Self {
        let mut texts: Vec<Self> = all.iter().map(|one| Self::Text(one.to_string())).collect();
        if texts.len() == 1 { texts.remove(0) } else { Self::List(texts) }
    }

    /// On one line.
    fn flow(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(map) if map.is_empty() => "{}".to_owned(),
            Self::Map(map) => {
                let entries: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{}: {}", quoted(key), value.flow()))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    /// Whether it reads well on one line.
    fn is_short(&self) -> bool {
        match self {
            Self::Text(_) | Self::Word(_) => true,
            Self::List(items) => items.iter().all(|item| match item {
                Self::Text(text) => !text.contains(' '),
                Self::List(_) | Self::Word(_) => true,
                Self::Map(_) => items.len() == 1,
            }),
            Self::Map(map) => {
                map.len() <= 4
                    && map.iter().all(|(_, value)| match value {
                        Self::Map(inner) => map.len() == 1 && inner.len() <= 2 && value.is_short(),
                        value => value.is_short(),
                    })
            }
        }
    }
}

/// Writes the entries of a map, one or more lines each.
pub(super) fn write(text: &mut String, map: &Map, indent: usize) {
    for (key, value) in map {
        let start = format!("{:indent$}{}:", "", quoted(key));
        let flow = value.flow();
        let fits = start.chars().count() + 1 + flow.chars().count() <= WIDTH;
        // The first levels have a line for each entry: sections, then what they name.
        let on_one = matches!(value, Value::Text(_) | Value::Word(_))
            || (fits && value.is_short() && (indent > 0 || !matches!(value, Value::Map(_))));
        if on_one {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{start} {flow}");
            continue;
        }
        let _ = writeln!(text, "{start}");
        match value {
            Value::Map(map) => write(text, map, indent + 2),
            Value::List(items) => {
                for item in items {
                    let _ = writeln!(text, "{:indent$}  - {}", "", item.flow());
                }
            }
            Value::Text(_) | Value::Word(_) => {}
        }
    }
}

/// Words that YAML readers take for something else.
const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "~"];

/// A scalar with quotes where it needs them.
fn quoted(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | '=' | '@' | ':')
    };
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(plain)
        && !text.contains("::")
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && text.parse::<f64>().is_err()
        && !text.starts_with("0x");
    if is_plain {
        return text.to_owned();
    }
    if text.chars().all(|c| !c.is_control()) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut escaped = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped.push('"');
    escaped
}

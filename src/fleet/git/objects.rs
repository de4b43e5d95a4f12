//! Files and folders of a revision, read from git's objects.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::command::command;

/// The name of an object: 40 or 64 hexadecimal digits, so that no other text reaches git.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::fleet) struct ObjectId(String);

impl ObjectId {
    pub(super) fn new(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex && matches!(text.len(), 40 | 64)).then(|| Self(text.to_owned()))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands in a folder under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// Another repository, of which this one knows no file.
    Submodule,
}

/// One name of a folder.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct Entry {
    /// What it is.
    pub(in crate::fleet) kind: EntryKind,
    /// Its content.
    pub(in crate::fleet) id: ObjectId,
}

/// The names of a folder, as bytes.
pub(in crate::fleet) type Tree = BTreeMap<Vec<u8>, Entry>;

/// The objects of a repository, asked for one after the other through one `git cat-file --batch`.
#[derive(Debug)]
pub(in crate::fleet) struct Objects {
    root: PathBuf,
    process: Option<Batch>,
}

#[derive(Debug)]
struct Batch {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Objects {
    /// The objects of the repository whose work tree has this root.
    pub(in crate::fleet) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), process: None }
    }

    /// The content of a file or a link.
    ///
    /// # Errors
    /// Where the repository does not have it, or it has more than `limit` bytes.
    pub(in crate::fleet) fn file(&mut self, id: &ObjectId, limit: u64) -> io::Result<Vec<u8>> {
        self.read(id, "blob", limit)
    }

    /// The names of a folder.
    ///
    /// # Errors
    /// Where the repository does not have it, or it has more than `limit` bytes.
    pub(in crate::fleet) fn tree(&mut self, id: &ObjectId, limit: u64) -> io::Result<Tree> {
        let bytes = self.read(id, "tree", limit)?;
        parse(&bytes, id.0.len() / 2).ok_or_else(|| io::Error::other(format!("{id} is damaged")))
    }

    fn read(&mut self, id: &ObjectId, kind: &str, limit: u64) -> io::Result<Vec<u8>> {
        // One that was left in the middle of an answer is of no use to the next question.
        let mut batch = match self.process.take() {
            Some(batch) => batch,
            None => start(&self.root)?,
        };
        writeln!(batch.questions, "{id}")?;
        batch.questions.flush()?;
        let mut head = Vec::new();
        (&mut batch.answers).take(200).read_until(b'\n', &mut head)?;
        let head = String::from_utf8_lossy(&head).trim_end().to_owned();
        let words: Vec<&str> = head.split(' ').collect();
        let [_, found, size] = words[..] else {
            return Err(io::Error::other(format!("the repository has no object {id}")));
        };
        let size: u64 = size.parse().map_err(io::Error::other)?;
        if found != kind {
            return Err(io::Error::other(format!("{id} is no {kind}")));
        }
        if size > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is larger than {limit} bytes"),
            ));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        (&mut batch.answers).take(size).read_to_end(&mut bytes)?;
        let mut end = [0];
        batch.answers.read_exact(&mut end)?;
        if bytes.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.process = Some(batch);
        Ok(bytes)
    }
}

fn start(root: &Path) -> io::Result<Batch> {
    let mut child = command(root)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(questions), Some(answers)) => {
            Ok(Batch { child, questions, answers: BufReader::new(answers) })
        }
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// A tree object: for each name its mode, a blank, the name, a zero and the raw id.
fn parse(mut bytes: &[u8], width: usize) -> Option<Tree> {
    let mut tree = Tree::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ')?;
        let kind = match &bytes[..blank] {
            b"120000" => EntryKind::Link,
            b"160000" => EntryKind::Submodule,
            b"40000" | b"040000" => EntryKind::Folder,
            mode if mode.starts_with(b"100") => EntryKind::File,
            _ => return None,
        };
        let rest = &bytes[blank + 1..];
        let zero = rest.iter().position(|byte| *byte == 0)?;
        let id = rest.get(zero + 1..zero + 1 + width)?;
        tree.insert(rest[..zero].to_vec(), Entry { kind, id: ObjectId::from_bytes(id) });
        bytes = &rest[zero + 1 + width..];
    }
    Some(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_tree_is_none_and_ids_are_hexadecimal() {
        let whole = [&b"100644 a\0"[..], &[7; 20]].concat();
        assert_eq!(parse(&whole, 20).unwrap()[&b"a"[..]].id.to_string(), "07".repeat(20));
        for damaged in [&whole[..12], &whole[..5], b"7 a\0", b"no"] {
            assert!(parse(damaged, 20).is_none());
        }
        assert!(ObjectId::new(&"g".repeat(40)).is_none() && ObjectId::new("HEAD").is_none());
    }
}

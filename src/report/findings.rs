//! Findings as text with source snippets; the one place that knows the renderer.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};

use crate::finding::{Finding, Hop, Label, Severity, Witness};
use crate::model::{FileId, Location, SourceMap, Untrusted, secrets_in, stars, unplain};

/// Most lines that a snippet shows between two labels of one file before it is cut in two.
const NEAR: u32 = 40;

/// Findings that people are shown; JSON has all of them.
const SHOWN: usize = 500;
/// Bytes of a line that is still shown.
const MAX_LINE: usize = 4096;

/// The findings, each with its snippet, help and witness; empty where there are none.
#[must_use]
pub fn human(findings: &[Finding], sources: &SourceMap, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN) {
        text.push_str(&one(finding, sources, &renderer));
        text.push_str("\n\n");
    }
    if findings.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(text, "and {} more findings\n\n", findings.len() - SHOWN);
    }
    text
}

/// `2 errors, 1 warning`, or `no findings`.
#[must_use]
pub fn summary(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (severity, one, many) in [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "note", "notes"),
    ] {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        if count > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            let word = if count == 1 { one } else { many };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{count} {word}");
        }
    }
    if text.is_empty() { "no findings".to_owned() } else { text }
}

fn one(finding: &Finding, sources: &SourceMap, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let title = level.primary_title(plain(&finding.title)).id(finding.code.to_string());
    let mut elements: Vec<Element<'_>> = Vec::new();
    for labels in by_file(finding) {
        snippets(&labels, sources, &mut elements);
    }
    for note in notes(finding) {
        elements.push(Level::NOTE.message(plain(&note)).into());
    }
    if let Some(help) = &finding.help {
        elements.push(Level::HELP.message(plain(help)).into());
    }
    let group: Group<'_> = title.elements(elements);
    renderer.render(&[group])
}

/// How often a finding occurs, and its witness hop by hop: a line each.
pub(super) fn notes(finding: &Finding) -> Vec<String> {
    let mut notes = Vec::new();
    if finding.count > 1 {
        notes.push(format!("{} more of the same cause", finding.count - 1));
    }
    if let Some(Witness { source, destination }) = &finding.witness {
        notes.push(format!("a packet from {source} to {destination} shows it"));
    }
    notes.extend(finding.trace.iter().map(describe));
    notes
}

/// One hop on one line.
pub(super) fn describe(hop: &Hop) -> String {
    let mut text = hop.host.to_string();
    if let Some(interface) = &hop.interface {
        let _ = write!(text, " ({interface})");
    }
    let _ = write!(text, ": {}", hop.text);
    if let Some(net) = &hop.matched {
        let _ = write!(text, " [{net}]");
    }
    text
}

/// A label, and whether it is the primary one.
type Marked<'f> = (&'f Label, bool);

/// The labels of each file, that of the primary label first.
fn by_file(finding: &Finding) -> Vec<Vec<Marked<'_>>> {
    let mut files: Vec<(FileId, Vec<Marked<'_>>)> =
        vec![(finding.primary.at.file, vec![(&finding.primary, true)])];
    for label in &finding.others {
        match files.iter_mut().find(|(file, _)| *file == label.at.file) {
            Some((_, labels)) => labels.push((label, false)),
            None => files.push((label.at.file, vec![(label, false)])),
        }
    }
    files.into_iter().map(|(_, labels)| labels).collect()
}

/// The snippets of one file: labels that are near one another share one.
fn snippets<'f>(labels: &[Marked<'f>], sources: &'f SourceMap, elements: &mut Vec<Element<'f>>) {
    let Some(((first, _), _)) = labels.split_first() else { return };
    let Some((_, file)) = sources.files().find(|(id, _)| *id == first.at.file) else { return };
    let path = plain(&file.path.display().to_string());
    let mut sorted: Vec<Marked<'f>> = labels.to_vec();
    sorted.sort_by_key(|(label, _)| label.at);
    let mut clusters: Vec<Vec<Marked<'f>>> = Vec::new();
    for marked in sorted {
        match clusters.last_mut() {
            Some(cluster)
                if cluster
                    .last()
                    .is_some_and(|(last, _)| marked.0.at.line.abs_diff(last.at.line) <= NEAR) =>
            {
                cluster.push(marked);
            }
            _ => clusters.push(vec![marked]),
        }
    }
    // The place that is to change comes first.
    clusters.sort_by_key(|cluster| !cluster.iter().any(|(_, primary)| *primary));
    for cluster in clusters {
        let spans: Vec<(Range<usize>, Marked<'f>)> =
            cluster.iter().map(|marked| (clamp(&file.text, marked.0.at), *marked)).collect();
        let start = spans.iter().map(|(span, _)| span.start).min().unwrap_or_default();
        let end = spans.iter().map(|(span, _)| span.end).max().unwrap_or_default();
        let line = cluster.iter().map(|(label, _)| label.at.line).min().unwrap_or(1);
        let shown = lines(&file.text, start, end).filter(|(_, shown)| !shown.trim().is_empty());
        let Some((from, shown)) = shown else {
            let mut origin = Origin::path(path.clone()).line(line as usize);
            if let Some((label, _)) = cluster.first() {
                origin = origin.char_column(label.at.column as usize);
            }
            elements.push(origin.into());
            continue;
        };
        // Sources are overwritten when they have been read; what was added since is not.
        let shown = &starred(shown);
        let (text, grown) = escaped(shown);
        let mut snippet =
            Snippet::<Annotation<'f>>::source(text).path(path.clone()).line_start(line as usize);
        for (span, (label, primary)) in spans {
            let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            // A place between the line's carriage returns is behind what is shown.
            let within = |offset: usize| grown((offset - from).min(shown.len()));
            let mut annotation = kind.span(within(span.start)..within(span.end));
            if !label.text.is_empty() {
                annotation = annotation.label(plain(&label.text));
            }
            snippet = snippet.annotation(annotation);
        }
        elements.push(snippet.into());
    }
}

/// A text of one line as it may be shown.
fn plain(text: &str) -> String {
    Untrusted::new(text).to_string()
}

/// Lines of a file with stars for whatever has the form of a secret.
fn starred(lines: &str) -> String {
    let mut text = lines.to_owned();
    for range in secrets_in(lines) {
        text.replace_range(range.clone(), &stars(&lines[range]));
    }
    text
}

/// Lines of a file as they may be shown, and where in them a byte of the file is.
fn escaped(lines: &str) -> (String, impl Fn(usize) -> usize) {
    let stays = |at: usize, c: char| match c {
        '\n' | '\t' => true,
        '\r' => lines[at..].starts_with("\r\n"),
        _ => false,
    };
    let unplain = unplain(lines).filter(|(at, c)| !stays(*at, *c));
    let mut text = String::with_capacity(lines.len());
    let (mut from, mut grown) = (0, Vec::new());
    for (at, c) in unplain {
        text.push_str(&lines[from..at]);
        text.extend(c.escape_unicode());
        from = at + c.len_utf8();
        grown.push((from, text.len() - from));
    }
    text.push_str(&lines[from..]);
    let place = move |offset: usize| {
        let before = grown.partition_point(|(end, _)| *end <= offset);
        offset + before.checked_sub(1).map_or(0, |last| grown[last].1)
    };
    (text, place)
}

/// The whole lines that a stretch lies on, and where they begin; `None` where one of their ends is
/// too far to be shown. It never looks further than that: a file may be one line.
fn lines(text: &str, start: usize, end: usize) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let far = start.saturating_sub(MAX_LINE);
    let from = match bytes[far..start].iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => far + newline + 1,
        None if far == 0 => 0,
        None => return None,
    };
    let far = end.saturating_add(MAX_LINE).min(bytes.len());
    let to = match bytes[end..far].iter().position(|byte| *byte == b'\n') {
        Some(newline) => end + newline,
        None if far == bytes.len() => far,
        None => return None,
    };
    let shown = text.get(from..to)?.trim_end_matches('\r');
    shown.lines().all(|line| line.len() <= 3 * MAX_LINE).then_some((from, shown))
}

/// A stretch within the text, on character boundaries and on its first line, at least one
/// character where there is one.
fn clamp(text: &str, at: Location) -> Range<usize> {
    let floor = |offset: u32| {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = floor(at.start);
    let end = floor(at.end).max(start);
    let mut end = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    if end == start {
        let next = text[start..].chars().next().filter(|next| !matches!(next, '\n' | '\r'));
        end += next.map_or(0, char::len_utf8);
    }
    start..end
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::finding::Code;

    proptest! {
        /// Whatever places a rule makes up, rendering never panics.
        #[test]
        fn any_place_renders(
            text in r"([a-z:#\[\t\r\n é漢\x1b\u{202e}]|\r\n){0,60}",
            start in 0_u32..80, length in 0_u32..80, other in 0_u32..80,
            line in 0_u32..9, colour: bool,
        ) {
            let mut sources = SourceMap::default();
            let file = sources.add(PathBuf::from("fleet.yaml"), text);
            let at = Location { file, line, column: 1, start, end: start + length };
            let also = Location { start: other, end: other, ..at };
            let finding = Finding::new(Code::BadValue, "a\ttitle\nof two lines", at)
                .label("here")
                .also(also, "there")
                .help("do something else");
            let text = human(&[finding], &sources, colour);
            prop_assert!(text.contains("WG0105"));
        }
    }

    #[test]
    fn a_line_is_shown_as_it_is_written() {
        let (text, place) = escaped("a: \u{202e}b\u{200b} # é\r\n\tc");
        assert_eq!(text, "a: \\u{202e}b\\u{200b} # é\r\n\tc");
        assert_eq!(&text[place(6)..place(7)], "b");
        assert_eq!(&text[place(3)..place(6)], "\\u{202e}");
        assert_eq!(&text[place(11)..place(15)], "# é");
        let mut sources = SourceMap::default();
        let file = sources.add(PathBuf::from("a\u{1b}.yaml"), "a: [x\u{202e}y]\n".to_owned());
        let at = Location { file, line: 1, column: 5, start: 4, end: 9 };
        let finding = Finding::new(Code::BadValue, "\u{2066}t ##[error]x", at).help("a\nb");
        let text = human(&[finding], &sources, false);
        for shown in
            ["\\u{2066}t \\u{23}#[error]x", "a: [x\\u{202e}y]", "a\\u{1b}.yaml", "a\\u{a}b"]
        {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(text.contains("^^^^^^^^^^"), "{text}");
    }

    #[test]
    fn the_summary_counts_each_kind() {
        let at = Location::start_of(FileId(0));
        let mut findings = vec![Finding::new(Code::Syntax, "x", at); 2];
        findings.push(Finding::new(Code::MissingTunnelAddress, "x", at));
        assert_eq!(summary(&findings), "2 errors, 1 warning");
        assert_eq!(summary(&[]), "no findings");
    }
}

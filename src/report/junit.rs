//! Findings as a `JUnit` report: one case for each code, failed where it has an error.

use std::fmt::Write as _;

use super::findings;
use super::markup::escape;
use crate::finding::{Code, Finding, Severity};
use crate::model::SourceMap;

/// The report.
#[must_use]
pub fn report(found: &[Finding], sources: &SourceMap) -> String {
    let of = |code: Code| found.iter().filter(move |finding| finding.code == code);
    let failed = |code: Code| of(code).any(|finding| finding.severity == Severity::Error);
    let failures = Code::ALL.iter().filter(|code| failed(**code)).count();
    let total = Code::ALL.len();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{total}\" failures=\"{failures}\" errors=\"0\"");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "<testsuites name=\"wgfleet check\" {counts}>");
    let _ = writeln!(text, "  <testsuite name=\"wgfleet check\" {counts} skipped=\"0\">");
    for code in Code::ALL {
        let name = escape(&format!("{code} {}", code.summary()));
        let own: Vec<Finding> = of(*code).cloned().collect();
        let _ = write!(text, "    <testcase classname=\"wgfleet.check\" name=\"{name}\"");
        if own.is_empty() {
            text.push_str("/>\n");
            continue;
        }
        text.push_str(">\n");
        let (errors, others): (Vec<Finding>, Vec<Finding>) =
            own.into_iter().partition(|finding| finding.severity == Severity::Error);
        if let Some(first) = errors.first() {
            let at = sources.describe(first.primary.at);
            let message = escape(&format!("{at}: {}", first.title));
            let shown = escape(&findings::human(&errors, sources, false));
            let _ = writeln!(
                text,
                "      <failure type=\"{code}\" message=\"{message}\">{shown}</failure>"
            );
        }
        if !others.is_empty() {
            let shown = escape(&findings::human(&others, sources, false));
            let _ = writeln!(text, "      <system-out>{shown}</system-out>");
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_finding_becomes_markup() {
        assert_eq!(
            escape("a<b> & \"c\"\u{1b}[31m\n"),
            "a&lt;b&gt; &amp; &quot;c&quot;\\u{1b}[31m\n"
        );
    }
}

//! What `wg-quick strip` prints: the file without what only wg-quick knows.

use super::{ConfError, ConfReason};
use crate::wgconf::{Heading, Setting, lines};

/// The file without what only wg-quick knows, byte by byte as `wg-quick strip` prints it: comments
/// stay, blanks around lines do not. What the other values are is for wg(8) to say.
///
/// # Errors
/// Where wg-quick takes no such file: what stands at `SaveConfig` is no truth.
pub fn strip(text: &[u8]) -> Result<Vec<u8>, ConfError> {
    // As read(1) of a shell has it.
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    let text = zeroize::Zeroizing::new(text);
    let mut kept = Vec::with_capacity(text.len() + 1);
    let mut in_interface = false;
    for line in lines(&text) {
        let key = line.key();
        let word = std::str::from_utf8(key).unwrap_or_default();
        if key.starts_with(b"[") {
            in_interface = Heading::of(word) == Some(Heading::Interface);
        }
        let setting = Setting::of(word).filter(|setting| in_interface && setting.is_quick());
        match setting {
            None => {
                let whole = line.raw.strip_suffix(b"\n").unwrap_or(line.raw);
                kept.extend_from_slice(trim(whole));
                kept.push(b'\n');
            }
            Some(Setting::SaveConfig) => {
                let value = line.setting().map(|(_, value)| value.to_ascii_lowercase());
                if !matches!(value.as_deref(), Some("true" | "false")) {
                    let (line, column, reason) = (line.number, line.indent + 1, ConfReason::Truth);
                    return Err(ConfError { line, column, reason });
                }
            }
            Some(_) => {}
        }
    }
    Ok(kept)
}

/// Without the blanks that a shell takes away.
fn trim(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |last| last + 1);
    &line[begin..end]
}

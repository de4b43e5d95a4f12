//! The page of each code, as in docs/findings/.

use crate::finding::Code;

macro_rules! pages {
    ($($number:literal)*) => {
        /// Numbers of codes with their pages, in order.
        const PAGES: &[(u16, &str)] = &[
            $(($number, include_str!(concat!("../../docs/findings/WG0", $number, ".md")))),*
        ];
    };
}

pages! {
    101 102 103 104 105 106 107 108 109 110 111
    201 202 203 204 205 206 207 208
    301 302 304 305 306 307 308 309 310 311 312
    350 351 352 353 354
    401 402 403 404 405 406 407 408 409 410
    501 503 504
    601 602 603 604 605
    701 702 703
    801 802
}

/// The page of a code in Markdown: the behaviour behind it, an example, and what to do.
#[must_use]
pub fn page(code: Code) -> &'static str {
    let found = PAGES.binary_search_by_key(&code.number(), |(number, _)| *number);
    found.map_or("", |index| PAGES[index].1)
}

/// The heading of a page without the code: what is wrong, in a few words.
#[must_use]
pub fn heading(code: Code) -> &'static str {
    let line = page(code).lines().next().unwrap_or_default();
    line.split_once(": ").map_or(code.summary(), |(_, heading)| heading)
}

/// The code that somebody means by `WG0301`, `wg0301` or `301`.
#[must_use]
pub fn find(text: &str) -> Option<Code> {
    let digits = text.trim().to_ascii_uppercase();
    let number: u16 = digits.trim_start_matches("WG").parse().ok()?;
    Code::ALL.iter().copied().find(|code| code.number() == number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let codes: BTreeSet<String> = Code::ALL.iter().map(Code::to_string).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .expect("the pages are there")
            .filter_map(|entry| {
                let name = entry.expect("the folder can be read").file_name();
                name.to_str()?.strip_suffix(".md").map(str::to_owned)
            })
            .collect();
        assert_eq!(codes, files);
        for code in Code::ALL {
            let page = page(*code);
            assert!(page.starts_with(&format!("# {code}: ")), "{code} is not in PAGES");
            assert!(page.contains(code.summary()), "{code} has another summary");
            assert!(page.contains("```yaml\n") && page.contains("**What to do.**"), "{code}");
        }
        let in_order = PAGES.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(in_order && PAGES.len() == Code::ALL.len());
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        for code in Code::ALL {
            for rest in page(*code).split("](").skip(1) {
                let target = rest.split([')', '#']).next().unwrap_or_default();
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings").join(target);
                assert!(path.exists(), "{code}: {target}");
            }
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for text in ["WG0301", "wg0301", "301", " 0301 "] {
            assert_eq!(find(text), Some(Code::DuplicateAllowedIp), "{text}");
        }
        assert_eq!(find("WG9999"), None);
        assert_eq!(find("x"), None);
    }
}

//! What the host's script answers to all verbs but `observe`:
//! the one place where its words are read.
//!
//! The text is a stranger's: it is bounded and cleaned before anything is taken out of it.

use std::fmt;

use super::Reply;
use crate::event::{FailedAt, Holder};
use crate::model::{Fingerprint, Untrusted, mask};

/// Most lines of an answer that are read. None of the script's has more than two.
const LINES: usize = 8;

/// Most characters of a line that are read.
const CHARACTERS: usize = 400;

/// What comes before the names of what could not be kept.
const NOT_FOR_NEXT_BOOT: &str = "confirmed, but not for the next boot:";

/// An answer of the host's script. `Display` writes it as the script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done: of `apply`, the change is armed; of `helper`, the binary lies in its place.
    Done,
    /// Another change is armed, and nothing was done.
    Busy {
        /// Its id.
        change: Untrusted,
    },
    /// The host was not what the plan saw, and nothing was done.
    Moved {
        /// The digest of what it is; `None` where it could not be observed.
        digest: Option<Fingerprint>,
    },
    /// How much of a binary has arrived before.
    Part {
        /// In bytes, of what is sent.
        bytes: u64,
    },
    /// It failed.
    Failed {
        /// Where.
        at: FailedAt,
        /// Why.
        why: Untrusted,
        /// How the rollback ended; `None` where there was none, or another one has begun it.
        rollback: Option<Rollback>,
    },
    /// Its monotonic clock.
    Clock {
        /// In hundredths of a second.
        hundredths: u64,
    },
    /// Some of the addresses that it was to ping.
    Answered {
        /// The places of those that answered, from 0.
        places: Vec<usize>,
    },
    /// The change can be carried out, and keeps others out; nothing was done.
    Prepared,
    /// A change of a group is done and armed.
    Flipped {
        /// How long after the agreed moment it was begun, in milliseconds.
        late: u64,
    },
    /// It is forgotten how to take the change back; or the lock is nobody's any more.
    Released,
    /// What became of a change.
    Fate(Fate),
    /// The lock is this run's.
    Taken,
    /// The lock is another run's, and nothing was done.
    Locked {
        /// Whose.
        by: Box<Holder>,
    },
    /// The lock is nobody's.
    Free,
    /// The change is permanent.
    Confirmed,
    /// The change is permanent, but not all of what the next boot reads could be written.
    NotForNextBoot {
        /// What of it.
        what: Untrusted,
    },
    /// The change was rolled back.
    RolledBack(Rollback),
    /// The change is not armed any more: it was confirmed or is rolled back, or never was there.
    Gone,
    /// None of these.
    Unclear,
}

/// What became of a change whose run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for its flip, and nothing is changed.
    Prepared,
    /// It is done, and its timer rolls it back.
    Armed,
    /// It is confirmed, and can be taken back until its timer ends.
    Held,
    /// It is there for good.
    Kept,
    /// It was rolled back, or never there.
    Gone,
}

impl Fate {
    /// All that there are, with the script's word for each.
    const WORDS: [(Self, &str); 5] = [
        (Self::Prepared, "prepared"),
        (Self::Armed, "armed"),
        (Self::Held, "held"),
        (Self::Kept, "kept"),
        (Self::Gone, "gone"),
    ];

    fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(fate, _)| *fate)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(fate, _)| fate == self);
        f.write_str(word.map_or("gone", |(_, word)| word))
    }
}

/// How a rollback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// The host has again what it had, and has seen so.
    Verified,
    /// The host does not have again, or could not see, all that it had.
    Unverified {
        /// What is not as it was; may be empty.
        what: Untrusted,
    },
}

impl Answer {
    /// Reads what the script wrote to its stdout. Any text is an answer.
    #[must_use]
    pub fn parse(stdout: &str) -> Self {
        let text = shown(stdout);
        let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
        let answer = match lines.as_slice() {
            [line] => Self::of(line, None),
            [line, rollback] if line.starts_with("failed ") => {
                Rollback::of(rollback).and_then(|rollback| Self::of(line, Some(rollback)))
            }
            _ => None,
        };
        answer.unwrap_or(Self::Unclear)
    }

    fn of(line: &str, rollback: Option<Rollback>) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("done", "") => Some(Self::Done),
            ("gone", "") => Some(Self::Gone),
            ("prepared", "") => Some(Self::Prepared),
            ("released", "") => Some(Self::Released),
            ("taken", "") => Some(Self::Taken),
            ("fate", fate) => Some(Self::Fate(Fate::parse(fate)?)),
            ("free", "") => Some(Self::Free),
            ("locked", holder) => Some(Self::Locked { by: Box::new(Holder::parse(holder)?) }),
            ("clock", moment) => Some(Self::Clock { hundredths: moment.parse().ok()? }),
            ("answered", places) => {
                let places = places.split_whitespace().map(str::parse).collect::<Result<_, _>>();
                Some(Self::Answered { places: places.ok()? })
            }
            ("flipped", late) => Some(Self::Flipped { late: late.parse().ok()? }),
            ("confirmed", "") => Some(Self::Confirmed),
            ("busy", id) if is_word(id) => Some(Self::Busy { change: clean(id) }),
            ("moved", "unknown") => Some(Self::Moved { digest: None }),
            ("moved", digest) => Some(Self::Moved { digest: Some(digest.parse().ok()?) }),
            ("part", bytes) => Some(Self::Part { bytes: bytes.parse().ok()? }),
            ("failed", rest) if !rest.is_empty() => {
                let (at, why) = failed_at(rest);
                Some(Self::Failed { at, why: clean(why), rollback })
            }
            ("reverted" | "unverified", _) => Rollback::of(line).map(Self::RolledBack),
            _ => {
                let what = line.strip_prefix(NOT_FOR_NEXT_BOOT)?;
                Some(Self::NotForNextBoot { what: clean(what) })
            }
        }
    }
}

/// Where it failed, and the rest, which says why.
fn failed_at(text: &str) -> (FailedAt, &str) {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let op = || {
        let number = first.parse().ok()?;
        let (label, why) = rest.split_once(':')?;
        is_word(label).then(|| (FailedAt::Op { number, label: label.to_owned() }, why.trim()))
    };
    match first {
        "0" => (FailedAt::Before, rest),
        "-" => (FailedAt::Interrupted, rest),
        _ => op().unwrap_or((FailedAt::Whole, text)),
    }
}

impl Rollback {
    fn of(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("reverted", "") => Some(Self::Verified),
            ("unverified", what) => Some(Self::Unverified { what: clean(what) }),
            _ => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Busy { change } => write!(f, "busy {change}"),
            Self::Moved { digest: None } => f.write_str("moved unknown"),
            Self::Moved { digest: Some(digest) } => write!(f, "moved {digest}"),
            Self::Part { bytes } => write!(f, "part {bytes}"),
            Self::Failed { at, why, rollback } => {
                write!(f, "failed {at}{why}")?;
                rollback.iter().try_for_each(|rollback| write!(f, "\n{rollback}"))
            }
            Self::Answered { places } => {
                f.write_str("answered")?;
                places.iter().try_for_each(|place| write!(f, " {place}"))
            }
            Self::Clock { hundredths } => write!(f, "clock {hundredths}"),
            Self::Prepared => f.write_str("prepared"),
            Self::Flipped { late } => write!(f, "flipped {late}"),
            Self::Released => f.write_str("released"),
            Self::Taken => f.write_str("taken"),
            Self::Fate(fate) => write!(f, "fate {fate}"),
            Self::Locked { by } => write!(f, "locked {}", by.line()),
            Self::Free => f.write_str("free"),
            Self::Confirmed => f.write_str("confirmed"),
            Self::NotForNextBoot { what } => write!(f, "{NOT_FOR_NEXT_BOOT} {what}"),
            Self::RolledBack(rollback) => rollback.fmt(f),
            Self::Gone => f.write_str("gone"),
            Self::Unclear => f.write_str("unclear"),
        }
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("reverted"),
            Self::Unverified { what } => write!(f, "unverified {what}"),
        }
    }
}

impl Reply {
    /// What it means.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer::parse(&self.stdout)
    }

    /// What the host said, its complaints included, as a line for a person.
    #[must_use]
    pub fn said(&self) -> Untrusted {
        let text = shown(&mask(&format!("{} {}", self.stdout, self.stderr)).replace('\n', " "));
        let text = text.trim();
        Untrusted::new(if text.is_empty() { "it ended without a word" } else { text })
    }
}

/// Whether a text is one word as the script makes them: an id, or the label of an operation.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    !text.is_empty() && text.bytes().all(plain)
}

/// A part of a line, as it may be shown wherever it stands.
fn clean(part: &str) -> Untrusted {
    Untrusted::new(Untrusted::new(part.trim()).to_string())
}

/// A host's text as it may be shown: a few lines, each of some length.
fn shown(text: &str) -> String {
    let line = |line: &str| Untrusted::new(line).to_string().chars().take(CHARACTERS).collect();
    // Masked first: a key may have several lines, and of one that is cut nobody knows what it was.
    let text = mask(text);
    let lines: Vec<String> = text.lines().take(LINES).map(line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::super::HOST_SCRIPT;
    use super::*;

    fn said(stdout: &str, stderr: &str) -> String {
        let status = std::os::unix::process::ExitStatusExt::from_raw(0);
        Reply { stdout: stdout.to_owned(), stderr: stderr.to_owned(), status }.said().to_string()
    }

    fn failed(at: FailedAt, why: &str, rollback: Option<Rollback>) -> Answer {
        Answer::Failed { at, why: Untrusted::new(why), rollback }
    }

    fn op(number: u32, label: &str) -> FailedAt {
        FailedAt::Op { number: NonZeroU32::new(number).unwrap(), label: label.to_owned() }
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let digest = Fingerprint::from_bytes([0xab; 32]);
        let unverified = |what: &str| Rollback::Unverified { what: Untrusted::new(what) };
        let interrupted = "the operations were interrupted";
        let answers = [
            ("done", Answer::Done),
            ("gone", Answer::Gone),
            ("confirmed", Answer::Confirmed),
            ("busy a-1_b", Answer::Busy { change: Untrusted::new("a-1_b") }),
            ("moved unknown", Answer::Moved { digest: None }),
            (&format!("moved {digest}"), Answer::Moved { digest: Some(digest) }),
            ("part 0", Answer::Part { bytes: 0 }),
            ("part 2097152", Answer::Part { bytes: 2 << 20 }),
            ("clock 8640012", Answer::Clock { hundredths: 8_640_012 }),
            ("answered", Answer::Answered { places: Vec::new() }),
            ("answered 0 12", Answer::Answered { places: vec![0, 12] }),
            ("prepared", Answer::Prepared),
            ("flipped 10", Answer::Flipped { late: 10 }),
            ("released", Answer::Released),
            ("taken", Answer::Taken),
            ("fate held", Answer::Fate(Fate::Held)),
            ("fate gone", Answer::Fate(Fate::Gone)),
            ("free", Answer::Free),
            ("locked r1 280 a@b 2026-11-27T19:00:00Z apply 0123456789ab", {
                let words = "r1 280 a@b 2026-11-27T19:00:00Z apply 0123456789ab";
                Answer::Locked { by: Box::new(Holder::parse(words).unwrap()) }
            }),
            ("reverted", Answer::RolledBack(Rollback::Verified)),
            ("unverified wg0 disk", Answer::RolledBack(unverified("wg0 disk"))),
            ("failed 0 stage: it is full", failed(FailedAt::Before, "stage: it is full", None)),
            ("failed - the operations were interrupted", {
                failed(FailedAt::Interrupted, interrupted, None)
            }),
            ("failed 3 no-psk: No: such", failed(op(3, "no-psk"), "No: such", None)),
            ("failed 3 nft: x\nreverted", failed(op(3, "nft"), "x", Some(Rollback::Verified))),
            ("failed 3 nft: x\nunverified nft", {
                failed(op(3, "nft"), "x", Some(unverified("nft")))
            }),
            ("failed the binary does not run here", {
                failed(FailedAt::Whole, "the binary does not run here", None)
            }),
            ("confirmed, but not for the next boot: /etc/x y", {
                Answer::NotForNextBoot { what: Untrusted::new("/etc/x y") }
            }),
        ];
        for (text, answer) in answers {
            assert_eq!(Answer::parse(&format!("{text}\n")), answer, "{text}");
            assert_eq!(answer.to_string(), text);
        }
        let unclear = [
            "",
            "\n",
            "don",
            "done x",
            "done\ndone",
            "busy",
            "busy a b",
            "moved",
            "moved 12",
            "clock",
            "clock -1",
            "answered x",
            "flipped",
            "prepared x",
            "locked",
            "locked r1 x a b c d",
            "taken x",
            "fate",
            "fate unknown",
            "failed",
            "confirmed, but",
            "reverted x",
            "failed 3 nft: x\ndone",
            "failed 3 nft: x\nreverted\nx",
            "reverted\nfailed 3 nft: x",
            "unknown verb",
        ];
        for text in unclear {
            assert_eq!(Answer::parse(text), Answer::Unclear, "{text}");
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_host_says() {
        let hostile = "failed 1 x: \u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\r\nreverted\n";
        let clean = "failed 1 x: \\u{1b}]0;owned\\u{7}\\u{202e}\\u{9b}2J\nreverted";
        assert_eq!(Answer::parse(hostile).to_string(), clean);
        assert_eq!(said("a\nb\u{1b}[1m\n", ""), "a b\\u{1b}[1m");
        assert_eq!(said(&"x".repeat(9000), "").len(), 400);
        assert_eq!(said("\n", " "), "it ended without a word");
        assert_eq!(said("failed it\n", "sh: no"), "failed it  sh: no");
    }

    /// What the script's functions say that answer: each text up to the quote at its end.
    fn sentences() -> Vec<String> {
        let answering = [
            "helper_part",
            "push_helper",
            "do_ops",
            "revert",
            "say_kept",
            "too_late",
            "clean_up",
            "arm",
            "carry_out",
            "prepare",
            "flip",
            "hold",
            "release",
            "fate",
            "say_locked",
            "take_lock",
            "renew_lock",
            "unlock",
            "show_lock",
            "break_lock",
        ];
        let bodies = answering.map(|name| {
            let (_, rest) = HOST_SCRIPT.split_once(&format!("\n{name}() {{")).expect(name);
            rest.split_once("\n}").expect("it ends").0
        });
        let (_, verbs) = HOST_SCRIPT.rsplit_once("\ncase $verb in").expect("the verbs");
        let verbs = verbs.lines().filter(|line| !line.starts_with("*)"));
        let verbs: Vec<&str> = verbs.collect();
        let verbs = verbs.join("\n");
        let mut all = Vec::new();
        for body in bodies.into_iter().chain([verbs.as_str()]) {
            let code = body.lines().filter(|line| !line.trim_start().starts_with('#'));
            let said = code
                .flat_map(|line| line.split("say ").skip(1).chain(line.split("printf ").skip(1)));
            for text in said {
                let text = match text.split_at_checked(1) {
                    Some((quote @ ("\"" | "'"), rest)) => rest.split(quote).next(),
                    // A single word; "say" stands within sentences, too.
                    _ => text.split(';').next().filter(|word| !word.trim().contains(' ')),
                };
                let text = text.unwrap_or_default();
                if text.starts_with(|c: char| c.is_ascii_lowercase()) {
                    all.push(text.trim_end_matches("\\n").to_owned());
                }
            }
        }
        all
    }

    #[test]
    fn the_script_and_the_parser_have_the_same_words() {
        let mut words = BTreeSet::new();
        for sentence in sentences() {
            let text = sentence.replace("${found:-unknown}", "unknown");
            let text = text.replace("$(((until - now) / 100)) $whose", "9 a b c -");
            let text = text.replace("$now", "1").replace("$late", "1").replace('$', "");
            // The number and the label of an operation.
            let text = text
                .replace("failed %s %s: ", "failed 1 op: ")
                .replace("%s", " x")
                .replace("{got:-0}", "1");
            let answer = Answer::parse(&text);
            assert_ne!(answer, Answer::Unclear, "{sentence}");
            words.insert(match answer {
                Answer::Done => "done",
                Answer::Busy { .. } => "busy",
                Answer::Moved { .. } => "moved",
                Answer::Part { .. } => "part",
                Answer::Failed { at: FailedAt::Before, .. } => "failed before",
                Answer::Failed { at: FailedAt::Op { .. }, .. } => "failed in an operation",
                Answer::Failed { at: FailedAt::Interrupted, .. } => "failed between operations",
                Answer::Failed { at: FailedAt::Whole, .. } => "failed",
                Answer::Clock { .. } => "clock",
                Answer::Answered { .. } => "answered",
                Answer::Prepared => "prepared",
                Answer::Flipped { .. } => "flipped",
                Answer::Released => "released",
                Answer::Taken => "taken",
                Answer::Fate(_) => "fate",
                Answer::Locked { .. } => "locked",
                Answer::Free => "free",
                Answer::Confirmed => "confirmed",
                Answer::NotForNextBoot { .. } => "not for the next boot",
                Answer::RolledBack(Rollback::Verified) => "reverted",
                Answer::RolledBack(Rollback::Unverified { .. }) => "unverified",
                Answer::Gone => "gone",
                Answer::Unclear => unreachable!("see above"),
            });
        }
        assert_eq!(words.len(), 21, "the script never says one of them: {words:?}");
    }

    /// Often something that is an answer at first sight.
    fn texts() -> impl Strategy<Value = String> {
        let parts = proptest::sample::select(vec![
            "done",
            "busy",
            "moved",
            "failed",
            "confirmed",
            NOT_FOR_NEXT_BOOT,
            "gone",
            "reverted",
            "unverified",
            "unknown",
            " ",
            " ",
            "\n",
            "0",
            "-",
            "7",
            "nft: ",
            ":",
            "::error::",
            "\u{1b}[2J",
            "\u{202e}",
            "##[x]",
            "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
            "é",
            "\r\n",
            "\t",
            "abababababababababababababababababababababababababababababababab",
        ]);
        let some = proptest::collection::vec(
            prop_oneof![9 => parts.prop_map(str::to_owned), 1 => any::<String>()],
            0..9,
        );
        prop_oneof![9 => some.prop_map(|parts| parts.concat()), 1 => any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_an_answer_that_survives_being_written_and_read(text in texts()) {
            let answer = Answer::parse(&text);
            let written = answer.to_string();
            prop_assert_eq!(&Answer::parse(&written), &answer, "{:?}", written);
            prop_assert!(!written.chars().any(|c| c != '\n' && crate::model::is_deceptive(c)));
            prop_assert!(written.len() < 6000);
        }
    }
}

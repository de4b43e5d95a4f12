//! How a command gets through a login shell, whichever that is.
//!
//! sshd gives the command to the user's login shell as one line, and shells differ in what they make
//! of quotes, `!`, backslashes and line ends. So the command is a short loader of which every shell
//! makes the same, and everything else comes on stdin: the script first, then what the script reads.
//! What the startup files of the login shell print comes before a mark, and is dropped.

use super::{HOST_CLOCK, HOST_LOCK, HOST_LOOKS, HOST_SCRIPT};

/// The script's last line on stdin.
const END: &str = "# end of host.sh";

/// The line after which the script's own answer begins.
const BEGINS: &str = "wgfleet answers";

/// Reads the script from stdin, becomes root as the host allows, then runs it. Its words: how to
/// become root, the bytes of the script, the verb, the verb's words.
///
/// One line without `'`, `!` and `\`, which csh and fish read in ways of their own. dd(1) takes the
/// script in one piece, and no byte of what follows; where it cannot, the shell reads line by line.
pub(super) const LOADER: &str = concat!(
    "b=$1; n=$(echo; echo .); n=${n%.}; s=$(dd bs=$2 count=1 iflag=fullblock 2>/dev/null); shift 2; ",
    "[ -n \"$s\" ] || while IFS= read -r l; do s=$s$l$n; [ \"$l\" = \"# end of host.sh\" ] && break; done; ",
    "case $s in \"# The host\"*\"# end of host.sh\"*) ;; ",
    "*) echo \"something on the host reads the standard input before wgfleet does\" >&2; exit 76 ;; esac; ",
    "echo; echo wgfleet answers; ",
    "case $b$(id -u) in none*|auto0) exec sh -c \"$s\" wgfleet \"$s\" \"$@\" ;; esac; ",
    "if [ $b = doas ] || ! command -v sudo >/dev/null 2>&1; then :; ",
    "else exec sudo -n sh -c \"$s\" wgfleet \"$s\" \"$@\"; fi; ",
    "if [ $b = sudo ] || ! command -v doas >/dev/null 2>&1; then :; ",
    "else exec doas -n sh -c \"$s\" wgfleet \"$s\" \"$@\"; fi; ",
    "case $b in auto) echo \"the login user is not root, and there is neither sudo nor doas\" ;; ",
    "*) echo \"the inventory says become: $b, and there is no $b\" ;; esac >&2; exit 77",
);

/// What goes to stdin before all else, for a verb.
pub(super) fn script(verb: &str) -> String {
    let text = match verb {
        "observe" => HOST_LOOKS,
        "clock" => HOST_CLOCK,
        "lock" | "renew" | "unlock" | "holder" | "break" => HOST_LOCK,
        _ => HOST_SCRIPT,
    };
    format!("{text}{END}\n")
}

/// The answer of the script.
///
/// # Errors
/// What was printed instead, where the script never began to run.
pub(super) fn answer(mut stdout: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
    let mark = format!("\n{BEGINS}\n");
    match stdout.windows(mark.len()).position(|window| window == mark.as_bytes()) {
        Some(at) => Ok(stdout.split_off(at + mark.len())),
        None => Err(stdout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_reads_the_loader_alike() {
        assert!(!LOADER.contains(['\'', '\\', '\n']));
        assert!(LOADER.len() < 1500, "csh takes no long words");
        assert!(LOADER.contains(END) && LOADER.contains(BEGINS));
        for text in [HOST_SCRIPT, HOST_LOOKS, HOST_CLOCK, HOST_LOCK] {
            assert!(text.starts_with("# The host") && text.ends_with('\n') && !text.contains(END));
        }
    }

    #[test]
    fn what_comes_before_the_answer_is_dropped() {
        let answer = |text: &str| answer(text.into()).map(|text| String::from_utf8(text).unwrap());
        let said = |text: &str| Ok(text.to_owned());
        assert_eq!(answer("hello\nwgfleet answers\nobserve 3\n"), said("observe 3\n"));
        assert_eq!(answer("no line end\nwgfleet answers\n"), said(""));
        let twice = "\nwgfleet answers\nobserve 3\n\nwgfleet answers\nend\n";
        assert_eq!(answer(twice), said("observe 3\n\nwgfleet answers\nend\n"));
        for other in ["wgfleet answers\nobserve 3\n", "This account is not available.\n", ""] {
            assert_eq!(answer(other), Err(other.into()));
        }
    }
}

//! Whether a program is to go on when its terminal is gone.

/// Whether SIGHUP is ignored, as nohup(1) arranges for what it starts.
#[must_use]
pub fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|signals| signals & 1 != 0)
}

/// The set of ignored signals, as `/proc/PID/status` has it: the lowest bit is signal 1, SIGHUP.
fn ignored(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::ignored;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        assert_eq!(ignored("SigBlk:\t0000\nSigIgn:\t0000000000001001\nSigCgt:\t1\n"), Some(0x1001));
        assert_eq!(ignored("SigBlk:\t0000\n"), None);
    }
}

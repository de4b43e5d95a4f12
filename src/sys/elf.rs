//! What an ELF file runs on, and whether it needs anything beside the kernel.

/// What the head of an ELF file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The machine as `uname -m` names it.
    pub machine: &'static str,
    /// Whether it runs without a dynamic loader.
    pub is_static: bool,
}

/// Reads the head of a 64-bit little-endian ELF file; `None` where it is something else.
#[must_use]
pub fn read_elf(bytes: &[u8]) -> Option<Elf> {
    const INTERPRETER: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| {
        let bytes = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
        usize::try_from(bytes).ok()
    };
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let machine = match half(18)? {
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        21 => "ppc64le",
        _ => return None,
    };
    let (table, size, count) = (long(32)?, usize::from(half(54)?), usize::from(half(56)?));
    let mut is_static = true;
    for index in 0..count {
        let entry = table.checked_add(index.checked_mul(size)?)?;
        if word(entry)? == INTERPRETER {
            is_static = false;
        }
    }
    Some(Elf { machine, is_static })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_running_test_is_static() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = read_elf(&bytes).unwrap();
        assert!(elf.is_static, "every build is static: see .cargo/config.toml");
    }

    proptest! {
        #[test]
        fn no_head_panics(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"\x7fELF\x02\x01".to_vec();
            bytes.extend(tail);
            let _ = read_elf(&bytes);
        }
    }
}

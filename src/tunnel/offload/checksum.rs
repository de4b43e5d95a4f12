//! The Internet checksum (RFC 1071), as wide as the machine adds.

/// The sum of 16-bit words in the host's byte order, to be folded; an odd byte counts as the first
/// of a word.
///
/// Sums of slices may be added up where all but the last are of even length, up to 4 GiB.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 128 && std::arch::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the compiler cannot see which instructions there are")]
        // SAFETY: the one requirement of `sum_avx2` is AVX2, which this machine has.
        return unsafe { sum_avx2(bytes) };
    }
    sum_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(bytes: &[u8]) -> u64 {
    sum_words(bytes)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "it has to be compiled with its caller's instructions")]
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
    }
    sum
}

/// Folds a sum to 16 bits, in the host's byte order; the checksum is its complement.
#[must_use]
pub fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from(sum & 0xffff).unwrap_or(u16::MAX)
}

/// A number of a pseudo-header as a summand: at most 32 bits, in network byte order.
#[must_use]
pub fn word(number: u32) -> u64 {
    number.to_be().into()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071, word by word.
    pub(in super::super) fn slow(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    #[test]
    fn folding_carries_to_the_end() {
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0), 0);
        assert_eq!(fold(0x1_0000), 1);
        assert_eq!(fold(0xffff_ffff_0000_0001), 1);
        assert_eq!(fold(0x0001_ffff), 1);
    }

    proptest! {
        #[test]
        fn it_is_the_slow_sum(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
            cut in 0_usize..1500,
        ) {
            // 0 and 0xffff are the same number; which of them comes out depends on the order.
            let same = |a: u16, b: u16| a % 0xffff == b % 0xffff;
            prop_assert!(same(fold(sum(&bytes)).to_be(), slow(&bytes)));
            let (head, tail) = bytes.split_at((cut * 2).min(bytes.len() / 2 * 2));
            prop_assert!(same(fold(sum(head) + sum(tail)).to_be(), slow(&bytes)));
        }

        #[test]
        fn folding_keeps_the_value(number in any::<u64>()) {
            prop_assert_eq!(u64::from(fold(number)) % 0xffff, number % 0xffff);
        }
    }
}
